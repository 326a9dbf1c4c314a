import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { describe, it } from 'node:test';
import {
  handOverTransitions,
  jobTransitions,
  notificationTransitions,
  orderTransitions,
  transitionPairs,
} from '@cardwright/domain';
import { migrate, type Migration, readMigrations } from '../src/store/migration.ts';
import { schemaSnapshot, schemaSnapshotFile } from '../src/store/schema-snapshot.ts';
import { openMemoryDatabase } from '../src/store/sqlite-connection.ts';

const machines = {
  order: transitionPairs(orderTransitions),
  job: transitionPairs(jobTransitions),
  hand_over: transitionPairs(handOverTransitions),
  notification: transitionPairs(notificationTransitions),
};

describe('the schema', () => {
  it('holds exactly the transitions of the domain, for every machine', () => {
    const { raw } = openMemoryDatabase();
    migrate(raw, 0);
    const rows = raw.prepare('SELECT machine, from_state, to_state FROM transitions').all();
    const inDatabase = rows.map(
      (row) => `${String(row['machine'])}: ${String(row['from_state'])} → ${String(row['to_state'])}`,
    );
    const inDomain = Object.entries(machines).flatMap(([machine, pairs]) =>
      pairs.map(([from, to]) => `${machine}: ${from} → ${to}`),
    );
    assert.ok(inDomain.length > 40);
    assert.deepEqual(inDatabase.sort(), inDomain.sort());
  });

  it('is the one that db/schema.sql shows', () => {
    assert.equal(readFileSync(schemaSnapshotFile, 'utf8'), schemaSnapshot());
  });

  it('applies each migration once and refuses one that was changed afterwards', () => {
    const { raw } = openMemoryDatabase();
    const [first] = readMigrations();
    assert.ok(first);
    assert.deepEqual(migrate(raw, 0, [first]), [first.name]);
    assert.deepEqual(migrate(raw, 0, [first]), []);
    const changed: Migration = { ...first, checksum: 'another' };
    assert.throws(() => migrate(raw, 0, [changed]), { code: 'STORE_MIGRATION_CHANGED' });
  });

  it('refuses a database that a newer version has migrated', () => {
    const { raw } = openMemoryDatabase();
    const migrations = readMigrations();
    migrate(raw, 0, [
      ...migrations,
      { name: '9999-from-the-future', sql: 'CREATE TABLE t (a TEXT);', checksum: 'c' },
    ]);
    assert.throws(() => migrate(raw, 0, migrations), { code: 'STORE_TOO_NEW' });
  });

  it('undoes a migration that fails in the middle', () => {
    const { raw } = openMemoryDatabase();
    const broken: Migration = {
      name: '0001-x',
      sql: 'CREATE TABLE t (a TEXT); SELECT nonsense FROM nowhere;',
      checksum: 'c',
    };
    assert.throws(() => migrate(raw, 0, [broken]));
    assert.equal(raw.prepare("SELECT count(*) AS n FROM sqlite_schema WHERE name = 't'").get()?.['n'], 0);
  });
});

describe('the database by itself', () => {
  const change = (
    raw: ReturnType<typeof openMemoryDatabase>['raw'],
    sequence: number,
    number: number,
    from: string | null,
    to: string,
    prior: number | null = from === null ? null : number - 1,
  ): unknown =>
    raw
      .prepare(
        `INSERT INTO history (operation_id, sequence, at, event, machine, subject_id, change_number, prior_number,
           born_as, from_state, to_state, data) VALUES ('op', ?, 0, 'e', 'order', 'op', ?, ?, ?, ?, ?, '{}')`,
      )
      .run(sequence, number, prior, from === null ? to : null, from, to);
  const open = () => {
    const { raw } = openMemoryDatabase();
    migrate(raw, 0);
    return raw;
  };

  it('accepts a legal chain of changes and refuses an illegal move', () => {
    const raw = open();
    change(raw, 1, 1, null, 'requested');
    change(raw, 2, 2, 'requested', 'ready');
    assert.throws(() => change(raw, 3, 3, 'ready', 'done'), /FOREIGN KEY/);
  });

  it('refuses a machine that does not begin in its first state', () => {
    assert.throws(() => change(open(), 1, 1, null, 'done'), /FOREIGN KEY/);
  });

  it('refuses a change that does not follow the one before it', () => {
    const raw = open();
    change(raw, 1, 1, null, 'requested');
    change(raw, 2, 2, 'requested', 'ready');
    assert.throws(() => change(raw, 3, 3, 'requested', 'ready'), /FOREIGN KEY/);
    assert.throws(() => change(raw, 3, 2, 'requested', 'canceled'), /UNIQUE/);
    assert.throws(() => change(raw, 3, 4, 'ready', 'canceled', 2), /CHECK/);
  });

  const insertOrder = (
    raw: ReturnType<typeof open>,
    state: string,
    number: number,
    plan: string | null,
  ): void => {
    raw.exec("INSERT OR IGNORE INTO issuers VALUES ('ISS0000001', 1, 0)");
    raw.exec("INSERT OR IGNORE INTO products VALUES ('P', 1, 0)");
    raw.exec("INSERT OR IGNORE INTO stations VALUES ('S', 1, 't', NULL, NULL, NULL, 0)");
    raw
      .prepare(
        `INSERT OR IGNORE INTO history (operation_id, sequence, at, event, machine, subject_id, change_number, born_as, to_state,
           data) VALUES ('op', 99, 0, 'e', 'hand_over', 'op', 1, 'none', 'none', '{}')`,
      )
      .run();
    raw
      .prepare(
        `INSERT INTO orders (operation_id, issuer_id, card_id, station_id, product_id, content, encrypted_data,
           encrypted_data_sha256, sealed_plan, state, state_number, hand_over, hand_over_number, correlation_id, created_at,
           ended_at)
         VALUES ('op', 'ISS0000001', 'c', 'S', 'P', '{}', ?, 'h', ?, ?, ?, 'none', 1, 'k', 0, ?)`,
      )
      .run(state === 'requested' ? 'jwe' : null, plan, state, number, state === 'done' ? 1 : null);
  };

  it('refuses an order whose state is not the last change of its history', () => {
    const raw = open();
    change(raw, 1, 1, null, 'requested');
    assert.throws(() => {
      insertOrder(raw, 'ready', 1, 'plan');
    }, /FOREIGN KEY/);
    insertOrder(raw, 'requested', 1, null);
    assert.throws(
      () => raw.exec("UPDATE orders SET state = 'ready', encrypted_data = NULL, sealed_plan = 'p'"),
      /FOREIGN KEY/,
    );
  });

  it('refuses to keep a sealed plan in an order that has ended (I7)', () => {
    const raw = open();
    change(raw, 1, 1, null, 'requested');
    change(raw, 2, 2, 'requested', 'ready');
    change(raw, 3, 3, 'ready', 'in_production');
    change(raw, 4, 4, 'in_production', 'done');
    assert.throws(() => {
      insertOrder(raw, 'done', 4, 'plan');
    }, /CHECK/);
    insertOrder(raw, 'done', 4, null);
  });
});
