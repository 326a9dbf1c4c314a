/** The schema as one readable file (db/schema.sql): what all migrations together make. A test keeps it true. */
import { fileURLToPath } from 'node:url';
import { migrate } from './migration.ts';
import { openMemoryDatabase } from './sqlite-connection.ts';

export const schemaSnapshotFile = fileURLToPath(new URL('../../../../db/schema.sql', import.meta.url));

/** Applies all migrations to an empty database and writes down what stands then, tables before indexes. */
export function schemaSnapshot(): string {
  const { raw } = openMemoryDatabase();
  migrate(raw, 0);
  const rows = raw
    .prepare("SELECT sql FROM sqlite_schema WHERE sql IS NOT NULL ORDER BY type = 'index', name")
    .all();
  raw.close();
  const header =
    '-- The schema after all migrations. Written by `node apps/server/src/store/write-schema-snapshot.ts`.\n';
  return header + rows.map((row) => `\n${String(row['sql'])};\n`).join('');
}
