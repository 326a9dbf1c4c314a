/**
 * The journal's schema as forward-only migrations: appended to, never changed.
 *
 * No column may hold card data (I7): ids, stages, counters, chip production data, fault codes, and report bodies
 * that are masked before they get here and emptied once acknowledged.
 */
import { createHash } from 'node:crypto';
import { type DatabaseSync } from 'node:sqlite';
import { JournalError } from './journal-error.ts';

const migrations: readonly string[] = [
  `CREATE TABLE boot (
     boot_id TEXT NOT NULL PRIMARY KEY,
     started_at INTEGER NOT NULL,
     agent_version TEXT NOT NULL
   ) STRICT;
   CREATE TABLE job (
     job_id TEXT NOT NULL,
     epoch INTEGER NOT NULL CHECK (epoch >= 1),
     operation_id TEXT NOT NULL,
     product_id TEXT NOT NULL,
     claimed_at INTEGER NOT NULL,
     closed_at INTEGER,
     PRIMARY KEY (job_id, epoch)
   ) STRICT;
   -- The one query at start: what is still open.
   CREATE INDEX job_open ON job (claimed_at) WHERE closed_at IS NULL;
   CREATE TABLE step (
     position INTEGER PRIMARY KEY AUTOINCREMENT,
     job_id TEXT NOT NULL,
     epoch INTEGER NOT NULL,
     boot_id TEXT NOT NULL REFERENCES boot,
     at INTEGER NOT NULL,
     step TEXT NOT NULL CHECK (step IN ('arm', 'feed', 'chip', 'script', 'terminate', 'print', 'verify', 'reject',
       'outcome', 'present', 'hand_over', 'close')),
     phase TEXT NOT NULL CHECK (phase IN ('started', 'completed', 'failed')),
     fault TEXT,
     picked INTEGER,
     ejected INTEGER,
     rejected INTEGER,
     cplc TEXT CHECK (cplc IS NULL OR length(cplc) <= 128),
     detail TEXT,
     evidence TEXT,
     FOREIGN KEY (job_id, epoch) REFERENCES job (job_id, epoch) ON DELETE CASCADE,
     CHECK ((picked IS NULL) = (ejected IS NULL) AND (picked IS NULL) = (rejected IS NULL)),
     CHECK (step <> 'outcome' OR detail IN ('produced', 'spoiled', 'in_doubt', 'withdrawn')),
     CHECK (step <> 'hand_over' OR detail IN ('taken', 'retracted'))
   ) STRICT;
   CREATE INDEX step_of_job ON step (job_id, epoch, position);
   -- A job has one outcome: the journal itself refuses a second (I1).
   CREATE UNIQUE INDEX one_outcome ON step (job_id, epoch) WHERE step = 'outcome';
   CREATE TABLE report (
     position INTEGER PRIMARY KEY AUTOINCREMENT,
     message_id TEXT NOT NULL UNIQUE,
     job_id TEXT NOT NULL,
     epoch INTEGER NOT NULL,
     at INTEGER NOT NULL,
     kind TEXT NOT NULL CHECK (kind IN ('stage', 'outcome', 'hand_over')),
     body TEXT,
     settled_at INTEGER,
     refusal TEXT,
     CHECK (body IS NOT NULL OR settled_at IS NOT NULL)
   ) STRICT;
   -- The sender's query: the oldest report that nobody has acknowledged.
   CREATE INDEX report_waiting ON report (position) WHERE settled_at IS NULL;
   CREATE INDEX report_of_job ON report (job_id, epoch);`,
];

const checksum = (sql: string): string => createHash('sha256').update(sql).digest('hex');

/**
 * Brings a journal to this version's schema, one transaction per migration.
 * @throws JournalError JOURNAL_TOO_NEW, JOURNAL_CHANGED
 */
export function migrateJournal(database: DatabaseSync): void {
  database.exec(
    'CREATE TABLE IF NOT EXISTS migration (version INTEGER PRIMARY KEY, checksum TEXT NOT NULL) STRICT',
  );
  const applied = database.prepare('SELECT version, checksum FROM migration ORDER BY version').all();
  if (applied.length > migrations.length) {
    throw new JournalError('JOURNAL_TOO_NEW', 'a newer agent wrote this journal');
  }
  migrations.forEach((sql, index) => {
    const known = applied[index]?.['checksum'];
    if (known === checksum(sql)) return;
    if (known !== undefined) throw new JournalError('JOURNAL_CHANGED', `migration ${index + 1} has changed`);
    database.exec('BEGIN IMMEDIATE');
    database.exec(sql);
    database.prepare('INSERT INTO migration (version, checksum) VALUES (?, ?)').run(index + 1, checksum(sql));
    database.exec('COMMIT');
  });
}
