/**
 * ICC RSA keys made ahead of time, sealed on disk, because making one takes longer than a customer should wait.
 *
 * Invariants: a key is handed out at most once, also after a crash at any point: its row is deleted and committed
 * (synchronous=FULL) before the key is opened, so that a crash can lose a key and never repeat one; each entry is
 * sealed with its own id and size as context; filling runs beside the caller and never delays `take`. An empty
 * pool makes a key for the caller at once, a bounded number at a time; filling stands back meanwhile, and whoever
 * waits gets the first key there is, pooled or made.
 */
import { randomUUID } from 'node:crypto';
import { DatabaseSync } from 'node:sqlite';
import { KeyError, type KeyErrorCode, type KeyHandle, type KeyPort } from './key-port.ts';

export interface IccKeyPoolOptions {
  readonly keys: KeyPort;
  /** Seals new entries. An entry is opened with the key that sealed it, found by name. */
  readonly sealKey: KeyHandle;
  /** SQLite file, made when absent. */
  readonly file: string;
  /** Modulus lengths held ready, and how many keys of each the pool fills up to in the background. */
  readonly sizes: readonly { readonly bits: number; readonly targetSize: number }[];
  readonly exponent: 3 | 65537;
  /** How many keys are made at a time for callers that found none ready. Default 2. */
  readonly maxOnDemand?: number;
  /** Told when a caller finds the last key of a size gone; again only after the pool had one. */
  readonly onEmpty?: (bits: number) => void;
  /** Told about faults of the background work and about entries that no longer open. */
  readonly onFault?: (fault: unknown) => void;
}

/** A key handle the caller releases, and where the key came from. */
export interface PooledIccKey extends KeyHandle {
  readonly source: 'pool' | 'generated';
}

/** One size of the pool, for health and metrics. Counters begin with the process. */
export interface IccKeyPoolStatus {
  readonly bits: number;
  readonly targetSize: number;
  readonly ready: number;
  readonly takenFromPool: number;
  readonly madeOnDemand: number;
  /** Entries that no longer opened and were dropped. */
  readonly broken: number;
}

interface Counters {
  takenFromPool: number;
  madeOnDemand: number;
  broken: number;
  isKnownEmpty: boolean;
}

const defaultMaxOnDemand = 2;
const unopened: readonly KeyErrorCode[] = ['SEAL_BROKEN', 'KEY_NOT_FOUND', 'KEY_RETIRED'];

const schema = `
  CREATE TABLE IF NOT EXISTS icc_key (
    id       TEXT PRIMARY KEY,
    bits     INTEGER NOT NULL,
    sealed   BLOB NOT NULL,
    seal_key TEXT NOT NULL DEFAULT 'seal/1'
  ) STRICT`;
/** Files of earlier versions lack it: there was one sealing key. */
const sealKeyColumn = `ALTER TABLE icc_key ADD COLUMN seal_key TEXT NOT NULL DEFAULT 'seal/1'`;

export class IccKeyPool {
  readonly #options: IccKeyPoolOptions;
  readonly #database: DatabaseSync;
  readonly #counters = new Map<number, Counters>();
  /** Callers whose turn to make a key has not come. */
  readonly #waiting: (() => void)[] = [];
  #onDemand = 0;
  #filling: Promise<void> | undefined;
  #isClosed = false;

  constructor(options: IccKeyPoolOptions) {
    this.#options = options;
    this.#database = new DatabaseSync(options.file, { timeout: 5_000 });
    this.#database.exec('PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL; PRAGMA secure_delete = ON;');
    this.#database.exec(schema);
    const columns = this.#database.prepare('PRAGMA table_info(icc_key)').all();
    if (!columns.some(({ name }) => name === 'seal_key')) this.#database.exec(sealKeyColumn);
    this.#fillInBackground();
  }

  /** Keys ready to be taken: of one size, or of all. */
  size(bits?: number): number {
    const where = bits === undefined ? '' : 'WHERE bits = ?';
    const counted = this.#database.prepare(`SELECT count(*) AS size FROM icc_key ${where}`);
    const row = bits === undefined ? counted.get() : counted.get(bits);
    return Number(row?.['size'] ?? 0);
  }

  /** Every size that is held ready or was asked for, smallest first. */
  status(): IccKeyPoolStatus[] {
    const targets = new Map(this.#options.sizes.map(({ bits, targetSize }) => [bits, targetSize]));
    const known = new Set([...targets.keys(), ...this.#counters.keys()]);
    return [...known]
      .sort((a, b) => a - b)
      .map((bits) => {
        const { takenFromPool, madeOnDemand, broken } = this.#countersOf(bits);
        const ready = this.#isClosed ? 0 : this.size(bits);
        return { bits, targetSize: targets.get(bits) ?? 0, ready, takenFromPool, madeOnDemand, broken };
      });
  }

  #countersOf(bits: number): Counters {
    const found = this.#counters.get(bits) ?? {
      takenFromPool: 0,
      madeOnDemand: 0,
      broken: 0,
      isKnownEmpty: false,
    };
    this.#counters.set(bits, found);
    return found;
  }

  /**
   * A key nobody got before: from the pool, or made now when the pool has none of this size.
   * @throws KeyError KEY_STORE when the pool is closed
   */
  async take(bits: number): Promise<PooledIccKey> {
    this.#requireOpen();
    const pooled = await this.#takePooled(bits);
    if (pooled) {
      this.#fillInBackground();
      return { ...pooled, source: 'pool' };
    }
    this.#tellEmpty(bits);
    return this.#takeOnDemand(bits);
  }

  #requireOpen(): void {
    if (this.#isClosed) throw new KeyError('KEY_STORE', 'the ICC key pool is closed');
  }

  #tellEmpty(bits: number): void {
    const counters = this.#countersOf(bits);
    if (counters.isKnownEmpty) return;
    counters.isKnownEmpty = true;
    this.#options.onEmpty?.(bits);
  }

  async #takeOnDemand(bits: number): Promise<PooledIccKey> {
    const { keys, exponent, maxOnDemand = defaultMaxOnDemand } = this.#options;
    if (this.#onDemand >= maxOnDemand) await new Promise<void>((resolve) => this.#waiting.push(resolve));
    else this.#onDemand++;
    try {
      this.#requireOpen();
      const pooled = await this.#takePooled(bits);
      if (pooled) return { ...pooled, source: 'pool' };
      const made = await keys.generateRsa(bits, exponent, 'ICC');
      this.#countersOf(bits).madeOnDemand++;
      return { ...made, source: 'generated' };
    } finally {
      // The turn passes to the next in line, or ends.
      const next = this.#waiting.shift();
      if (next) next();
      else this.#onDemand--;
      this.#fillInBackground();
    }
  }

  async #takePooled(bits: number): Promise<KeyHandle | undefined> {
    for (;;) {
      const entry = this.#removeOne(bits);
      if (!entry) return undefined;
      try {
        const { keys } = this.#options;
        const sealKey = await keys.find(entry.sealKey);
        const key = await keys.unsealRsa(sealKey, entry.sealed, contextOf(entry.id, bits));
        this.#countersOf(bits).takenFromPool++;
        this.#countersOf(bits).isKnownEmpty = false;
        return key;
      } catch (error) {
        // A changed entry, or one under a sealing key that is gone, is gone for good; the next one may be sound.
        if (!(error instanceof KeyError) || !unopened.includes(error.code)) throw error;
        this.#countersOf(bits).broken++;
        this.#options.onFault?.(error);
      }
    }
  }

  /** One statement, committed durably before it returns: two processes on one file cannot get one row. */
  #removeOne(bits: number): { id: string; sealed: Uint8Array; sealKey: string } | undefined {
    // all(), not get(): the statement runs to its end, where SQLite commits.
    const [row] = this.#database
      .prepare(
        `DELETE FROM icc_key
         WHERE id = (SELECT id FROM icc_key WHERE bits = ? ORDER BY rowid LIMIT 1)
         RETURNING id, sealed, seal_key`,
      )
      .all(bits);
    const id = row?.['id'];
    const sealed = row?.['sealed'];
    const sealKey = row?.['seal_key'];
    if (typeof id !== 'string' || !(sealed instanceof Uint8Array) || typeof sealKey !== 'string')
      return undefined;
    return { id, sealed, sealKey };
  }

  #fillInBackground(): void {
    if (this.#filling || this.#isClosed || this.#onDemand > 0) return;
    this.#filling = this.#fill()
      .catch((error: unknown) => this.#options.onFault?.(error))
      .finally(() => {
        this.#filling = undefined;
      });
  }

  /** The size that is furthest from its target, or undefined when all have reached theirs. */
  #emptiest(): number | undefined {
    const wanting = this.#options.sizes
      .map(({ bits, targetSize }) => ({ bits, filled: targetSize === 0 ? 1 : this.size(bits) / targetSize }))
      .filter(({ filled }) => filled < 1)
      .sort((a, b) => a.filled - b.filled);
    return wanting[0]?.bits;
  }

  async #fill(): Promise<void> {
    const { keys, sealKey, exponent } = this.#options;
    // A caller that waits for a key needs the processor more than the pool does.
    while (!this.#isClosed && this.#onDemand === 0) {
      const bits = this.#emptiest();
      if (bits === undefined) return;
      const key = await keys.generateRsa(bits, exponent, 'ICC');
      const id = randomUUID();
      try {
        const sealed = await keys.sealRsa(sealKey, key, contextOf(id, bits));
        this.#database
          .prepare('INSERT INTO icc_key (id, bits, sealed, seal_key) VALUES (?, ?, ?, ?)')
          .run(id, bits, sealed, sealKey.id);
      } finally {
        await keys.release(key);
      }
    }
  }

  /** Resolves when the running background fill, if any, came to its end. */
  async filled(): Promise<void> {
    await this.#filling;
  }

  /** Stops filling, waits for the key being made, closes the file. Whoever waits is refused. Safe to call twice. */
  async close(): Promise<void> {
    if (this.#isClosed) return;
    this.#isClosed = true;
    for (const wake of this.#waiting.splice(0)) wake();
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
