import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, test } from 'node:test';
import { createInterface } from 'node:readline';
import { fileURLToPath } from 'node:url';
import { DatabaseSync } from 'node:sqlite';
import { journalSteps, stepPhases } from '../src/journal/job-history.ts';
import { Journal } from '../src/journal/journal.ts';
import { goodLife, identity } from './history-arbitrary.ts';

const parent = mkdtempSync(join(tmpdir(), 'cardwright-journal-'));
after(() => {
  rmSync(parent, { recursive: true, force: true });
});
let folders = 0;
const newFolder = (): string => join(parent, String((folders += 1)));

function open(dataFolder: string, bootId: string, nowMs = 1_700_000_000_000): Journal {
  let id = 0;
  return Journal.open({
    dataFolder,
    bootId,
    agentVersion: 'test',
    now: () => nowMs,
    newId: () => `${bootId}-message-${(id += 1)}`,
  });
}

test('what a killed process has said to be written is there after kill -9, and reports keep their order', async () => {
  const folder = newFolder();
  const seen: string[] = [];
  for (const boot of ['boot-1', 'boot-2', 'boot-3']) {
    const child = spawn(process.execPath, [
      fileURLToPath(new URL('journal-child.ts', import.meta.url)),
      folder,
      boot,
    ]);
    const exited = once(child, 'exit');
    let lines = 0;
    for await (const line of createInterface({ input: child.stdout })) {
      if (line !== 'open') seen.push(line);
      lines += 1;
      if (lines === 20) child.kill('SIGKILL');
    }
    assert.deepEqual(await exited, [null, 'SIGKILL']);
  }
  const journal = open(folder, 'reader');
  const jobs = journal.openJobs();
  for (const jobId of seen) {
    const history = jobs.find((job) => job.jobId === jobId);
    assert.equal(history?.steps.feed, 'started', jobId);
    assert.equal(history.countersBefore?.picked, Number(jobId.split('-').at(-1)));
  }
  assert.ok(seen.length >= 57);
  const told: string[] = [];
  for (let report = journal.oldestReport(); report !== undefined; report = journal.oldestReport()) {
    told.push(report.jobId);
    journal.settleReport(report.message.messageId);
  }
  assert.deepEqual(
    told.filter((jobId) => seen.includes(jobId)),
    seen,
  );
  journal.close();
});

test('a second agent on the same data folder is refused while the first one runs', () => {
  const folder = newFolder();
  const first = open(folder, 'boot-1');
  assert.throws(() => open(folder, 'boot-2'), { code: 'JOURNAL_IN_USE' });
  first.close();
  open(folder, 'boot-2').close();
});

test('a journal of a newer agent is refused', () => {
  const folder = newFolder();
  open(folder, 'boot-1').close();
  const raw = new DatabaseSync(join(folder, 'journal.sqlite'));
  raw.exec("INSERT INTO migration (version, checksum) VALUES (99, 'of the future')");
  raw.close();
  assert.throws(() => open(folder, 'boot-2'), { code: 'JOURNAL_TOO_NEW' });
});

test('every row of a life is read back as it was written', () => {
  const journal = open(newFolder(), 'boot');
  journal.admit(identity);
  for (const entry of goodLife.slice(0, -1)) journal.write(identity, entry);
  const [history] = journal.openJobs();
  assert.equal(history?.outcome, 'produced');
  assert.equal(history.handOver, 'taken');
  assert.deepEqual(history.countersBefore, { picked: 40, ejected: 30, rejected: 10 });
  assert.deepEqual(history.evidence, { chipReport: {} });
  journal.write(identity, { step: 'close', phase: 'completed' });
  assert.deepEqual(journal.openJobs(), []);
  assert.equal(journal.history(identity)?.outcome, 'produced');
  journal.close();
});

test('the schema takes every step and phase that the code knows, and no other', () => {
  const journal = open(newFolder(), 'boot');
  for (const [index, step] of journalSteps.entries()) {
    for (const phase of stepPhases) {
      const job = { ...identity, jobId: `job-${index}-${phase}` };
      journal.admit(job);
      const detail = step === 'outcome' ? 'spoiled' : step === 'hand_over' ? 'retracted' : undefined;
      journal.write(job, { step, phase, ...(detail === undefined ? {} : { detail }) });
    }
  }
  journal.admit(identity);
  assert.throws(
    () => journal.write(identity, { step: 'outcome', phase: 'completed', detail: 'maybe' }),
    /CHECK/,
  );
  journal.close();
});

test('a job has one outcome: a second one is refused and queues no report', () => {
  const journal = open(newFolder(), 'boot');
  journal.admit(identity);
  const outcome = { step: 'outcome', phase: 'completed', detail: 'produced' } as const;
  journal.write(identity, outcome);
  assert.throws(
    () =>
      journal.write(identity, { ...outcome, detail: 'spoiled' }, [{ kind: 'hand_over', state: 'presented' }]),
    /UNIQUE/,
  );
  assert.equal(journal.waitingReports(identity), 0);
  journal.close();
});

test('an acknowledged outcome takes its evidence off the disk', () => {
  const folder = newFolder();
  const journal = open(folder, 'boot');
  journal.admit(identity);
  const marker = 'EVIDENCE-MARKER-1f9b';
  journal.write(identity, { step: 'verify', phase: 'completed', evidence: { marker } });
  const outcome = {
    kind: 'outcome',
    outcome: 'produced',
    personalizationSent: true,
    terminated: false,
  } as const;
  journal.write(identity, { step: 'outcome', phase: 'completed', detail: 'produced' }, [
    { ...outcome, blanksPicked: 1, evidence: { marker } },
  ]);
  const queued = journal.oldestReport();
  assert.equal(JSON.stringify(queued).includes(marker), true);
  journal.settleReport(queued?.message.messageId ?? '');
  assert.equal(journal.history(identity)?.evidence, undefined);
  journal.close();
  assert.equal(readFileSync(join(folder, 'journal.sqlite')).includes(marker), false);
});

test('a job that was only claimed or asked to arm can be forgotten, one that moved cannot', () => {
  const journal = open(newFolder(), 'boot');
  journal.admit(identity);
  journal.write(identity, { step: 'arm', phase: 'started' });
  journal.forget(identity);
  assert.equal(journal.history(identity), undefined);
  journal.admit(identity);
  journal.write(identity, { step: 'feed', phase: 'started' });
  assert.throws(() => journal.forget(identity), { code: 'INVARIANT_BROKEN' });
  assert.equal(journal.openJobs().length, 1);
  journal.close();
});

test('old jobs are pruned only when the server has settled every report of them', () => {
  const folder = newFolder();
  const past = open(folder, 'boot-1', 1_600_000_000_000);
  const told = { ...identity, jobId: 'told' };
  const untold = { ...identity, jobId: 'untold' };
  for (const job of [told, untold]) {
    past.admit(job);
    past.write(job, { step: 'arm', phase: 'completed' }, [
      { kind: 'stage', stage: 'feed', status: 'started' },
    ]);
    past.write(job, { step: 'close', phase: 'completed' });
  }
  past.settleReport(past.oldestReport()?.message.messageId ?? '');
  past.close();
  const now = open(folder, 'boot-2');
  now.prune();
  assert.equal(now.history(told), undefined);
  assert.equal(now.history(untold)?.steps.close, 'completed');
  assert.equal(now.oldestReport()?.jobId, 'untold');
  now.close();
});
