/**
 * The station's memory: what was begun, what was finished, what the server must still be told.
 *
 * Invariants: a method returns only after its rows are on disk (WAL, synchronous=FULL), so whoever writes before
 * touching a device has written ahead (I6); a step and the reports that tell of it are one commit; one process
 * owns the file for as long as it runs; nothing is deleted before the server has acknowledged it.
 */
import { mkdirSync } from 'node:fs';
import { join } from 'node:path';
import { DatabaseSync } from 'node:sqlite';
import { type FaultCode, invariant } from '@cardwright/domain';
import { type Report } from '@cardwright/protocol';
import {
  type Evidence,
  foldHistory,
  type JobHistory,
  type JobIdentity,
  type JobReference,
  type JournalEntry,
  type JournalStep,
  type StepPhase,
} from './job-history.ts';
import { JournalError } from './journal-error.ts';
import { migrateJournal } from './journal-schema.ts';

/** A report as the server gets it, and the job that it is about. */
export interface QueuedReport {
  readonly jobId: string;
  readonly message: Report;
}

export interface JournalOptions {
  readonly dataFolder: string;
  readonly bootId: string;
  readonly agentVersion: string;
  /** Epoch milliseconds. */
  readonly now: () => number;
  readonly newId: () => string;
}

type Row = Readonly<Record<string, unknown>>;

/** Finished jobs are kept this long for the people who ask what happened. */
const retentionMs = 30 * 24 * 3_600_000;

function openDatabase(dataFolder: string): DatabaseSync {
  mkdirSync(dataFolder, { recursive: true, mode: 0o700 });
  const database = new DatabaseSync(join(dataFolder, 'journal.sqlite'));
  try {
    // The lock first: a second agent on one station would drive the same device.
    database.exec('PRAGMA locking_mode = EXCLUSIVE; PRAGMA busy_timeout = 0; PRAGMA journal_mode = WAL');
    database.exec('PRAGMA synchronous = FULL; PRAGMA secure_delete = ON; PRAGMA foreign_keys = ON');
    database.exec('BEGIN IMMEDIATE; COMMIT');
    const isDurable =
      database.prepare('PRAGMA journal_mode').get()?.['journal_mode'] === 'wal' &&
      database.prepare('PRAGMA synchronous').get()?.['synchronous'] === 2;
    // Some file systems refuse write-ahead logging without an error: then nothing here would hold.
    invariant(isDurable, 'I6', 'the journal cannot be made durable on this file system');
  } catch (error) {
    database.close();
    const { errcode } = error as { errcode?: unknown };
    // SQLITE_BUSY, SQLITE_LOCKED
    if (errcode === 5 || errcode === 6) {
      throw new JournalError('JOURNAL_IN_USE', `another agent runs on ${dataFolder}`);
    }
    throw error;
  }
  return database;
}

function entryOf(row: Row): JournalEntry {
  const { picked, ejected, rejected, fault, cplc, detail, evidence } = row;
  return {
    step: row['step'] as JournalStep,
    phase: row['phase'] as StepPhase,
    ...(typeof fault === 'string' ? { fault: fault as FaultCode } : {}),
    ...(typeof picked === 'number' && typeof ejected === 'number' && typeof rejected === 'number'
      ? { counters: { picked, ejected, rejected } }
      : {}),
    ...(typeof cplc === 'string' ? { cplc } : {}),
    ...(typeof detail === 'string' ? { detail } : {}),
    ...(typeof evidence === 'string' ? { evidence: JSON.parse(evidence) as Evidence } : {}),
  };
}

export class Journal {
  readonly #database: DatabaseSync;
  readonly #options: JournalOptions;
  #onReport: () => void = () => undefined;

  private constructor(database: DatabaseSync, options: JournalOptions) {
    this.#database = database;
    this.#options = options;
  }

  /** Opens or makes `journal.sqlite` in the data folder. @throws JournalError */
  static open(options: JournalOptions): Journal {
    const database = openDatabase(options.dataFolder);
    try {
      migrateJournal(database);
      database
        .prepare('INSERT INTO boot (boot_id, started_at, agent_version) VALUES (?, ?, ?)')
        .run(options.bootId, options.now(), options.agentVersion);
    } catch (error) {
      database.close();
      throw error;
    }
    return new Journal(database, options);
  }

  get bootId(): string {
    return this.#options.bootId;
  }

  /** Calls `listener` after every commit that queued a report. */
  onReport(listener: () => void): void {
    this.#onReport = listener;
  }

  /** Puts a claimed job on record; a job that is known already stays as it is. */
  admit(job: JobIdentity): void {
    this.#database
      .prepare(
        `INSERT INTO job (job_id, epoch, operation_id, product_id, claimed_at) VALUES (?, ?, ?, ?, ?)
         ON CONFLICT (job_id, epoch) DO NOTHING`,
      )
      .run(job.jobId, job.epoch, job.operationId, job.productId, this.#options.now());
  }

  /** Appends a step and queues the reports that tell of it, in one commit. */
  write(job: JobReference, entry: JournalEntry, reports: readonly Report['report'][] = []): void {
    const at = this.#options.now();
    this.#inTransaction(() => {
      this.#insertStep(job, entry, at);
      if (entry.step === 'close') {
        this.#database
          .prepare('UPDATE job SET closed_at = ? WHERE job_id = ? AND epoch = ?')
          .run(at, job.jobId, job.epoch);
      }
      for (const report of reports) this.#insertReport(job, report, at);
    });
    if (reports.length > 0) this.#onReport();
  }

  /** Queues a report that belongs to no step of its own. */
  queueReport(job: JobReference, report: Report['report']): void {
    this.#inTransaction(() => {
      this.#insertReport(job, report, this.#options.now());
    });
    this.#onReport();
  }

  /** Drops a job of which nothing was told and nothing moved. @throws when a step was ever journalled beyond arm */
  forget(job: JobReference): void {
    this.#inTransaction(() => {
      const moved = this.#database
        .prepare("SELECT count(*) AS n FROM step WHERE job_id = ? AND epoch = ? AND step <> 'arm'")
        .get(job.jobId, job.epoch);
      invariant(moved?.['n'] === 0, 'I6', 'only a job that moved nothing may be forgotten');
      this.#database.prepare('DELETE FROM job WHERE job_id = ? AND epoch = ?').run(job.jobId, job.epoch);
    });
  }

  /** The history of one job, or undefined when the journal does not know it. */
  history(job: JobReference): JobHistory | undefined {
    const row = this.#database
      .prepare('SELECT * FROM job WHERE job_id = ? AND epoch = ?')
      .get(job.jobId, job.epoch);
    return row === undefined ? undefined : this.#historyOf(row);
  }

  /** Jobs that are not closed, oldest first. */
  openJobs(): JobHistory[] {
    return this.#database
      .prepare('SELECT * FROM job WHERE closed_at IS NULL ORDER BY claimed_at, rowid')
      .all()
      .map((row) => this.#historyOf(row));
  }

  /** The oldest report that the server has neither acknowledged nor refused. */
  oldestReport(): QueuedReport | undefined {
    const row = this.#database
      .prepare('SELECT * FROM report WHERE settled_at IS NULL ORDER BY position LIMIT 1')
      .get();
    if (row === undefined) return undefined;
    return {
      jobId: String(row['job_id']),
      message: {
        messageId: String(row['message_id']),
        epoch: Number(row['epoch']),
        at: Number(row['at']),
        report: JSON.parse(String(row['body'])) as Report['report'],
      },
    };
  }

  /** How many reports of a job wait for the server. */
  waitingReports(job: JobReference): number {
    const row = this.#database
      .prepare('SELECT count(*) AS n FROM report WHERE settled_at IS NULL AND job_id = ? AND epoch = ?')
      .get(job.jobId, job.epoch);
    return Number(row?.['n']);
  }

  /** The code with which the server refused a report of this job, if it did. */
  refusalOf(job: JobReference): string | undefined {
    const row = this.#database
      .prepare('SELECT refusal FROM report WHERE job_id = ? AND epoch = ? AND refusal IS NOT NULL LIMIT 1')
      .get(job.jobId, job.epoch);
    return row === undefined ? undefined : String(row['refusal']);
  }

  /** The server has the report: its body, and with an outcome the evidence, are not kept any longer. */
  settleReport(messageId: string, refusal?: string): void {
    this.#inTransaction(() => {
      this.#database
        .prepare('UPDATE report SET settled_at = ?, refusal = ?, body = NULL WHERE message_id = ?')
        .run(this.#options.now(), refusal ?? null, messageId);
      this.#database
        .prepare(
          `UPDATE step SET evidence = NULL WHERE evidence IS NOT NULL AND (job_id, epoch) IN
             (SELECT job_id, epoch FROM report WHERE message_id = ? AND kind = 'outcome')`,
        )
        .run(messageId);
    });
  }

  /** Forgets jobs that were closed long ago and whose every report was settled. */
  prune(): void {
    const before = this.#options.now() - retentionMs;
    this.#inTransaction(() => {
      this.#database
        .prepare(
          `DELETE FROM job WHERE closed_at < ? AND NOT EXISTS (SELECT 1 FROM report
             WHERE report.job_id = job.job_id AND report.epoch = job.epoch AND settled_at IS NULL)`,
        )
        .run(before);
      this.#database.prepare('DELETE FROM report WHERE settled_at < ?').run(before);
    });
  }

  close(): void {
    this.#database.close();
  }

  #historyOf(row: Row): JobHistory {
    const job: JobIdentity = {
      jobId: String(row['job_id']),
      epoch: Number(row['epoch']),
      operationId: String(row['operation_id']),
      productId: String(row['product_id']),
    };
    const entries = this.#database
      .prepare('SELECT * FROM step WHERE job_id = ? AND epoch = ? ORDER BY position')
      .all(job.jobId, job.epoch)
      .map(entryOf);
    return foldHistory(job, entries);
  }

  #insertStep(job: JobReference, entry: JournalEntry, at: number): void {
    const { counters, evidence } = entry;
    this.#database
      .prepare(
        `INSERT INTO step (job_id, epoch, boot_id, at, step, phase, fault, picked, ejected, rejected, cplc, detail,
           evidence) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)`,
      )
      .run(
        job.jobId,
        job.epoch,
        this.#options.bootId,
        at,
        entry.step,
        entry.phase,
        entry.fault ?? null,
        counters?.picked ?? null,
        counters?.ejected ?? null,
        counters?.rejected ?? null,
        entry.cplc ?? null,
        entry.detail ?? null,
        evidence === undefined ? null : JSON.stringify(evidence),
      );
  }

  #insertReport(job: JobReference, report: Report['report'], at: number): void {
    this.#database
      .prepare('INSERT INTO report (message_id, job_id, epoch, at, kind, body) VALUES (?, ?, ?, ?, ?, ?)')
      .run(this.#options.newId(), job.jobId, job.epoch, at, report.kind, JSON.stringify(report));
  }

  #inTransaction(action: () => void): void {
    this.#database.exec('BEGIN IMMEDIATE');
    try {
      action();
      this.#database.exec('COMMIT');
    } catch (error) {
      this.#database.exec('ROLLBACK');
      throw error;
    }
  }
}
