/**
 * Transactions on PostgreSQL: READ COMMITTED with explicit locks, run again after a lost race.
 *
 * Invariants: `onCommit` belongs to the attempt that committed, and runs after it; a COMMIT counts only when the
 * server says COMMIT without a warning, since with one the commit may exist on this server alone; a failure whose
 * outcome is not known is STORE_UNAVAILABLE, never a success and never run again by us.
 */
import { createHash } from 'node:crypto';
import { setTimeout as pause } from 'node:timers/promises';
import { type PostgresConfig } from '../config.ts';
import { createPostgresPool, type Leased, schemaOf } from './postgres-connection.ts';
import { isConflict } from './postgres-error.ts';
import { nodeLockClass, type PostgresNode } from './postgres-node.ts';
import { isUnavailable, StoreError } from './store-error.ts';
import { type Store, type Transaction } from './store.ts';
import { sql } from 'kysely';

/** A race is lost to somebody who won it, so a few runs are always enough; more would hide a bug. */
const maxAttempts = 8;
const longestPauseMs = 20;

/** A name as the 64-bit number that advisory locks have. Two names with one number only wait for each other. */
export function lockKeyOf(...names: readonly string[]): string {
  return createHash('sha256').update(names.join('\n')).digest().readBigInt64BE(0).toString();
}

interface Attempt<T> {
  readonly value: T;
  readonly afterCommit: readonly (() => void)[];
}

function transactionOn(
  leased: Leased,
  nodeId: number,
  schema: string,
  afterCommit: (() => void)[],
): Transaction {
  return {
    db: leased.kysely,
    nodeId,
    onCommit: (action) => afterCommit.push(action),
    // Not FOR UPDATE: rows that only refer to a locked one need not wait.
    locked: (query) => query.forNoKeyUpdate(),
    lockedOrSkipped: (query) => query.forNoKeyUpdate().skipLocked(),
    lockName: async (kind, name) => {
      await leased.query('SELECT pg_advisory_xact_lock($1::bigint)', [lockKeyOf(schema, kind, name)]);
    },
  };
}

async function commit(leased: Leased): Promise<void> {
  const before = leased.warnings();
  const { command } = await leased.query('COMMIT');
  if (command !== 'COMMIT') throw new Error('the transaction went on after a statement of it had failed');
  if (leased.warnings() !== before) {
    throw new StoreError('STORE_UNAVAILABLE', 'the commit is not confirmed to be durable');
  }
}

async function attempt<T>(
  leased: Leased,
  nodeId: number,
  schema: string,
  work: (tx: Transaction) => Promise<T>,
): Promise<Attempt<T>> {
  const afterCommit: (() => void)[] = [];
  await leased.query('BEGIN ISOLATION LEVEL READ COMMITTED');
  try {
    const value = await work(transactionOn(leased, nodeId, schema, afterCommit));
    await commit(leased);
    return { value, afterCommit };
  } catch (error) {
    // Also when the connection is gone: then this fails too, and the first failure is the one to tell.
    if (!isUnavailable(error)) await leased.query('ROLLBACK');
    throw error;
  }
}

/** Opens a store on a database that is at the newest schema. `node` is this node's presence in it. */
export function createPostgresStore(config: PostgresConfig, node: PostgresNode): Store {
  const pool = createPostgresPool(config);
  const schema = schemaOf(config);
  const underWay = new Set<Promise<unknown>>();
  let isClosed = false;

  const runOnce = async <T>(work: (tx: Transaction) => Promise<T>): Promise<Attempt<T>> => {
    const leased = await pool.lease();
    let isBroken = false;
    try {
      return await attempt(leased, node.nodeId, schema, work);
    } catch (error) {
      isBroken = isUnavailable(error);
      throw error;
    } finally {
      leased.release(isBroken);
    }
  };

  const run = async <T>(work: (tx: Transaction) => Promise<T>): Promise<T> => {
    for (let tries = 1; ; tries++) {
      try {
        const { value, afterCommit } = await runOnce(work);
        for (const action of afterCommit) action();
        return value;
      } catch (error) {
        if (!isConflict(error) || tries >= maxAttempts) throw error;
        await pause(Math.random() * Math.min(longestPauseMs, 2 ** tries));
      }
    }
  };

  const transaction = async <T>(work: (tx: Transaction) => Promise<T>): Promise<T> => {
    if (isClosed) throw new StoreError('STORE_CLOSED', 'the store is closed');
    const one = run(work);
    underWay.add(one);
    try {
      return await one;
    } finally {
      underWay.delete(one);
    }
  };

  return {
    transaction,
    check: () =>
      transaction(async (tx) => {
        const { rows } = await sql<{ reads: boolean }>`SELECT pg_is_in_recovery() AS reads`.execute(tx.db);
        if (rows[0]?.reads !== false) throw new StoreError('STORE_UNAVAILABLE', 'the database only reads');
      }),
    // A node holds a lock for as long as it lives: leases of nodes without one are nobody's.
    releaseLostWork: () =>
      transaction(async (tx) => {
        await tx.db
          .updateTable('due_work')
          .set({ lease_until: null, lease_owner: null })
          .where('lease_owner', 'is not', null)
          .where(
            sql<boolean>`NOT EXISTS (SELECT 1 FROM pg_locks WHERE locktype = 'advisory' AND classid = ${sql.lit(nodeLockClass)}
              AND objid = lease_owner AND objsubid = 2 AND granted
              AND database = (SELECT oid FROM pg_database WHERE datname = current_database()))`,
          )
          .execute();
      }),
    wakeups: node.wakeups,
    close: async () => {
      isClosed = true;
      await Promise.allSettled(underWay);
      await node.close();
      await pool.close();
    },
  };
}
