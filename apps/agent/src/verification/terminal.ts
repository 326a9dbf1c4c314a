/**
 * The commands that a payment terminal sends, as far as a finished card is proven with them (EMV Books 1 and 3).
 *
 * Invariants: an answer that is not 9000 or not well-formed throws `CardRefusal`, which names the command and the
 * status word and never the data.
 */
import { type ApduChannel } from '@cardwright/devices';
import {
  type CommandApdu,
  concatBytes,
  EmvError,
  findTag,
  parseTlv,
  tlv,
  type TlvNode,
  uintBytes,
} from '@cardwright/emv';
import { send } from '../chip/apdu-exchange.ts';

/** The card answers otherwise than a card of ours must. */
export class CardRefusal extends Error {
  override readonly name = 'CardRefusal';
  /** E.g. `SELECT 6A82` or `GET PROCESSING OPTIONS MALFORMED`. */
  readonly reason: string;

  constructor(reason: string) {
    super(reason);
    this.reason = reason;
  }
}

async function ask(channel: ApduChannel, name: string, command: CommandApdu): Promise<Uint8Array> {
  const answer = await send(channel, { ...command, le: 256 });
  if (answer.statusWord !== '9000') throw new CardRefusal(`${name} ${answer.statusWord}`);
  return answer.data;
}

function parse(name: string, data: Uint8Array): TlvNode[] {
  try {
    return parseTlv(data);
  } catch (error) {
    if (error instanceof EmvError) throw new CardRefusal(`${name} MALFORMED`);
    throw error;
  }
}

/** The value of `tag` in an answer. @throws CardRefusal when it is missing */
export function requireTag(nodes: readonly TlvNode[], tag: string, name: string): Uint8Array {
  const node = findTag(nodes, tag);
  if (node === undefined) throw new CardRefusal(`${name} LACKS ${tag}`);
  return node.value;
}

/** Selects a file by its name and returns its file control information. */
export async function selectByName(channel: ApduChannel, aid: Uint8Array): Promise<TlvNode[]> {
  const command = { cla: 0x00, ins: 0xa4, p1: 0x04, p2: 0x00, data: aid };
  return parse('SELECT', await ask(channel, 'SELECT', command));
}

/** Reads one record as the card returns it. */
export function readRecord(channel: ApduChannel, sfi: number, record: number): Promise<Uint8Array> {
  return ask(channel, 'READ RECORD', { cla: 0x00, ins: 0xb2, p1: record, p2: (sfi << 3) | 0x04 });
}

/** Reads records of a file from 1 on until the card says there are no more. */
export async function readDirectory(channel: ApduChannel, sfi: number): Promise<TlvNode[][]> {
  const records: TlvNode[][] = [];
  for (let record = 1; record <= 10; record++) {
    const command = { cla: 0x00, ins: 0xb2, p1: record, p2: (sfi << 3) | 0x04, le: 256 };
    const answer = await send(channel, command);
    if (answer.statusWord === '6A83') break;
    if (answer.statusWord !== '9000') throw new CardRefusal(`READ RECORD ${answer.statusWord}`);
    records.push(parse('READ RECORD', answer.data));
  }
  return records;
}

/** Parses a record. @throws CardRefusal */
export function parseRecord(record: Uint8Array): TlvNode[] {
  return parse('READ RECORD', record);
}

export interface ProcessingOptions {
  readonly aip: Uint8Array;
  readonly afl: Uint8Array;
  readonly nodes: readonly TlvNode[];
}

/** Starts a transaction; `pdolData` is empty for a card without PDOL. Both answer formats are understood. */
export async function getProcessingOptions(
  channel: ApduChannel,
  pdolData: Uint8Array,
): Promise<ProcessingOptions> {
  const name = 'GET PROCESSING OPTIONS';
  const command = { cla: 0x80, ins: 0xa8, p1: 0x00, p2: 0x00, data: tlv('83', pdolData) };
  const nodes = parse(name, await ask(channel, name, command));
  const format1 = nodes.find((node) => node.tag === '80');
  if (format1 === undefined) {
    return { aip: requireTag(nodes, '82', name), afl: requireTag(nodes, '94', name), nodes };
  }
  const aip = format1.value.slice(0, 2);
  const afl = format1.value.slice(2);
  return { aip, afl, nodes: parseTlv(concatBytes(tlv('82', aip), tlv('94', afl))) };
}

/** Has the card sign `ddolData`; returns the signed dynamic application data. */
export async function internalAuthenticate(channel: ApduChannel, ddolData: Uint8Array): Promise<TlvNode[]> {
  const name = 'INTERNAL AUTHENTICATE';
  const nodes = parse(name, await ask(channel, name, { cla: 0x00, ins: 0x88, p1: 0, p2: 0, data: ddolData }));
  const format1 = nodes.find((node) => node.tag === '80');
  return format1 === undefined ? nodes : parseTlv(tlv('9F4B', format1.value));
}

/** Asks for an ARQC together with a signature over the transaction (CDA). */
export async function generateSignedArqc(channel: ApduChannel, cdol1Data: Uint8Array): Promise<TlvNode[]> {
  const name = 'GENERATE AC';
  return parse(name, await ask(channel, name, { cla: 0x80, ins: 0xae, p1: 0x90, p2: 0, data: cdol1Data }));
}

/** GET DATA of a two-byte tag given as a number, e.g. 0x9F36. */
export async function getData(channel: ApduChannel, tag: number): Promise<TlvNode[]> {
  const [p1 = 0, p2 = 0] = uintBytes(tag, 2);
  return parse('GET DATA', await ask(channel, 'GET DATA', { cla: 0x80, ins: 0xca, p1, p2 }));
}
