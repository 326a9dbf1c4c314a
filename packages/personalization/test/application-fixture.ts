/** The least that the reference applications of a blank chip need, with keys made at run time. */
import { ascii, concatBytes, tlv, unhex } from '@cardwright/emv';
import { type DekMode, type KeyHandle, type SoftwareKeys } from '@cardwright/keys';
import { type PersonalizationInstance, type PreparedDgi } from '../src/index.ts';

const applicationAid = unhex('F0434152440001');
const cdol1 = unhex('9F02069F03069F1A0295055F2A029A039C019F3704');

/** PSE, PPSE and payment application, with secret DGIs from `keys`. `recordLength` pads the first record. */
export async function referenceInstances(keys: SoftwareKeys): Promise<PersonalizationInstance[]> {
  const imk = await keys.ensure('imk-ac/1', { algorithm: 'TDES-2KEY', usage: 'IMK-AC' });
  const derive = (fill: number): Promise<KeyHandle> =>
    keys.deriveTdesEcb(imk, new Uint8Array(16).fill(fill), 'UDK', true);
  const udks = [await derive(1), await derive(2), await derive(3)];
  const icc = await keys.generateRsa(1152, 3, 'ICC');
  const checkValues = await Promise.all(udks.map((udk) => keys.kcv(udk)));
  const entry = tlv('61', concatBytes(tlv('4F', applicationAid), tlv('50', ascii('TEST'))));

  const crt = (index: number): PreparedDgi => ({
    id: `820${index + 1}`,
    encrypt: async (dek: KeyHandle, mode: DekMode) => {
      const part = (await keys.wrapRsaForCard(dek, mode, icc))[index];
      if (!part) throw new RangeError('five parts');
      return part;
    },
  });
  const iad = concatBytes(unhex('0FA501'), new Uint8Array(13), Uint8Array.of(0x0f), new Uint8Array(15));
  return [
    {
      aid: ascii('1PAY.SYS.DDF01'),
      dgis: [
        { id: '9102', value: tlv('A5', tlv('88', Uint8Array.of(1))) },
        { id: '0101', value: tlv('70', entry) },
      ],
    },
    { aid: ascii('2PAY.SYS.DDF01'), dgis: [{ id: '9102', value: tlv('A5', tlv('BF0C', entry)) }] },
    {
      aid: applicationAid,
      dgis: [
        { id: '9102', value: tlv('A5', tlv('50', ascii('TEST'))) },
        { id: '9104', value: concatBytes(tlv('82', unhex('3900')), tlv('94', unhex('0801010018010100'))) },
        {
          id: '0101',
          value: tlv(
            '70',
            concatBytes(tlv('8C', cdol1), tlv('8D', concatBytes(unhex('8A02'), cdol1, unhex('9108')))),
          ),
        },
        { id: '0301', value: tlv('70', tlv('9F46', new Uint8Array(240).fill(0x11))) },
        { id: '3000', value: tlv('9F36', unhex('0000')) },
        { id: '9200', value: tlv('9F10', iad) },
        { id: '8000', encrypt: (dek, mode) => keys.wrapForCard(dek, mode, udks) },
        { id: '9000', value: concatBytes(...checkValues) },
        { id: '9010', value: unhex('0303') },
        ...[0, 1, 2, 3, 4].map(crt),
      ],
    },
  ];
}
