/**
 * Prepares the data of one payment card with nothing but @cardwright/emv and keys behind @cardwright/keys: records,
 * certificates, data groupings.
 *
 *     node examples/prepare-card.ts
 *
 * All keys are made for this run and all numbers are test numbers.
 */
import { randomBytes } from 'node:crypto';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import {
  ascii,
  bcd,
  concatBytes,
  encodeAfl,
  iccCertificateBlock,
  issuerCertificateBlock,
  type RsaPublicKeyBytes,
  staticDataToAuthenticate,
  tlv,
  udkData,
  unhex,
} from '@cardwright/emv';
import { type KeyHandle, openSoftwareKeys, type SoftwareKeys } from '@cardwright/keys';
import { type PersonalizationInstance, type PreparedDgi } from '@cardwright/personalization';

export const pan = '9999000000000009';
export const applicationAid = unhex('F0434152440001');
const psn = '00';
const iin = '999900';
const expiryMMYY = '1230';
const cdol1 = unhex('9F02069F03069F1A0295055F2A029A039C019F3704');
const aip = unhex('3900');
/** CCD layout: length, cryptogram version, key index, results, counters, length, issuer data. */
const iad = unhex(`0FA501${'00'.repeat(13)}0F${'00'.repeat(15)}`);

export interface PreparedCard {
  readonly instances: readonly PersonalizationInstance[];
  /** What a terminal must trust. */
  readonly caKey: RsaPublicKeyBytes;
  /** What the issuer checks cryptograms with. */
  readonly udkAc: KeyHandle;
}

/** Keys for one run, in a folder that `close` removes. */
export async function openExampleKeys(): Promise<{ keys: SoftwareKeys; close: () => Promise<void> }> {
  const folder = await mkdtemp(join(tmpdir(), 'cardwright-example-'));
  const keys = await openSoftwareKeys({ folder, masterKey: randomBytes(32), environment: 'test' });
  const close = async (): Promise<void> => {
    await keys.close();
    await rm(folder, { recursive: true });
  };
  return { keys, close };
}

interface CertifiedKey {
  readonly handle: KeyHandle;
  readonly objects: readonly Uint8Array[];
}

/** CA, issuer and card key, each certified by the one before; the last certificate signs the card's records too. */
async function certify(
  keys: SoftwareKeys,
  staticData: Uint8Array,
): Promise<CertifiedKey & { caKey: RsaPublicKeyBytes }> {
  const ca = await keys.ensure('ca/1', { algorithm: 'RSA', usage: 'CA', bits: 1408 });
  const issuer = await keys.ensure('issuer/1', { algorithm: 'RSA', usage: 'ISSUER', bits: 1408 });
  const icc = await keys.generateRsa(1152, 3, 'ICC');
  const [caKey, issuerKey, iccKey] = [
    await keys.rsaPublic(ca),
    await keys.rsaPublic(issuer),
    await keys.rsaPublic(icc),
  ];
  const serial = keys.randomBytes(3);
  const forIssuer = issuerCertificateBlock({
    caModulusLength: caKey.modulus.length,
    issuerKey,
    iin,
    expiryMMYY,
    serial,
  });
  const forCard = iccCertificateBlock({
    issuerModulusLength: issuerKey.modulus.length,
    iccKey,
    pan,
    expiryMMYY,
    serial,
    staticData,
  });
  const objects = [
    tlv('8F', unhex('01')),
    tlv('90', await keys.rsaRawSign(ca, forIssuer.block)),
    tlv('92', forIssuer.remainder),
    tlv('9F32', issuerKey.exponent),
    tlv('9F46', await keys.rsaRawSign(issuer, forCard.block)),
    tlv('9F47', iccKey.exponent),
    tlv('9F48', forCard.remainder),
    tlv('9F49', unhex('9F3704')),
    tlv('9F4A', unhex('82')),
  ];
  return { handle: icc, objects, caKey };
}

/** Prepares the card. The signed record is frozen before the certificate that signs it is made. */
export async function prepareCard(keys: SoftwareKeys): Promise<PreparedCard> {
  const signedRecord = tlv('70', [
    tlv('5A', unhex(pan)),
    tlv('5F24', bcd('301231')),
    tlv('5F28', unhex('0392')),
    tlv('5F34', bcd(psn)),
    tlv('8C', cdol1),
    tlv('8D', concatBytes(unhex('8A02'), cdol1, unhex('9108'))),
    tlv('8E', unhex('000000000000000042031E031F03')),
    tlv('9F07', unhex('FFC0')),
    tlv('9F08', unhex('0001')),
    tlv('9F42', unhex('0392')),
  ]);
  const staticData = staticDataToAuthenticate([{ sfi: 3, record: signedRecord }], [aip]);
  const { handle: icc, objects, caKey } = await certify(keys, staticData);
  const afl = encodeAfl([
    { sfi: 1, first: 1, last: 1, odaRecords: 0 },
    { sfi: 2, first: 1, last: 2, odaRecords: 0 },
    { sfi: 3, first: 1, last: 1, odaRecords: 1 },
  ]);
  const udks = await deriveCardKeys(keys);
  const kcvs = await Promise.all(udks.map((key) => keys.kcv(key)));
  const label = tlv('50', ascii('EXAMPLE CARD'));
  const entry = tlv('61', [tlv('4F', applicationAid), label, tlv('87', unhex('01'))]);
  const application: PreparedDgi[] = [
    { id: '9102', value: tlv('A5', [label, tlv('87', unhex('01'))]) },
    { id: '9104', value: concatBytes(tlv('82', aip), tlv('94', afl)) },
    {
      id: '0101',
      value: tlv('70', [tlv('57', unhex(`${pan}D30122010000000000`)), tlv('5F20', ascii('SAMPLE/A'))]),
    },
    { id: '0201', value: tlv('70', objects.slice(0, 4)) },
    { id: '0202', value: tlv('70', objects.slice(4)) },
    { id: '0301', value: signedRecord },
    { id: '3000', value: tlv('9F36', unhex('0000')) },
    { id: '9200', value: tlv('9F10', iad) },
    // Secrets are enciphered for one card once its secure channel is open: never in advance, never in clear.
    { id: '8000', encrypt: (dek, mode) => keys.wrapForCard(dek, mode, udks) },
    ...['8201', '8202', '8203', '8204', '8205'].map((id, part): PreparedDgi => ({
      id,
      encrypt: async (dek, mode) => (await keys.wrapRsaForCard(dek, mode, icc))[part] ?? new Uint8Array(0),
    })),
    { id: '9000', value: concatBytes(...kcvs) },
  ];
  const [udkAc] = udks;
  if (udkAc === undefined) throw new Error('three keys were derived');
  return {
    caKey,
    udkAc,
    instances: [
      {
        aid: ascii('1PAY.SYS.DDF01'),
        dgis: [
          { id: '9102', value: tlv('A5', [tlv('88', unhex('01'))]) },
          { id: '0101', value: tlv('70', [entry]) },
        ],
      },
      { aid: ascii('2PAY.SYS.DDF01'), dgis: [{ id: '9102', value: tlv('A5', [tlv('BF0C', [entry])]) }] },
      { aid: applicationAid, dgis: application },
    ],
  };
}

/** The card's three keys from the issuer's three master keys; they stay behind the port. */
async function deriveCardKeys(keys: SoftwareKeys): Promise<KeyHandle[]> {
  const derived: KeyHandle[] = [];
  for (const [name, usage] of [
    ['imk-ac/1', 'IMK-AC'],
    ['imk-smi/1', 'IMK-SMI'],
    ['imk-smc/1', 'IMK-SMC'],
  ] as const) {
    const master = await keys.ensure(name, { algorithm: 'TDES-2KEY', usage });
    derived.push(await keys.deriveTdesEcb(master, udkData('B', pan, psn), 'UDK', true));
  }
  return derived;
}

if (import.meta.main) {
  const { keys, close } = await openExampleKeys();
  const { instances } = await prepareCard(keys);
  for (const { aid, dgis } of instances) {
    process.stdout.write(`${Buffer.from(aid).toString('hex')}\n`);
    for (const dgi of dgis) {
      process.stdout.write(`  ${dgi.id} ${'value' in dgi ? `${dgi.value.length} bytes` : 'secret'}\n`);
    }
  }
  await close();
}
