/**
 * Runs a small terminal and the issuer's check against the personalized card: directory, records, certificates up
 * to the CA key, dynamic authentication, an online cryptogram.
 *
 *     node examples/run-terminal.ts
 */
import { randomBytes } from 'node:crypto';
import { type VirtualCard } from '@cardwright/card';
import {
  ascii,
  atcDiversifier,
  buildDolData,
  concatBytes,
  cskData,
  encodeCommand,
  equalBytes,
  findTag,
  hex,
  parseAfl,
  parseTlv,
  recoverIccCertificate,
  recoverIssuerCertificate,
  responseData,
  type RsaPublicKeyBytes,
  staticDataToAuthenticate,
  statusWord,
  tlv,
  type TlvNode,
  unhex,
  verifyDda,
} from '@cardwright/emv';
import { type KeyHandle, type SoftwareKeys } from '@cardwright/keys';
import { personalizeCard } from './personalize-card.ts';
import { applicationAid, openExampleKeys, pan, prepareCard } from './prepare-card.ts';

const say = (text: string): void => void process.stdout.write(`${text}\n`);
const todayYYMM = '2611';

function send(card: VirtualCard, ins: number, p1: number, p2: number, data?: Uint8Array): TlvNode[] {
  const cla = ins === 0xa8 || ins === 0xae ? 0x80 : 0x00;
  const answer = card.transmit(encodeCommand({ cla, ins, p1, p2, ...(data && { data }), le: 256 }));
  if (statusWord(answer) !== '9000') throw new Error(`${ins.toString(16)}: ${statusWord(answer)}`);
  return parseTlv(responseData(answer));
}

function value(nodes: readonly TlvNode[], tag: string): Uint8Array {
  const node = findTag(nodes, tag);
  if (node === undefined) throw new Error(`the card lacks ${tag}`);
  return node.value;
}

interface ReadCard {
  readonly objects: readonly TlvNode[];
  readonly aip: Uint8Array;
  readonly signed: readonly { readonly sfi: number; readonly record: Uint8Array }[];
}

/** PSE, SELECT, GET PROCESSING OPTIONS, READ RECORD. */
function readCard(card: VirtualCard): ReadCard {
  send(card, 0xa4, 0x04, 0x00, ascii('1PAY.SYS.DDF01'));
  const aid = value(send(card, 0xb2, 1, (1 << 3) | 4), '4F');
  say(`directory: ${hex(aid)}`);
  if (!equalBytes(aid, applicationAid)) throw new Error('another application');
  send(card, 0xa4, 0x04, 0x00, aid);
  const options = send(card, 0xa8, 0, 0, tlv('83', new Uint8Array(0)));
  const objects: TlvNode[] = [];
  const signed: { sfi: number; record: Uint8Array }[] = [];
  for (const { sfi, first, last, odaRecords } of parseAfl(value(options, '94'))) {
    for (let record = first; record <= last; record++) {
      const nodes = send(card, 0xb2, record, (sfi << 3) | 4);
      objects.push(...nodes);
      const [template] = nodes;
      if (template !== undefined && record < first + odaRecords) {
        signed.push({ sfi, record: tlv('70', template.value) });
      }
    }
  }
  say(`records: ${objects.length}, card number ${hex(value(objects, '5A')).slice(0, 6)}…`);
  return { objects, aip: value(options, '82'), signed };
}

/** Recovers the card's key through both certificates. */
function recoverCardKey({ objects, aip, signed }: ReadCard, caKey: RsaPublicKeyBytes): RsaPublicKeyBytes {
  const issuer = recoverIssuerCertificate(
    caKey,
    {
      cert90: value(objects, '90'),
      remainder92: value(objects, '92'),
      exponent9F32: value(objects, '9F32'),
    },
    { pan, todayYYMM },
  );
  if (!issuer.ok) throw new Error(`issuer certificate: ${issuer.reason}`);
  const icc = recoverIccCertificate(
    issuer.key,
    {
      cert9F46: value(objects, '9F46'),
      remainder9F48: value(objects, '9F48'),
      exponent9F47: value(objects, '9F47'),
    },
    staticDataToAuthenticate(signed, [aip]),
    { pan, todayYYMM },
  );
  if (!icc.ok) throw new Error(`ICC certificate: ${icc.reason}`);
  say('certificates: sound up to the CA key');
  return icc.key;
}

/** The issuer's side: computes the cryptogram again. */
async function isCryptogramRight(
  keys: SoftwareKeys,
  udkAc: KeyHandle,
  aip: Uint8Array,
  cdol1Data: Uint8Array,
  answer: readonly TlvNode[],
): Promise<boolean> {
  const atc = value(answer, '9F36');
  const session = await keys.deriveTdesEcb(
    udkAc,
    cskData(atcDiversifier(Number.parseInt(hex(atc), 16))),
    'AC-SESSION',
    true,
  );
  const input = concatBytes(cdol1Data, aip, atc, value(answer, '9F10'));
  return equalBytes(await keys.retailMac(session, input, 2), value(answer, '9F26'));
}

const { keys, close } = await openExampleKeys();
const prepared = await prepareCard(keys);
const card = await personalizeCard(keys, prepared);
const read = readCard(card);
const cardKey = recoverCardKey(read, prepared.caKey);

const unpredictableNumber = new Uint8Array(randomBytes(4));
const dda = verifyDda(
  cardKey,
  value(send(card, 0x88, 0, 0, unpredictableNumber), '9F4B'),
  unpredictableNumber,
);
say(`dynamic data authentication: ${dda.ok ? 'the card holds its key' : dda.reason}`);

const terminalValues = new Map([
  ['9F02', unhex('000000001000')],
  ['9F1A', unhex('0392')],
  ['5F2A', unhex('0392')],
  ['9A', unhex('261123')],
  ['9F37', unpredictableNumber],
]);
const cdol1Data = buildDolData(value(read.objects, '8C'), terminalValues);
const answer = send(card, 0xae, 0x80, 0, cdol1Data);
const isRight = await isCryptogramRight(keys, prepared.udkAc, read.aip, cdol1Data, answer);
say(`online cryptogram ${hex(value(answer, '9F26'))}: ${isRight ? 'the issuer agrees' : 'WRONG'}`);
process.exitCode = dda.ok && isRight ? 0 : 1;
await close();
