/**
 * Data object lists: tag and length pairs (EMV Book 3, 5.4).
 *
 * Invariant: `buildDolData` returns exactly as many bytes as the list's lengths add up to.
 */
import { hex, unhex } from './bytes.ts';
import { EmvError } from './emv-error.ts';
import { readTagLength } from './tlv.ts';
import { tagFormat } from './tag-dictionary.ts';

export interface DolEntry {
  /** Upper-case hexadecimal. */
  readonly tag: string;
  /** Bytes. */
  readonly length: number;
}

/** Parses a DOL (PDOL, CDOL1, CDOL2, DDOL…). @throws EmvError DOL_INVALID */
export function parseDol(bytes: Uint8Array): DolEntry[] {
  const entries: DolEntry[] = [];
  let offset = 0;
  while (offset < bytes.length) {
    const tagLength = readDolTagLength(bytes, offset);
    const length = bytes[offset + tagLength];
    if (length === undefined) throw new EmvError('DOL_INVALID', 'the last tag has no length');
    entries.push({ tag: hex(bytes.subarray(offset, offset + tagLength)), length });
    offset += tagLength + 1;
  }
  return entries;
}

function readDolTagLength(bytes: Uint8Array, offset: number): number {
  try {
    return readTagLength(bytes, offset);
  } catch {
    throw new EmvError('DOL_INVALID', 'not a well-formed tag');
  }
}

/** Encodes a DOL. @throws EmvError DOL_INVALID for a length above 255 or a malformed tag */
export function encodeDol(entries: readonly DolEntry[]): Uint8Array {
  const bytes: number[] = [];
  for (const { tag, length } of entries) {
    const tagBytes = unhex(tag);
    if (tagBytes.length === 0 || readDolTagLength(tagBytes, 0) !== tagBytes.length) {
      throw new EmvError('DOL_INVALID', 'not one complete tag');
    }
    if (!Number.isInteger(length) || length < 0 || length > 0xff) {
      throw new EmvError('DOL_INVALID', 'a length is one byte');
    }
    bytes.push(...tagBytes, length);
  }
  return Uint8Array.from(bytes);
}

/** Number of bytes that the list asks for. */
export function dolDataLength(entries: readonly DolEntry[]): number {
  return entries.reduce((sum, entry) => sum + entry.length, 0);
}

/**
 * Builds the data for a DOL by the rules of Book 3, 5.4: a missing or constructed object is zeros; too long values
 * lose their leftmost bytes when numeric (n) and their rightmost bytes otherwise; too short ones are padded with
 * leading zeros (n), trailing FF (cn) or trailing zeros (all others).
 */
export function buildDolData(
  dol: Uint8Array | readonly DolEntry[],
  values: ReadonlyMap<string, Uint8Array>,
): Uint8Array {
  const entries = dol instanceof Uint8Array ? parseDol(dol) : dol;
  const result = new Uint8Array(dolDataLength(entries));
  let offset = 0;
  for (const { tag, length } of entries) {
    result.set(fit(values.get(tag), length, tagFormat(tag)), offset);
    offset += length;
  }
  return result;
}

function fit(value: Uint8Array | undefined, length: number, format: string): Uint8Array {
  if (value === undefined) return new Uint8Array(length);
  if (value.length > length) {
    return format === 'n' ? value.slice(value.length - length) : value.slice(0, length);
  }
  const fitted = new Uint8Array(length).fill(format === 'cn' ? 0xff : 0x00);
  fitted.set(value, format === 'n' ? length - value.length : 0);
  return fitted;
}

/** Splits DOL data into its values by tag. @throws EmvError DOL_INVALID when the length does not match */
export function splitDolData(
  dol: Uint8Array | readonly DolEntry[],
  data: Uint8Array,
): Map<string, Uint8Array> {
  const entries = dol instanceof Uint8Array ? parseDol(dol) : dol;
  if (dolDataLength(entries) !== data.length) {
    throw new EmvError('DOL_INVALID', 'the data does not have the length the list asks for');
  }
  const values = new Map<string, Uint8Array>();
  let offset = 0;
  for (const { tag, length } of entries) {
    values.set(tag, data.slice(offset, offset + length));
    offset += length;
  }
  return values;
}
