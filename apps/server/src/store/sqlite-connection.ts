/**
 * The embedded engine: one `node:sqlite` connection, and the small adapter that lets Kysely's SQLite dialect use it.
 *
 * Invariants: write-ahead log with `synchronous=FULL`, so a commit that was acknowledged survives a power cut;
 * the file is locked for this process alone from the moment it is open; deleted content is overwritten.
 */
import { mkdirSync } from 'node:fs';
import { join } from 'node:path';
import { DatabaseSync, type SQLInputValue, type StatementSync } from 'node:sqlite';
import { Kysely, SqliteDialect, type SqliteDatabase, type SqliteStatement } from 'kysely';
import { isInUse, StoreError } from './store-error.ts';
import { type Tables } from './tables.ts';

export interface SqliteConnection {
  readonly raw: DatabaseSync;
  readonly kysely: Kysely<Tables>;
}

/** More distinct statements than the server has; past it something builds SQL from data. */
const maxCachedStatements = 400;

function adaptStatement(statement: StatementSync): SqliteStatement {
  return {
    reader: statement.columns().length > 0,
    all: (parameters) => statement.all(...(parameters as SQLInputValue[])),
    run: (parameters) => statement.run(...(parameters as SQLInputValue[])),
    iterate: (parameters) => statement.iterate(...(parameters as SQLInputValue[])),
  };
}

function adaptDatabase(raw: DatabaseSync): SqliteDatabase {
  const cache = new Map<string, SqliteStatement>();
  return {
    close: () => {
      raw.close();
    },
    prepare: (sql) => {
      let statement = cache.get(sql);
      if (statement === undefined) {
        if (cache.size >= maxCachedStatements) cache.clear();
        statement = adaptStatement(raw.prepare(sql));
        cache.set(sql, statement);
      }
      return statement;
    },
  };
}

function connect(raw: DatabaseSync): SqliteConnection {
  return {
    raw,
    kysely: new Kysely<Tables>({ dialect: new SqliteDialect({ database: adaptDatabase(raw) }) }),
  };
}

/** A database that lives in memory only, for the schema snapshot. */
export function openMemoryDatabase(): SqliteConnection {
  const raw = new DatabaseSync(':memory:');
  raw.exec('PRAGMA foreign_keys = ON');
  return connect(raw);
}

/**
 * Opens (or makes) `server.sqlite` in `dataFolder` and locks it for this process.
 * @throws StoreError STORE_IN_USE when another process has it
 */
export function openSqliteDatabase(dataFolder: string): SqliteConnection {
  mkdirSync(dataFolder, { recursive: true, mode: 0o700 });
  const raw = new DatabaseSync(join(dataFolder, 'server.sqlite'));
  try {
    // The lock comes first: with it, the write-ahead index needs no shared memory and no second process.
    raw.exec('PRAGMA locking_mode = EXCLUSIVE');
    raw.exec('PRAGMA busy_timeout = 0');
    raw.exec('PRAGMA journal_mode = WAL');
    raw.exec('PRAGMA synchronous = FULL');
    raw.exec('PRAGMA secure_delete = ON');
    raw.exec('PRAGMA foreign_keys = ON');
    raw.exec('BEGIN IMMEDIATE; COMMIT');
  } catch (error) {
    raw.close();
    if (isInUse(error)) {
      throw new StoreError('STORE_IN_USE', `another process uses the data folder ${dataFolder}`);
    }
    throw error;
  }
  return connect(raw);
}
