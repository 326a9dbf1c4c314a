/**
 * Keeps the ledger in `desk.json`, so that a killed simulator is a power cut: what was where stays there.
 *
 * Invariant: the file is replaced whole; a reader sees the ledger before a change or after it, never half.
 */
import { mkdirSync, readFileSync, renameSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { type DeskLedger, type LedgerEvent, applyLedgerEvent, emptyLedger } from './desk-ledger.ts';

export class DeskFile {
  readonly folder: string;
  readonly #file: string;
  #ledger: DeskLedger;

  constructor(folder: string) {
    this.folder = folder;
    mkdirSync(folder, { recursive: true });
    this.#file = join(folder, 'desk.json');
    this.#ledger = readLedger(this.#file) ?? emptyLedger;
  }

  get ledger(): DeskLedger {
    return this.#ledger;
  }

  /** True until the first event: nobody ever used this desk. */
  get isNew(): boolean {
    return this.#ledger === emptyLedger;
  }

  record(event: LedgerEvent): void {
    this.#ledger = applyLedgerEvent(this.#ledger, event);
    replaceFile(this.#file, `${JSON.stringify(this.#ledger, null, 1)}\n`);
  }
}

/** Writes a file so that readers see the old content or the new one. */
export function replaceFile(file: string, content: string | Uint8Array): void {
  const draft = `${file}.new`;
  writeFileSync(draft, content);
  renameSync(draft, file);
}

function readLedger(file: string): DeskLedger | undefined {
  let text: string;
  try {
    text = readFileSync(file, 'utf8');
  } catch (error) {
    if ((error as { code?: string }).code === 'ENOENT') return undefined;
    throw error;
  }
  return JSON.parse(text) as DeskLedger;
}
