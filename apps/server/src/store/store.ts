/**
 * What the server asks of a storage engine: transactions, and a word to the other nodes.
 *
 * Invariants: a caller hears of success only after a durable commit; a transaction touches nothing but the
 * database, and may be run again from its beginning (another engine's conflict), so it changes nothing else before
 * `onCommit`. Where writers run side by side, a transaction locks what it looks at before it decides, in one order
 * for all of them: station, order, card, due work.
 */
import { type Kysely, type SelectQueryBuilder } from 'kysely';
import { type Tables } from './tables.ts';

/** Row locks, the one thing that the engines do differently: SQLite has a single writer and needs none. */
export interface RowLocks {
  /** `query`, with the rows it finds locked until the end of the transaction and read after the wait. */
  locked<TB extends keyof Tables, O>(
    query: SelectQueryBuilder<Tables, TB, O>,
  ): SelectQueryBuilder<Tables, TB, O>;
  /** The same, but rows that another transaction holds are passed over. */
  lockedOrSkipped<TB extends keyof Tables, O>(
    query: SelectQueryBuilder<Tables, TB, O>,
  ): SelectQueryBuilder<Tables, TB, O>;
  /** Waits until no other transaction holds this name: for what has no row of its own to lock. */
  lockName(kind: 'card' | 'catalogue', name: string): Promise<void>;
}

export interface Transaction extends RowLocks {
  readonly db: Kysely<Tables>;
  /** Who leases work here: the number of this node. */
  readonly nodeId: number;
  /** Runs `action` after the commit, before the caller goes on; never when the transaction is undone. */
  onCommit(action: () => void): void;
}

/** What one node tells the others; `everything` also stands for what may have been missed. */
export type Wakeup =
  | { readonly about: 'station'; readonly stationId: string }
  | { readonly about: 'work' }
  | { readonly about: 'everything' };

/** Words between the nodes on one database. A lost one costs time only: everybody also polls. */
export interface Wakeups {
  /** Tells the other nodes, soon and together with what else there is to tell. Never fails. */
  publish(wakeup: Exclude<Wakeup, { about: 'everything' }>): void;
  /** Hears what other nodes say, and `everything` after words may have been lost. */
  subscribe(listener: (wakeup: Wakeup) => void): void;
}

export interface Store {
  /** Runs `work` in a transaction and resolves with its value once it is durable. @throws StoreError */
  transaction<T>(work: (tx: Transaction) => Promise<T>): Promise<T>;
  /** Resolves when the database can be written to. @throws StoreError STORE_UNAVAILABLE */
  check(): Promise<void>;
  /** Takes back the leases of nodes that are gone. */
  releaseLostWork(): Promise<void>;
  readonly wakeups: Wakeups;
  /** Finishes what waits, then closes the database. */
  close(): Promise<void>;
}
