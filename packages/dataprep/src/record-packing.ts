/**
 * Packs data objects into records that a short READ RECORD can return.
 *
 * Invariant: no record is longer than 254 bytes with its template 70, and its bytes never change after packing:
 * signed static data must be what the card returns.
 */
import { type AflEntry, concatBytes, tlv } from '@cardwright/emv';
import { DataPreparationError } from './data-preparation-error.ts';

/** Longest record, template included, that a short READ RECORD returns with a margin (emv.md, record packing). */
export const maxRecordBytes = 254;

export interface CardRecord {
  readonly sfi: number;
  readonly record: number;
  /** Template 70 with its length, as the card returns it. */
  readonly bytes: Uint8Array;
  readonly isSigned: boolean;
}

/**
 * Packs encoded data objects, in order, into as few records of one file as possible.
 * @throws DataPreparationError RECORD_TOO_LONG when one object alone does not fit
 */
export function packRecords(sfi: number, objects: readonly Uint8Array[], isSigned: boolean): CardRecord[] {
  const groups: Uint8Array[][] = [];
  let group: Uint8Array[] = [];
  for (const object of objects) {
    if (group.length > 0 && template([...group, object]).length > maxRecordBytes) {
      groups.push(group);
      group = [];
    }
    group.push(object);
    if (template(group).length > maxRecordBytes) {
      throw new DataPreparationError('RECORD_TOO_LONG', `a data object does not fit a record of SFI ${sfi}`);
    }
  }
  if (group.length > 0) groups.push(group);
  return groups.map((objectsOfRecord, index) => ({
    sfi,
    record: index + 1,
    bytes: template(objectsOfRecord),
    isSigned,
  }));
}

function template(objects: readonly Uint8Array[]): Uint8Array {
  return tlv('70', concatBytes(...objects));
}

/** The DGI that carries a record: SFI, then record number. */
export function recordDgi(record: CardRecord): string {
  return [record.sfi, record.record].map((n) => n.toString(16).toUpperCase().padStart(2, '0')).join('');
}

/** One AFL entry per file, in the order of the records; a file's records are all signed or all unsigned. */
export function aflEntries(records: readonly CardRecord[]): AflEntry[] {
  const files = new Map<number, CardRecord[]>();
  for (const record of records) files.set(record.sfi, [...(files.get(record.sfi) ?? []), record]);
  return [...files].map(([sfi, ofFile]) => ({
    sfi,
    first: 1,
    last: ofFile.length,
    odaRecords: ofFile.filter((record) => record.isSigned).length,
  }));
}
