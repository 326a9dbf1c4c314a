/** Command: writes db/schema.sql from the migrations. */
import { writeFileSync } from 'node:fs';
import { schemaSnapshot, schemaSnapshotFile } from './schema-snapshot.ts';

writeFileSync(schemaSnapshotFile, schemaSnapshot());
