/**
 * ICC RSA keys made ahead of time, sealed on disk, because making one takes longer than a customer should wait.
 *
 * Invariants: a key is handed out at most once, also after a crash at any point: its row is deleted and committed
 * (synchronous=FULL) before the key is opened, so that a crash can lose a key and never repeat one; each entry is
 * sealed with its own id and size as context; filling runs beside the caller and never delays `take`.
 */
import { randomUUID } from 'node:crypto';
import { DatabaseSync } from 'node:sqlite';
import { KeyError, type KeyHandle, type KeyPort } from './key-port.ts';

export interface IccKeyPoolOptions {
  readonly keys: KeyPort;
  readonly sealKey: KeyHandle;
  /** SQLite file, made when absent. */
  readonly file: string;
  /** Modulus length of the pooled keys. */
  readonly bits: number;
  readonly exponent: 3 | 65537;
  /** The pool fills up to this many keys in the background. */
  readonly targetSize: number;
  /** Told about faults of the background work and about entries that no longer open. */
  readonly onFault?: (fault: unknown) => void;
}

/** A key handle the caller releases, and where the key came from. */
export interface PooledIccKey extends KeyHandle {
  readonly source: 'pool' | 'generated';
}

const schema = `
  CREATE TABLE IF NOT EXISTS icc_key (
    id     TEXT PRIMARY KEY,
    bits   INTEGER NOT NULL,
    sealed BLOB NOT NULL
  ) STRICT`;

export class IccKeyPool {
  readonly #options: IccKeyPoolOptions;
  readonly #database: DatabaseSync;
  #filling: Promise<void> | undefined;
  #isClosed = false;

  constructor(options: IccKeyPoolOptions) {
    this.#options = options;
    this.#database = new DatabaseSync(options.file, { timeout: 5_000 });
    this.#database.exec('PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL; PRAGMA secure_delete = ON;');
    this.#database.exec(schema);
    this.#fillInBackground();
  }

  /** Keys ready to be taken. */
  size(): number {
    const row = this.#database
      .prepare('SELECT count(*) AS size FROM icc_key WHERE bits = ?')
      .get(this.#options.bits);
    return Number(row?.['size'] ?? 0);
  }

  /**
   * A key nobody got before: from the pool, or made now when the pool has none of this size.
   * @throws KeyError KEY_STORE when the pool is closed
   */
  async take(bits: number): Promise<PooledIccKey> {
    if (this.#isClosed) throw new KeyError('KEY_STORE', 'the ICC key pool is closed');
    try {
      const pooled = await this.#takePooled(bits);
      if (pooled) return { ...pooled, source: 'pool' };
    } finally {
      this.#fillInBackground();
    }
    const made = await this.#options.keys.generateRsa(bits, this.#options.exponent, 'ICC');
    return { ...made, source: 'generated' };
  }

  async #takePooled(bits: number): Promise<KeyHandle | undefined> {
    for (;;) {
      const entry = this.#removeOne(bits);
      if (!entry) return undefined;
      try {
        const { keys, sealKey } = this.#options;
        return await keys.unsealRsa(sealKey, entry.sealed, contextOf(entry.id, bits));
      } catch (error) {
        // A changed entry, or one under a retired seal key, is gone for good; the next one may be sound.
        if (!(error instanceof KeyError) || error.code !== 'SEAL_BROKEN') throw error;
        this.#options.onFault?.(error);
      }
    }
  }

  /** One statement, committed durably before it returns: two processes on one file cannot get one row. */
  #removeOne(bits: number): { id: string; sealed: Uint8Array } | undefined {
    // all(), not get(): the statement runs to its end, where SQLite commits.
    const [row] = this.#database
      .prepare(
        `DELETE FROM icc_key
         WHERE id = (SELECT id FROM icc_key WHERE bits = ? ORDER BY rowid LIMIT 1)
         RETURNING id, sealed`,
      )
      .all(bits);
    const id = row?.['id'];
    const sealed = row?.['sealed'];
    return typeof id === 'string' && sealed instanceof Uint8Array ? { id, sealed } : undefined;
  }

  #fillInBackground(): void {
    if (this.#filling || this.#isClosed) return;
    this.#filling = this.#fill()
      .catch((error: unknown) => this.#options.onFault?.(error))
      .finally(() => {
        this.#filling = undefined;
      });
  }

  async #fill(): Promise<void> {
    const { keys, sealKey, bits, exponent, targetSize } = this.#options;
    while (!this.#isClosed && this.size() < targetSize) {
      const key = await keys.generateRsa(bits, exponent, 'ICC');
      const id = randomUUID();
      try {
        const sealed = await keys.sealRsa(sealKey, key, contextOf(id, bits));
        this.#database
          .prepare('INSERT INTO icc_key (id, bits, sealed) VALUES (?, ?, ?)')
          .run(id, bits, sealed);
      } finally {
        await keys.release(key);
      }
    }
  }

  /** Resolves when the running background fill, if any, came to its end. */
  async filled(): Promise<void> {
    await this.#filling;
  }

  /** Stops filling, waits for the key being made, closes the file. Safe to call twice. */
  async close(): Promise<void> {
    if (this.#isClosed) return;
    this.#isClosed = true;
    await this.#filling;
    this.#database.close();
  }
}

/** Opens the pool and begins to fill it. */
export function openIccKeyPool(options: IccKeyPoolOptions): IccKeyPool {
  return new IccKeyPool(options);
}

function contextOf(id: string, bits: number): string {
  return `icc-key-pool/${bits}/${id}`;
}
