/**
 * The embedded engine's transactions, with group commit: transactions that wait together run as savepoints inside one outer transaction
 * and are acknowledged after its single durable COMMIT.
 *
 * Invariants: a caller hears of success only after the commit; one failed transaction undoes itself alone; a
 * transaction touches nothing but the database. One that waits for anything else would hold up everybody, so
 * the store sees it and closes itself: nothing may go on behind half a transaction.
 */
import { type SqliteConnection } from './sqlite-connection.ts';
import { StoreError } from './store-error.ts';
import { type RowLocks, type Store, type Transaction } from './store.ts';

/** How many transactions share one commit at most. */
const maxGroupSize = 256;

/** One writer at a time: there is nobody to lock out. */
const noLocks: RowLocks = {
  locked: (query) => query,
  lockedOrSkipped: (query) => query,
  lockName: () => Promise.resolve(),
};

/** The only process that ever holds work here. */
const onlyNode = 0;

interface Waiting {
  /** Runs inside the outer transaction; returns what to do after the commit. */
  run(): Promise<() => void>;
  reject(error: unknown): void;
}

/** Resolves when the event loop turned: a transaction that is still running then waits for something else. */
function nextTurn(): { readonly reached: Promise<'turned'>; cancel(): void } {
  let cancel = (): void => undefined;
  const reached = new Promise<'turned'>((resolve) => {
    const immediate = setImmediate(resolve, 'turned');
    cancel = () => {
      clearImmediate(immediate);
    };
  });
  return { reached, cancel };
}

async function withoutWaiting<T>(work: Promise<T>): Promise<T> {
  const turn = nextTurn();
  try {
    const first = await Promise.race([work.then((value) => ({ value })), turn.reached]);
    if (first === 'turned') {
      throw new StoreError(
        'STORE_TRANSACTION_WAITED',
        'a transaction waited for something outside the database',
      );
    }
    return first.value;
  } finally {
    turn.cancel();
  }
}

/** A store over a database that this process has to itself. */
export function createSqliteStore(connection: SqliteConnection): Store {
  const { raw, kysely } = connection;
  const queue: Waiting[] = [];
  let running: Promise<void> | undefined;
  let closed: StoreError | undefined;

  const undo = (savepoint: string): void => {
    raw.exec(`ROLLBACK TO ${savepoint}`);
    raw.exec(`RELEASE ${savepoint}`);
  };

  const runGroup = async (): Promise<void> => {
    const done: (() => void)[] = [];
    const members: Waiting[] = [];
    try {
      raw.exec('BEGIN IMMEDIATE');
      while (queue.length > 0 && members.length < maxGroupSize) {
        const waiting = queue.shift();
        if (waiting === undefined) break;
        members.push(waiting);
        raw.exec('SAVEPOINT member');
        try {
          done.push(await withoutWaiting(waiting.run()));
          raw.exec('RELEASE member');
        } catch (error) {
          if (error instanceof StoreError && error.code === 'STORE_TRANSACTION_WAITED') throw error;
          undo('member');
          done.push(() => {
            waiting.reject(error);
          });
        }
      }
      raw.exec('COMMIT');
    } catch (error) {
      if (raw.isTransaction) raw.exec('ROLLBACK');
      if (error instanceof StoreError) {
        // What the waiting transaction does later must not reach the database.
        closed = error;
        raw.close();
      }
      for (const member of members) member.reject(error);
      return;
    }
    for (const finish of done) finish();
  };

  const runAll = async (): Promise<void> => {
    // One turn of the event loop gathers the transactions of all requests that came in together.
    await new Promise((resolve) => setImmediate(resolve));
    while (queue.length > 0) {
      if (closed !== undefined) {
        for (const waiting of queue.splice(0)) waiting.reject(closed);
        break;
      }
      await runGroup();
    }
    running = undefined;
  };

  const transaction = <T>(work: (tx: Transaction) => Promise<T>): Promise<T> =>
    new Promise<T>((resolve, reject) => {
      if (closed !== undefined) {
        reject(closed);
        return;
      }
      queue.push({
        run: async () => {
          const afterCommit: (() => void)[] = [];
          const value = await work({
            ...noLocks,
            db: kysely,
            nodeId: onlyNode,
            onCommit: (action) => afterCommit.push(action),
          });
          return () => {
            for (const action of afterCommit) action();
            resolve(value);
          };
        },
        reject,
      });
      running ??= runAll();
    });

  let hasReleased = false;
  return {
    transaction,
    check: () => transaction(() => Promise.resolve()),
    // The holder of any lease that is found at start is dead; later ones are our own.
    releaseLostWork: async () => {
      if (hasReleased) return;
      hasReleased = true;
      await transaction(async (tx) => {
        await tx.db
          .updateTable('due_work')
          .set({ lease_until: null, lease_owner: null })
          .where('lease_until', 'is not', null)
          .execute();
      });
    },
    wakeups: { publish: () => undefined, subscribe: () => undefined },
    close: async () => {
      await running;
      closed ??= new StoreError('STORE_CLOSED', 'the store is closed');
      if (raw.isOpen) raw.close();
    },
  };
}
