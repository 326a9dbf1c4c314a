/**
 * Command and response APDUs (ISO/IEC 7816-4), short and extended.
 *
 * Invariant: `parseCommand(encodeCommand(c))` equals `c`; a present `data` has at least one byte.
 */
import { concatBytes, hex } from './bytes.ts';
import { EmvError } from './emv-error.ts';

export interface CommandApdu {
  readonly cla: number;
  readonly ins: number;
  readonly p1: number;
  readonly p2: number;
  readonly data?: Uint8Array;
  /** Expected response bytes, 1..65536; 256 is sent as 00. Absent: no Le field. */
  readonly le?: number;
}

/**
 * Encodes a command; extended lengths only when data exceeds 255 bytes or Le exceeds 256.
 * @throws EmvError APDU_INVALID for a header byte or length out of range
 */
export function encodeCommand(command: CommandApdu): Uint8Array {
  const { cla, ins, p1, p2, le } = command;
  const header = [cla, ins, p1, p2];
  if (header.some((byte) => !Number.isInteger(byte) || byte < 0 || byte > 0xff)) {
    throw new EmvError('APDU_INVALID', 'a header field is one byte');
  }
  if (le !== undefined && (!Number.isInteger(le) || le < 1 || le > 0x10000)) {
    throw new EmvError('APDU_INVALID', 'Le is 1 to 65536');
  }
  const data = command.data ?? new Uint8Array(0);
  if (data.length > 0xffff) throw new EmvError('APDU_INVALID', 'a command carries at most 65535 bytes');
  const isExtended = data.length > 0xff || (le !== undefined && le > 0x100);
  const lc = data.length === 0 ? [] : isExtended ? [0, data.length >> 8, data.length & 0xff] : [data.length];
  return concatBytes(
    Uint8Array.from(header),
    Uint8Array.from(lc),
    data,
    Uint8Array.from(encodeLe(le, isExtended, data.length > 0)),
  );
}

function encodeLe(le: number | undefined, isExtended: boolean, hasData: boolean): number[] {
  if (le === undefined) return [];
  if (!isExtended) return [le & 0xff];
  const bytes = [(le >> 8) & 0xff, le & 0xff];
  return hasData ? bytes : [0, ...bytes];
}

/** Parses a command of any of the four cases. @throws EmvError APDU_INVALID */
export function parseCommand(bytes: Uint8Array): CommandApdu {
  const [cla, ins, p1, p2, first] = bytes;
  if (cla === undefined || ins === undefined || p1 === undefined || p2 === undefined) {
    throw new EmvError('APDU_INVALID', 'a command has at least four bytes');
  }
  const header = { cla, ins, p1, p2 };
  if (first === undefined) return header;
  if (bytes.length === 5) return { ...header, le: first === 0 ? 0x100 : first };
  if (first !== 0) return { ...header, ...parseBody(bytes, 5, first, 1) };
  if (bytes.length < 7) throw new EmvError('APDU_INVALID', 'Lc is zero');
  const extended = ((bytes[5] ?? 0) << 8) | (bytes[6] ?? 0);
  if (bytes.length === 7) return { ...header, le: extended === 0 ? 0x10000 : extended };
  return { ...header, ...parseBody(bytes, 7, extended, 2) };
}

function parseBody(
  bytes: Uint8Array,
  start: number,
  lc: number,
  leBytes: 1 | 2,
): { data: Uint8Array; le?: number } {
  const end = start + lc;
  if (lc === 0) throw new EmvError('APDU_INVALID', 'Lc is zero');
  const data = bytes.slice(start, end);
  if (bytes.length === end) return { data };
  if (bytes.length !== end + leBytes) throw new EmvError('APDU_INVALID', 'Lc does not match the data');
  const le = leBytes === 1 ? (bytes[end] ?? 0) : ((bytes[end] ?? 0) << 8) | (bytes[end + 1] ?? 0);
  return { data, le: le === 0 ? (leBytes === 1 ? 0x100 : 0x10000) : le };
}

/** The last two bytes of a response, as four upper-case hexadecimal digits. @throws EmvError APDU_INVALID */
export function statusWord(response: Uint8Array): string {
  if (response.length < 2) throw new EmvError('APDU_INVALID', 'a response has at least a status word');
  return hex(response.subarray(response.length - 2));
}

/** A response without its status word. @throws EmvError APDU_INVALID */
export function responseData(response: Uint8Array): Uint8Array {
  if (response.length < 2) throw new EmvError('APDU_INVALID', 'a response has at least a status word');
  return response.slice(0, -2);
}
