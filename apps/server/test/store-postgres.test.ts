import assert from 'node:assert/strict';
import { afterEach, before, beforeEach, describe, it } from 'node:test';
import { createLogger, systemClock } from '@cardwright/runtime';
import { type PostgresCluster } from '@cardwright/testkit';
import { sql } from 'kysely';
import { type PostgresConfig } from '../src/config.ts';
import { claimWork, scheduleWork } from '../src/due-work/due-work.ts';
import { recordEvent } from '../src/store/history.ts';
import { openStore } from '../src/store/open-store.ts';
import { isUnavailable } from '../src/store/store-error.ts';
import { type Store, type Transaction, type Wakeup } from '../src/store/store.ts';
import { freshSchema, sharedCluster } from './support/engines.ts';
import { eventually } from './support/eventually.ts';

const logger = createLogger('server', { level: 'silent' });

/** A promise and the function that ends its waiting. */
function gate(): { readonly passed: Promise<void>; open(): void } {
  let open: () => void = () => undefined;
  const passed = new Promise<void>((resolve) => {
    open = resolve;
  });
  return { passed, open: () => open() };
}

describe('two nodes on one PostgreSQL', () => {
  let cluster: PostgresCluster;
  let config: PostgresConfig;
  let a: Store;
  let b: Store;
  const open = (): Promise<Store> =>
    openStore(
      { database: config, environment: 'sandbox', dataFolder: '/nonexistent' },
      { clock: systemClock, logger },
    );
  before(async () => {
    cluster = await sharedCluster();
  });
  beforeEach(async () => {
    config = freshSchema(cluster);
    // Together: one migrates, the other waits for it.
    [a, b] = await Promise.all([open(), open()]);
  });
  afterEach(async () => {
    await Promise.all([a.close(), b.close()]);
  });

  const works = (store: Store): Promise<string[]> =>
    store.transaction(async (tx) => {
      const rows = await tx.db.selectFrom('due_work').select('subject_id').orderBy('subject_id').execute();
      return rows.map((row) => row.subject_id);
    });

  it('reads BIGINT as a number, also from a function', async () => {
    await a.transaction((tx) => scheduleWork(tx, 'notify', 'x', 1_900_000_000_123));
    const row = await b.transaction((tx) =>
      tx.db
        .selectFrom('due_work')
        .select((eb) => ['due_at', eb.fn.max('due_at').over().as('last')])
        .executeTakeFirstOrThrow(),
    );
    assert.deepEqual(row, { due_at: 1_900_000_000_123, last: 1_900_000_000_123 });
  });

  it('undo a failing transaction alone, and do nothing of what was to follow its commit', async () => {
    const happened: string[] = [];
    const failing = a.transaction(async (tx) => {
      tx.onCommit(() => happened.push('must not happen'));
      await scheduleWork(tx, 'notify', 'lost', 0);
      throw new Error('refused');
    });
    await assert.rejects(failing, /refused/);
    await a.transaction(async (tx) => {
      tx.onCommit(() => happened.push('committed'));
      await scheduleWork(tx, 'notify', 'kept', 0);
    });
    assert.deepEqual(await works(b), ['kept']);
    assert.deepEqual(happened, ['committed']);
  });

  it('run side by side: a transaction that waits holds up nobody else', async () => {
    const stays = gate();
    const slow = a.transaction(async (tx) => {
      await scheduleWork(tx, 'notify', 'slow', 0);
      await stays.passed;
    });
    await a.transaction((tx) => scheduleWork(tx, 'notify', 'quick', 0));
    assert.deepEqual(await works(b), ['quick']);
    stays.open();
    await slow;
    assert.deepEqual(await works(b), ['quick', 'slow']);
  });

  it('run the loser of a deadlock again from its beginning, and only the attempt that committed has effects', async () => {
    await a.transaction(async (tx) => {
      await scheduleWork(tx, 'notify', '1', 0);
      await scheduleWork(tx, 'notify', '2', 0);
    });
    const attempts: string[] = [];
    const effects: string[] = [];
    const meeting = [gate(), gate()];
    const crossing = (
      store: Store,
      name: string,
      first: string,
      second: string,
      own: number,
    ): Promise<void> =>
      store.transaction(async (tx) => {
        attempts.push(name);
        tx.onCommit(() => effects.push(name));
        await scheduleWork(tx, 'notify', first, 1);
        meeting[own]?.open();
        await meeting[1 - own]?.passed;
        await scheduleWork(tx, 'notify', second, 1);
      });
    await Promise.all([crossing(a, 'a', '1', '2', 0), crossing(b, 'b', '2', '1', 1)]);
    assert.equal(attempts.length, 3, 'one of the two had to begin again');
    assert.deepEqual(effects.sort(), ['a', 'b']);
  });

  it('see a commit that goes on after a failed statement as a failure', async () => {
    const happened: string[] = [];
    const sloppy = a.transaction(async (tx) => {
      tx.onCommit(() => happened.push('must not happen'));
      await sql`SELECT * FROM nowhere`.execute(tx.db).catch(() => undefined);
    });
    await assert.rejects(sloppy, /went on/);
    assert.deepEqual(happened, []);
    assert.deepEqual(await works(a), []);
  });

  it('never give one piece of work to both, nor wait for each other', async () => {
    const all = Array.from({ length: 40 }, (_, at) => `work-${String(at).padStart(2, '0')}`);
    await a.transaction(async (tx) => {
      for (const subject of all) await scheduleWork(tx, 'notify', subject, 0);
    });
    const claim = (tx: Transaction): Promise<string[]> =>
      claimWork(tx, 'notify', 4, 1, 1_000).then((found) => found.map((one) => one.subjectId));
    const stays = gate();
    let first: string[] = [];
    const holding = a.transaction(async (tx) => {
      first = await claim(tx);
      stays.open();
      // While these rows are locked, the other node gets others at once.
      const second = await b.transaction(claim);
      assert.equal(second.length, 4);
      assert.deepEqual(
        second.filter((one) => first.includes(one)),
        [],
      );
      first.push(...second);
    });
    await stays.passed;
    const rest = await Promise.all(
      Array.from({ length: 12 }, (_, at) => (at % 2 === 0 ? a : b).transaction(claim)),
    );
    await holding;
    // What was locked at the moment of a look was passed over, so look once more.
    const last = await a.transaction((tx) => claimWork(tx, 'notify', 100, 1, 1_000));
    const claimed = [...first, ...rest.flat(), ...last.map((one) => one.subjectId)];
    assert.deepEqual(claimed.sort(), all);
  });

  it('take over the work of a node that is gone, and never of one that lives', async () => {
    await a.transaction((tx) => scheduleWork(tx, 'prepare', 'x', 0));
    const claim = (store: Store): Promise<number> =>
      store.transaction(async (tx) => (await claimWork(tx, 'prepare', 1, 1, 1_000_000)).length);
    assert.equal(await claim(a), 1);
    await b.releaseLostWork();
    assert.equal(await claim(b), 0, 'the holder lives');
    await a.close();
    await b.releaseLostWork();
    assert.equal(await claim(b), 1);
    a = await open();
  });

  it('number the history of one order without a gap when they hold the order', async () => {
    const count = 30;
    await Promise.all(
      Array.from({ length: count }, (_, at) =>
        (at % 2 === 0 ? a : b).transaction(async (tx) => {
          await tx.lockName('card', 'an order');
          await recordEvent(tx, { operationId: 'op', at, event: 'e' });
        }),
      ),
    );
    const rows = await a.transaction((tx) =>
      tx.db.selectFrom('history').select('sequence').orderBy('sequence').execute(),
    );
    assert.deepEqual(
      rows.map((row) => row.sequence),
      Array.from({ length: count }, (_, at) => at + 1),
    );
  });

  it('lose no event of an order even where nobody held it: the key refuses, and the loser runs again', async () => {
    const count = 8;
    await Promise.all(
      Array.from({ length: count }, (_, at) =>
        (at % 2 === 0 ? a : b).transaction((tx) => recordEvent(tx, { operationId: 'op', at, event: 'e' })),
      ),
    );
    const { n } = await a.transaction((tx) =>
      tx.db
        .selectFrom('history')
        .select((eb) => eb.fn.countAll<number>().as('n'))
        .executeTakeFirstOrThrow(),
    );
    assert.equal(n, count);
  });

  it('hear each other, together and soon, and not themselves', async () => {
    const heard: Record<'a' | 'b', Wakeup[]> = { a: [], b: [] };
    a.wakeups.subscribe((wakeup) => heard.a.push(wakeup));
    b.wakeups.subscribe((wakeup) => heard.b.push(wakeup));
    for (let at = 0; at < 250; at++) {
      a.wakeups.publish({ about: 'station', stationId: `S-${String(at)}` });
      a.wakeups.publish({ about: 'work' });
    }
    await eventually(
      'all stations are heard',
      () => heard.b.filter((one) => one.about === 'station').length === 250,
    );
    assert.ok(heard.b.filter((one) => one.about === 'work').length < 250, 'words are gathered');
    assert.deepEqual(heard.a, []);
  });

  it('come back after their connections were cut, and say that anything may have been said meanwhile', async () => {
    const heard: Wakeup[] = [];
    b.wakeups.subscribe((wakeup) => heard.push(wakeup));
    cluster.sql(
      "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = 'cardwright-server'",
    );
    await eventually('the node listens again', () => heard.some((one) => one.about === 'everything'));
    await eventually('transactions work again', () =>
      works(b).then(
        () => true,
        () => false,
      ),
    );
    await eventually('words arrive again', () => {
      a.wakeups.publish({ about: 'work' });
      return heard.some((one) => one.about === 'work');
    });
  });

  it('are unavailable while the database is away, and go on when it is back with all that was acknowledged', async () => {
    await a.transaction((tx) => scheduleWork(tx, 'notify', 'before', 0));
    const stays = gate();
    const interrupted = a.transaction(async (tx) => {
      await scheduleWork(tx, 'notify', 'interrupted', 0);
      await stays.passed;
    });
    await cluster.kill();
    stays.open();
    await assert.rejects(interrupted, isUnavailable);
    await assert.rejects(
      a.transaction((tx) => scheduleWork(tx, 'notify', 'away', 0)),
      isUnavailable,
    );
    await assert.rejects(b.check(), isUnavailable);
    await cluster.start();
    await eventually('both are back', () =>
      Promise.all([a.check(), b.check()]).then(
        () => true,
        () => false,
      ),
    );
    assert.deepEqual(await works(b), ['before']);
  });
});
