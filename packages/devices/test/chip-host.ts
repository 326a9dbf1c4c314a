/** A small SCP03 host for driver tests: just enough to personalize a card without offline authentication. */
import { randomBytes } from 'node:crypto';
import {
  type CommandApdu,
  type Scp03Channel,
  aesCbcEncrypt,
  aesCmac,
  concatBytes,
  deriveScp03SessionKeys,
  encodeAfl,
  encodeDgi,
  equalBytes,
  kdf3Input,
  oddParity,
  parseInitializeUpdateResponse,
  responseData,
  scp03CardCryptogram,
  scp03HostCryptogram,
  statusWord,
  tdesKcv,
  tlv,
  unhex,
  wrapScp03Command,
  wrapScp03ExternalAuthenticate,
} from '@cardwright/emv';
import { type ApduChannel } from '../src/index.ts';

const testKey = unhex('404142434445464748494A4B4C4D4E4F');
const paymentAid = unhex('F0434152440001');
const cdol = unhex('9F02069F1A0295055F2A029A039C019F3704');

export interface ChipSession {
  readonly isCardGenuine: boolean;
  /** Sends a command wrapped; returns the status word. */
  send(command: CommandApdu): Promise<string>;
  encipher(value: Uint8Array): Uint8Array;
}

/** INITIALIZE UPDATE and, when the card's cryptogram is right, EXTERNAL AUTHENTICATE. */
export async function authenticate(chip: ApduChannel): Promise<ChipSession> {
  const hostChallenge = new Uint8Array(randomBytes(8));
  const answer = await chip.transmit(concatBytes(unhex('8050000008'), hostChallenge, unhex('00')));
  const response = parseInitializeUpdateResponse(responseData(answer));
  if (response.protocol !== 'SCP03') throw new Error('this host speaks SCP03');
  const { keyData, cardChallenge, cardCryptogram } = response;
  const derive = (purpose: 1 | 2 | 3): Uint8Array => aesCmac(testKey, kdf3Input(purpose, keyData));
  const staticKeys = { enc: derive(1), mac: derive(2), dek: derive(3) };
  const keys = deriveScp03SessionKeys(staticKeys, hostChallenge, cardChallenge);
  const isCardGenuine = equalBytes(scp03CardCryptogram(keys, hostChallenge, cardChallenge), cardCryptogram);
  let { apdu, channel }: { apdu: Uint8Array; channel: Scp03Channel } = wrapScp03ExternalAuthenticate(
    keys,
    0x03,
    scp03HostCryptogram(keys, hostChallenge, cardChallenge),
  );
  if (isCardGenuine) await chip.transmit(apdu);
  return {
    isCardGenuine,
    send: async (command) => {
      ({ apdu, channel } = wrapScp03Command(channel, command));
      return statusWord(await chip.transmit(apdu));
    },
    encipher: (value) => aesCbcEncrypt(keys.dek, new Uint8Array(16), value),
  };
}

interface Block {
  readonly p1: number;
  readonly data: Uint8Array;
}

/** The first record, as the host sends it. */
export const firstRecord = tlv('70', [tlv('5F20', unhex('544553542F43415244'))]);

function applicationBlocks(session: ChipSession): Block[] {
  const applicationKeys = oddParity(new Uint8Array(randomBytes(48)));
  const checkValues = [0, 1, 2].map((index) => tdesKcv(applicationKeys.slice(index * 16, index * 16 + 16)));
  const afl = encodeAfl([
    { sfi: 1, first: 1, last: 1, odaRecords: 0 },
    { sfi: 3, first: 1, last: 1, odaRecords: 0 },
  ]);
  const clear = (id: string, value: Uint8Array): Block => ({ p1: 0x00, data: encodeDgi(id, value) });
  return [
    clear('9102', tlv('A5', [tlv('50', unhex('54455354'))])),
    clear('9104', concatBytes(tlv('82', unhex('1000')), tlv('94', afl))),
    clear('0101', firstRecord),
    clear('0301', tlv('70', [tlv('8C', cdol), tlv('8D', concatBytes(unhex('8A02'), cdol))])),
    clear('3000', tlv('9F36', unhex('0000'))),
    clear('9200', tlv('9F10', unhex(`0FA501${'00'.repeat(13)}0F${'00'.repeat(15)}`))),
    { p1: 0x60, data: encodeDgi('8000', session.encipher(applicationKeys)) },
    clear('9000', concatBytes(...checkValues)),
  ];
}

/** Personalizes the payment application; returns the status words up to the first that is not 9000. */
export async function personalizePayment(session: ChipSession): Promise<string[]> {
  const install = concatBytes(unhex('0000'), Uint8Array.of(paymentAid.length), paymentAid, unhex('000000'));
  const statusWords = [await session.send({ cla: 0x80, ins: 0xe6, p1: 0x20, p2: 0, data: install })];
  const blocks = applicationBlocks(session);
  for (const [index, { p1, data }] of blocks.entries()) {
    if (statusWords.at(-1) !== '9000') break;
    const last = index === blocks.length - 1 ? 0x80 : 0x00;
    statusWords.push(await session.send({ cla: 0x80, ins: 0xe2, p1: p1 | last, p2: index, data }));
  }
  return statusWords;
}

/** SELECT, GET PROCESSING OPTIONS, and the first record. */
export async function readFirstRecord(chip: ApduChannel): Promise<Uint8Array> {
  const select = concatBytes(unhex('00A40400'), Uint8Array.of(paymentAid.length), paymentAid, unhex('00'));
  await chip.transmit(select);
  await chip.transmit(unhex('80A8000002830000'));
  return responseData(await chip.transmit(unhex('00B2010C00')));
}
