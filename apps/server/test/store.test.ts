import assert from 'node:assert/strict';
import { spawn, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { afterEach, beforeEach, describe, it } from 'node:test';
import { setTimeout as wait } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import { systemClock } from '@cardwright/runtime';
import { scheduleWork } from '../src/due-work/due-work.ts';
import { openSqliteStore } from '../src/store/open-store.ts';
import { openSqliteDatabase } from '../src/store/sqlite-connection.ts';
import { createSqliteStore } from '../src/store/sqlite-store.ts';
import { type Store } from '../src/store/store.ts';
import { migrate } from '../src/store/migration.ts';

const writer = fileURLToPath(new URL('support/store-writer.ts', import.meta.url));
const names = async (store: Store): Promise<string[]> =>
  store.transaction(async (tx) => {
    const rows = await tx.db.selectFrom('due_work').select('subject_id').orderBy('subject_id').execute();
    return rows.map((row) => row.subject_id);
  });

describe('the store', () => {
  let folder: string;
  beforeEach(() => {
    folder = mkdtempSync(join(tmpdir(), 'cardwright-store-'));
  });
  afterEach(() => {
    rmSync(folder, { recursive: true, force: true });
  });

  it('writes a log that is synced at every commit, overwrites what is deleted, and checks foreign keys', async () => {
    const connection = openSqliteDatabase(folder);
    const pragma = (name: string): unknown =>
      Object.values(connection.raw.prepare(`PRAGMA ${name}`).get() ?? {})[0];
    assert.deepEqual(
      ['journal_mode', 'synchronous', 'secure_delete', 'foreign_keys', 'locking_mode'].map(pragma),
      ['wal', 2, 1, 1, 'exclusive'],
    );
    await createSqliteStore(connection).close();
  });

  it('commits transactions that wait together in one commit', async () => {
    const connection = openSqliteDatabase(folder);
    migrate(connection.raw, 0);
    const statements: string[] = [];
    const raw = new Proxy(connection.raw, {
      get: (target, name) => {
        const member: unknown = Reflect.get(target, name, target);
        if (typeof member !== 'function') return member;
        return (...parameters: unknown[]): unknown => {
          if (name === 'exec') statements.push(String(parameters[0]));
          return Reflect.apply(member, target, parameters) as unknown;
        };
      },
    });
    const store = createSqliteStore({ ...connection, raw });
    const ids = Array.from({ length: 50 }, (_, at) => `work-${String(at).padStart(2, '0')}`);
    await Promise.all(ids.map((id) => store.transaction((tx) => scheduleWork(tx, 'notify', id, 0))));
    assert.equal(statements.filter((sql) => sql === 'COMMIT').length, 1);
    assert.equal(statements.filter((sql) => sql === 'SAVEPOINT member').length, 50);
    assert.deepEqual(await names(store), ids);
    await store.close();
  });

  it('undoes a failing transaction alone and lets its neighbours commit', async () => {
    const store = openSqliteStore(folder, systemClock);
    const happened: string[] = [];
    const results = await Promise.allSettled([
      store.transaction((tx) => scheduleWork(tx, 'notify', 'a', 0)),
      store.transaction(async (tx) => {
        tx.onCommit(() => happened.push('must not happen'));
        await scheduleWork(tx, 'notify', 'b', 0);
        throw new Error('refused');
      }),
      store.transaction(async (tx) => {
        tx.onCommit(() => happened.push('c committed'));
        await scheduleWork(tx, 'notify', 'c', 0);
      }),
    ]);
    assert.deepEqual(
      results.map((result) => result.status),
      ['fulfilled', 'rejected', 'fulfilled'],
    );
    assert.deepEqual(await names(store), ['a', 'c']);
    assert.deepEqual(happened, ['c committed']);
    await store.close();
  });

  it('closes itself when a transaction waits for something outside the database', async () => {
    const store = openSqliteStore(folder, systemClock);
    const waiting = store.transaction(async (tx) => {
      await scheduleWork(tx, 'notify', 'a', 0);
      await wait(5);
    });
    await assert.rejects(waiting, { code: 'STORE_TRANSACTION_WAITED' });
    await assert.rejects(names(store), { code: 'STORE_TRANSACTION_WAITED' });
    await store.close();
    const reopened = openSqliteStore(folder, systemClock);
    assert.deepEqual(await names(reopened), []);
    await reopened.close();
  });

  it('refuses a second process with a clear error, and takes over after a kill -9', async () => {
    const child = spawn(process.execPath, [writer, folder], { stdio: ['ignore', 'pipe', 'inherit'] });
    const exited = once(child, 'exit');
    const lines = createInterface({ input: child.stdout });
    await once(lines, 'line');
    assert.throws(() => openSqliteStore(folder, systemClock), { code: 'STORE_IN_USE' });
    const second = spawnSync(process.execPath, [writer, folder], { encoding: 'utf8' });
    assert.equal(second.status, 3, second.stderr);
    child.kill('SIGKILL');
    await exited;
    await openSqliteStore(folder, systemClock).close();
  });

  it('has every transaction that was acknowledged before a kill -9', async () => {
    const child = spawn(process.execPath, [writer, folder], { stdio: ['ignore', 'pipe', 'inherit'] });
    const exited = once(child, 'exit');
    const acknowledged: string[] = [];
    for await (const line of createInterface({ input: child.stdout })) {
      acknowledged.push(line);
      if (acknowledged.length === 200) child.kill('SIGKILL');
    }
    await exited;
    const store = openSqliteStore(folder, systemClock);
    const found = new Set(await names(store));
    assert.ok(acknowledged.length >= 200);
    assert.deepEqual(
      acknowledged.filter((id) => !found.has(id)),
      [],
    );
    await store.close();
  });
});
