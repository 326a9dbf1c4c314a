/** What migrations made on a PostgreSQL, read from its catalogue: as one text, and as facts that engines share. */
import { type Store } from '../../src/store/store.ts';
import { sql } from 'kysely';

interface Line {
  readonly line: string;
}

/** Tables, constraints and indexes of the current schema, in PostgreSQL's own words. */
export async function postgresSchema(store: Store): Promise<string> {
  const { rows } = await store.transaction((tx) =>
    sql<Line>`
      SELECT line FROM (
        SELECT c.relname AS name, 1 AS kind, a.attnum AS place,
          '  ' || a.attname || ' ' || upper(format_type(a.atttypid, a.atttypmod))
            || CASE WHEN a.attnotnull THEN ' NOT NULL' ELSE '' END
            || coalesce(' DEFAULT ' || pg_get_expr(d.adbin, d.adrelid), '') AS line
        FROM pg_class c JOIN pg_attribute a ON a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped
          LEFT JOIN pg_attrdef d ON d.adrelid = c.oid AND d.adnum = a.attnum
        WHERE c.relnamespace = current_schema()::regnamespace AND c.relkind = 'r'
        UNION ALL
        SELECT c.relname, 0, 0, E'\ntable ' || c.relname FROM pg_class c
        WHERE c.relnamespace = current_schema()::regnamespace AND c.relkind = 'r'
        UNION ALL
        SELECT r.relname, 2, 0, '  ' || pg_get_constraintdef(c.oid) FROM pg_constraint c JOIN pg_class r ON r.oid = c.conrelid
        WHERE c.connamespace = current_schema()::regnamespace
        UNION ALL
        SELECT tablename, 3, 0, '  ' || replace(indexdef, current_schema() || '.', '') FROM pg_indexes
        WHERE schemaname = current_schema() AND indexname NOT LIKE '%_pkey' AND indexname NOT LIKE '%_key'
      ) AS lines ORDER BY name COLLATE "C", kind, place, line COLLATE "C"`.execute(tx.db),
  );
  const header =
    '-- The schema on PostgreSQL after all migrations, from its catalogue. A test shows how to write it anew.\n';
  return `${header}${rows.map((row) => row.line).join('\n')}\n`;
}

/** Columns as `table.column TYPE [NOT NULL]`, and the names of our own indexes. */
export async function postgresFacts(store: Store): Promise<string[]> {
  const { rows } = await store.transaction((tx) =>
    sql<Line>`
      SELECT table_name || '.' || column_name || ' ' || upper(data_type)
        || CASE WHEN is_nullable = 'NO' THEN ' NOT NULL' ELSE '' END AS line
      FROM information_schema.columns WHERE table_schema = current_schema()
      UNION ALL
      SELECT 'index ' || indexname FROM pg_indexes
      WHERE schemaname = current_schema() AND indexname NOT LIKE '%_pkey' AND indexname NOT LIKE '%_key'`.execute(
      tx.db,
    ),
  );
  return rows.map((row) => row.line).sort();
}
