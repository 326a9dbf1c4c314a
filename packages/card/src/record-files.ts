/**
 * The linear files of an application: records by short file identifier and number.
 *
 * Invariants: a record of SFI 1 to 10 is exactly one template 70 and fits a short READ RECORD answer; records
 * are returned byte for byte as they were stored.
 */
import { parseTlv } from '@cardwright/emv';
import { type StatusWord, SW } from './status-word.ts';

const MAX_RECORD_BYTES = 254;
const MAX_SFI = 30;
const MAX_TEMPLATE_SFI = 10;

/** Where a record DGI (01xx to 1Exx) belongs; undefined for any other DGI. */
export function recordPlace(dgiId: string): { sfi: number; record: number } | undefined {
  const sfi = Number.parseInt(dgiId.slice(0, 2), 16);
  const record = Number.parseInt(dgiId.slice(2, 4), 16);
  if (sfi < 1 || sfi > MAX_SFI || record === 0 || record === 0xff) return undefined;
  return { sfi, record };
}

/** Whether a value may be stored as a record of that file. */
export function isRecordValue(sfi: number, value: Uint8Array): boolean {
  if (value.length === 0 || value.length > MAX_RECORD_BYTES) return false;
  if (sfi > MAX_TEMPLATE_SFI) return true;
  try {
    const nodes = parseTlv(value);
    return nodes.length === 1 && nodes[0]?.tag === '70';
  } catch {
    return false;
  }
}

export class RecordFiles {
  readonly #files = new Map<number, Map<number, Uint8Array>>();

  store(sfi: number, record: number, value: Uint8Array): void {
    const file = this.#files.get(sfi) ?? new Map<number, Uint8Array>();
    file.set(record, value);
    this.#files.set(sfi, file);
  }

  has(sfi: number, record: number): boolean {
    return this.#files.get(sfi)?.has(record) ?? false;
  }

  /** Every record, file by file in ascending order. */
  all(): Uint8Array[] {
    return [...this.#files.entries()]
      .sort(([left], [right]) => left - right)
      .flatMap(([, file]) => [...file.entries()].sort(([left], [right]) => left - right))
      .map(([, value]) => value);
  }

  /** READ RECORD: P1 the record number, P2 the SFI in the upper five bits and 100 below. */
  read(p1: number, p2: number): { ok: true; value: Uint8Array } | { ok: false; statusWord: StatusWord } {
    const sfi = p2 >> 3;
    if ((p2 & 0x07) !== 0x04 || sfi === 0 || sfi > MAX_SFI)
      return { ok: false, statusWord: SW.parametersWrong };
    const file = this.#files.get(sfi);
    if (file === undefined) return { ok: false, statusWord: SW.fileNotFound };
    const value = file.get(p1);
    return value === undefined ? { ok: false, statusWord: SW.recordNotFound } : { ok: true, value };
  }
}
