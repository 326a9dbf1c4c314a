/**
 * Application file locator (EMV Book 3, 10.2) and the static data to be authenticated (Book 3, 10.3).
 *
 * Invariants: SFI 1..30, records 1..255, first ≤ last, the signed records lie inside the range.
 */
import { concatBytes } from './bytes.ts';
import { EmvError } from './emv-error.ts';
import { parseTlv } from './tlv.ts';

export interface AflEntry {
  readonly sfi: number;
  readonly first: number;
  readonly last: number;
  /** How many records, counted from `first`, take part in offline data authentication. */
  readonly odaRecords: number;
}

function isValid({ sfi, first, last, odaRecords }: AflEntry): boolean {
  return (
    [sfi, first, last, odaRecords].every((value) => Number.isInteger(value)) &&
    sfi >= 1 &&
    sfi <= 30 &&
    first >= 1 &&
    last >= first &&
    last <= 0xff &&
    odaRecords >= 0 &&
    odaRecords <= last - first + 1
  );
}

/** Encodes an AFL, four bytes an entry. @throws EmvError AFL_INVALID */
export function encodeAfl(entries: readonly AflEntry[]): Uint8Array {
  return Uint8Array.from(
    entries.flatMap((entry) => {
      if (!isValid(entry)) throw new EmvError('AFL_INVALID', 'an entry is out of range');
      return [entry.sfi << 3, entry.first, entry.last, entry.odaRecords];
    }),
  );
}

/** Parses an AFL. @throws EmvError AFL_INVALID */
export function parseAfl(bytes: Uint8Array): AflEntry[] {
  if (bytes.length === 0 || bytes.length % 4 !== 0) {
    throw new EmvError('AFL_INVALID', 'the length is a multiple of four');
  }
  const entries: AflEntry[] = [];
  for (let offset = 0; offset < bytes.length; offset += 4) {
    const [file = 0, first = 0, last = 0, odaRecords = 0] = bytes.subarray(offset, offset + 4);
    const entry = { sfi: file >> 3, first, last, odaRecords };
    if ((file & 0x07) !== 0 || !isValid(entry)) throw new EmvError('AFL_INVALID', 'an entry is out of range');
    entries.push(entry);
  }
  return entries;
}

/** One record that an AFL marks for offline data authentication, as READ RECORD returns it. */
export interface OdaRecord {
  readonly sfi: number;
  readonly record: Uint8Array;
}

/** The records that the AFL marks for offline data authentication, in AFL order. */
export function odaRecordNumbers(entries: readonly AflEntry[]): { sfi: number; record: number }[] {
  return entries.flatMap(({ sfi, first, odaRecords }) =>
    Array.from({ length: odaRecords }, (_, index) => ({ sfi, record: first + index })),
  );
}

/**
 * Static data to be authenticated: for SFI 1..10 the contents of template 70 without its tag and length, for
 * SFI 11..30 the whole record, then the values that the static data authentication tag list (9F4A) names.
 * @param records the marked records in AFL order
 * @param tagListValues values of the tags of 9F4A in order; only the AIP (82) is allowed
 * @throws EmvError RECORD_INVALID when a record of SFI 1..10 is not exactly one template 70
 */
export function staticDataToAuthenticate(
  records: readonly OdaRecord[],
  tagListValues: readonly Uint8Array[],
): Uint8Array {
  const parts = records.map(({ sfi, record }) => (sfi <= 10 ? template70(record) : record));
  return concatBytes(...parts, ...tagListValues);
}

function template70(record: Uint8Array): Uint8Array {
  const nodes = parseTlv(record);
  const [only] = nodes;
  if (nodes.length !== 1 || only?.tag !== '70') {
    throw new EmvError('RECORD_INVALID', 'a signed record is one template 70');
  }
  return only.value;
}
