/**
 * Migrations on PostgreSQL: the same files, the same rules, under a lock that nodes which start together take in turn.
 *
 * Invariant: a migration and its checksum are one commit; nobody else migrates meanwhile.
 */
import { type Client } from 'pg';
import { type PostgresConfig } from '../config.ts';
import { findMissingMigrations, type Migration, migrationsTable, readMigrations } from './migration.ts';
import { connectClient, schemaOf } from './postgres-connection.ts';
import { storeFaultOf } from './postgres-error.ts';
import { lockKeyOf } from './postgres-store.ts';

async function applyMigration(client: Client, migration: Migration, nowMs: number): Promise<void> {
  await client.query('BEGIN');
  try {
    await client.query(migration.sql);
    await client.query('INSERT INTO schema_migrations (name, checksum, applied_at) VALUES ($1, $2, $3)', [
      migration.name,
      migration.checksum,
      nowMs,
    ]);
    await client.query('COMMIT');
  } catch (error) {
    await client.query('ROLLBACK');
    throw error;
  }
}

async function migrateOn(
  client: Client,
  schema: string | undefined,
  lockKey: string,
  nowMs: number,
  migrations: readonly Migration[],
): Promise<string[]> {
  // Other nodes may need as long as their migrations take.
  await client.query('SET lock_timeout = 0');
  await client.query('SELECT pg_advisory_lock($1::bigint)', [lockKey]);
  if (schema !== undefined)
    await client.query(`CREATE SCHEMA IF NOT EXISTS ${client.escapeIdentifier(schema)}`);
  await client.query(migrationsTable);
  const { rows } = await client.query<{ name: string; checksum: string }>(
    'SELECT name, checksum FROM schema_migrations',
  );
  const missing = findMissingMigrations(new Map(rows.map((row) => [row.name, row.checksum])), migrations);
  for (const migration of missing) await applyMigration(client, migration, nowMs);
  return missing.map((migration) => migration.name);
}

/**
 * Brings a database to the newest schema. Returns the names of the migrations it applied.
 * @throws StoreError STORE_MIGRATION_CHANGED, STORE_TOO_NEW, STORE_UNAVAILABLE
 */
export async function migratePostgres(
  config: PostgresConfig,
  nowMs: number,
  migrations: readonly Migration[] = readMigrations(),
): Promise<string[]> {
  // A migration may take long: no limit on its answers.
  const client = await connectClient(config, { answerLimitMs: 0 });
  try {
    const lockKey = lockKeyOf(schemaOf(config), 'migrations');
    return await migrateOn(client, config.schema, lockKey, nowMs, migrations);
  } catch (error) {
    throw storeFaultOf(error);
  } finally {
    // The lock goes with the connection.
    await client.end();
  }
}
