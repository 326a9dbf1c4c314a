/**
 * Data groupings of EMV Card Personalization (CPS 3.2): two-byte identifier, length, value.
 *
 * The length is one byte up to 254, else FF and two bytes: not the BER coding used inside the values.
 */
import { concatBytes, hex, unhex } from './bytes.ts';
import { EmvError } from './emv-error.ts';

export interface Dgi {
  /** Four upper-case hexadecimal digits. */
  readonly id: string;
  readonly value: Uint8Array;
}

/** Encodes one data grouping. @throws EmvError DGI_INVALID for a bad identifier or more than 65535 bytes */
export function encodeDgi(id: string, value: Uint8Array): Uint8Array {
  if (!/^[0-9A-Fa-f]{4}$/.test(id)) throw new EmvError('DGI_INVALID', 'an identifier is two bytes');
  return concatBytes(unhex(id), encodeDgiLength(value.length), value);
}

function encodeDgiLength(length: number): Uint8Array {
  if (length < 0xff) return Uint8Array.of(length);
  if (length <= 0xffff) return Uint8Array.of(0xff, length >> 8, length & 0xff);
  throw new EmvError('DGI_INVALID', 'a value has at most 65535 bytes');
}

/**
 * Reads one data grouping at `offset`, or says how many bytes are needed at least when `bytes` ends before it:
 * STORE DATA may cut a data grouping at any byte.
 */
export function readDgi(
  bytes: Uint8Array,
  offset: number,
): { complete: true; dgi: Dgi; nextOffset: number } | { complete: false; neededBytes: number } {
  const available = bytes.length - offset;
  const first = bytes[offset + 2];
  if (first === undefined) return { complete: false, neededBytes: 3 - Math.max(available, 0) };
  const isLong = first === 0xff;
  const headerLength = isLong ? 5 : 3;
  if (available < headerLength) return { complete: false, neededBytes: headerLength - available };
  const length = isLong ? ((bytes[offset + 3] ?? 0) << 8) | (bytes[offset + 4] ?? 0) : first;
  const end = offset + headerLength + length;
  if (bytes.length < end) return { complete: false, neededBytes: end - bytes.length };
  const id = hex(bytes.subarray(offset, offset + 2));
  return { complete: true, dgi: { id, value: bytes.slice(offset + headerLength, end) }, nextOffset: end };
}

/** Parses a sequence of whole data groupings. @throws EmvError DGI_INVALID when the last one is cut */
export function parseDgis(bytes: Uint8Array): Dgi[] {
  const dgis: Dgi[] = [];
  let offset = 0;
  while (offset < bytes.length) {
    const read = readDgi(bytes, offset);
    if (!read.complete) throw new EmvError('DGI_INVALID', 'the last data grouping is cut');
    dgis.push(read.dgi);
    offset = read.nextOffset;
  }
  return dgis;
}
