/**
 * Forward-only migrations: the files of db/migrations, in the order of their names, each applied once in its own
 * transaction with its checksum on record.
 *
 * Invariant: a file that was applied never changes again, and a database that knows a migration which we do not
 * is refused: an older program must not write into a newer schema.
 */
import { createHash } from 'node:crypto';
import { readdirSync, readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { type DatabaseSync } from 'node:sqlite';
import { StoreError } from './store-error.ts';

export const migrationsFolder = fileURLToPath(new URL('../../../../db/migrations/', import.meta.url));

export interface Migration {
  readonly name: string;
  readonly sql: string;
  /** SHA-256 of the file, hex. */
  readonly checksum: string;
}

/** Reads the migrations of a folder in order. */
export function readMigrations(folder: string = migrationsFolder): Migration[] {
  return readdirSync(folder)
    .filter((file) => /^\d{4}-[a-z0-9-]+\.sql$/.test(file))
    .sort()
    .map((file) => {
      const sql = readFileSync(`${folder}/${file}`, 'utf8');
      return {
        name: file.slice(0, -'.sql'.length),
        sql,
        checksum: createHash('sha256').update(sql).digest('hex'),
      };
    });
}

export const migrationsTable =
  'CREATE TABLE IF NOT EXISTS schema_migrations (name TEXT NOT NULL PRIMARY KEY, checksum TEXT NOT NULL, applied_at BIGINT NOT NULL)';

/**
 * The migrations that a database lacks, which knows those of `applied` by name and checksum.
 * @throws StoreError STORE_MIGRATION_CHANGED, STORE_TOO_NEW
 */
export function findMissingMigrations(
  applied: ReadonlyMap<string, string>,
  migrations: readonly Migration[],
): Migration[] {
  for (const name of applied.keys()) {
    if (!migrations.some((migration) => migration.name === name)) {
      throw new StoreError(
        'STORE_TOO_NEW',
        `the database has migration ${name}, which this version does not know`,
      );
    }
  }
  return migrations.filter((migration) => {
    const checksum = applied.get(migration.name);
    if (checksum !== undefined && checksum !== migration.checksum) {
      throw new StoreError(
        'STORE_MIGRATION_CHANGED',
        `migration ${migration.name} was changed after it was applied`,
      );
    }
    return checksum === undefined;
  });
}

/**
 * Brings an embedded database to the newest schema. Returns the names of the migrations it applied.
 * @throws StoreError STORE_MIGRATION_CHANGED, STORE_TOO_NEW
 */
export function migrate(
  raw: DatabaseSync,
  nowMs: number,
  migrations: readonly Migration[] = readMigrations(),
): string[] {
  raw.exec(migrationsTable);
  const applied = new Map(
    raw
      .prepare('SELECT name, checksum FROM schema_migrations')
      .all()
      .map((row) => [String(row['name']), String(row['checksum'])]),
  );
  const missing = findMissingMigrations(applied, migrations);
  for (const migration of missing) applyMigration(raw, migration, nowMs);
  return missing.map((migration) => migration.name);
}

function applyMigration(raw: DatabaseSync, migration: Migration, nowMs: number): void {
  raw.exec('BEGIN IMMEDIATE');
  try {
    raw.exec(migration.sql);
    raw
      .prepare('INSERT INTO schema_migrations (name, checksum, applied_at) VALUES (?, ?, ?)')
      .run(migration.name, migration.checksum, nowMs);
    raw.exec('COMMIT');
  } catch (error) {
    raw.exec('ROLLBACK');
    throw error;
  }
}
