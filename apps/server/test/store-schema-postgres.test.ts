import assert from 'node:assert/strict';
import { readFileSync, writeFileSync } from 'node:fs';
import { after, before, describe, it } from 'node:test';
import { fileURLToPath } from 'node:url';
import { createLogger, systemClock } from '@cardwright/runtime';
import { sql } from 'kysely';
import { type PostgresConfig } from '../src/config.ts';
import { migrate, type Migration, readMigrations } from '../src/store/migration.ts';
import { openStore } from '../src/store/open-store.ts';
import { migratePostgres } from '../src/store/postgres-migration.ts';
import { openMemoryDatabase } from '../src/store/sqlite-connection.ts';
import { type Store } from '../src/store/store.ts';
import { freshSchema, sharedCluster } from './support/engines.ts';
import { postgresFacts, postgresSchema } from './support/postgres-schema.ts';

const snapshotFile = fileURLToPath(new URL('../../../db/schema.postgresql.txt', import.meta.url));

function sqliteFacts(): string[] {
  const { raw } = openMemoryDatabase();
  migrate(raw, 0);
  const tables = raw.prepare("SELECT name FROM sqlite_schema WHERE type = 'table'").all();
  const columns = tables.flatMap((table) =>
    raw
      .prepare('SELECT name, type, "notnull" AS required FROM pragma_table_info(?)')
      .all(table['name'] as string)
      .map(
        (row) =>
          `${String(table['name'])}.${String(row['name'])} ${String(row['type'])}${row['required'] === 1 ? ' NOT NULL' : ''}`,
      ),
  );
  const indexes = raw
    .prepare("SELECT name FROM sqlite_schema WHERE type = 'index' AND sql IS NOT NULL")
    .all();
  raw.close();
  return [...columns, ...indexes.map((row) => `index ${String(row['name'])}`)].sort();
}

describe('the schema on PostgreSQL', () => {
  let config: PostgresConfig;
  let store: Store;
  before(async () => {
    config = freshSchema(await sharedCluster());
    store = await openStore(
      { database: config, environment: 'sandbox', dataFolder: '/nonexistent' },
      { clock: systemClock, logger: createLogger('server', { level: 'silent' }) },
    );
  });
  after(async () => {
    await store.close();
  });

  it('is the one that db/schema.postgresql.txt shows', async () => {
    const schema = await postgresSchema(store);
    // CARDWRIGHT_WRITE_SNAPSHOT=1 npm test -- apps/server/test/store-schema-postgres.test.ts
    if (process.env['CARDWRIGHT_WRITE_SNAPSHOT'] === '1') writeFileSync(snapshotFile, schema);
    assert.equal(readFileSync(snapshotFile, 'utf8'), schema);
  });

  it('has the tables, columns, types and indexes that it has on SQLite', async () => {
    const facts = await postgresFacts(store);
    assert.ok(facts.length > 90);
    assert.deepEqual(facts, sqliteFacts());
  });

  it('refuses a changed migration, and a database that a newer version has migrated', async () => {
    const migrations = readMigrations();
    assert.deepEqual(await migratePostgres(config, 0, migrations), []);
    const changed = migrations.map((one): Migration => ({ ...one, checksum: 'another' }));
    await assert.rejects(migratePostgres(config, 0, changed), { code: 'STORE_MIGRATION_CHANGED' });
    await assert.rejects(migratePostgres(config, 0, migrations.slice(1)), { code: 'STORE_TOO_NEW' });
  });

  it('undoes a migration that fails in the middle', async () => {
    const broken: Migration = {
      name: '9998-broken',
      sql: 'CREATE TABLE t (a TEXT); SELECT nonsense FROM nowhere;',
      checksum: 'c',
    };
    await assert.rejects(migratePostgres(config, 0, [...readMigrations(), broken]));
    const { rows } = await store.transaction((tx) =>
      sql<{ found: string | null }>`SELECT to_regclass('t')::text AS found`.execute(tx.db),
    );
    assert.deepEqual(rows, [{ found: null }]);
  });

  it('is migrated once by nodes that start together', async () => {
    const fresh = freshSchema(await sharedCluster());
    const added = await Promise.all([0, 1, 2].map(() => migratePostgres(fresh, 0)));
    assert.deepEqual(added.map((names) => names.length).sort(), [0, 0, readMigrations().length]);
  });

  it('refuses an order whose state is not the last change of its history, by itself', async () => {
    const illegal = store.transaction(async (tx) => {
      await sql`INSERT INTO history (operation_id, sequence, at, event, machine, subject_id, change_number, born_as, to_state, data)
        VALUES ('op', 1, 0, 'e', 'order', 'op', 1, 'done', 'done', '{}')`.execute(tx.db);
    });
    await assert.rejects(illegal, { code: '23503' });
  });
});
