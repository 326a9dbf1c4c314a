/** Every history that a job can have, and every word a device can say about it, for the property tests. */
import { type CardPosition, type DeviceCounters, type RecoveryReport } from '@cardwright/devices';
import fc from 'fast-check';
import {
  foldHistory,
  type JobHistory,
  type JobIdentity,
  type JournalEntry,
} from '../src/journal/job-history.ts';

export const identity: JobIdentity = {
  jobId: 'job-1',
  epoch: 3,
  operationId: 'op-1',
  productId: 'DEBIT_STD',
};
export const countersBefore: DeviceCounters = { picked: 40, ejected: 30, rejected: 10 };

const started = (step: JournalEntry['step']): JournalEntry =>
  step === 'feed' ? { step, phase: 'started', counters: countersBefore } : { step, phase: 'started' };
const completed = (step: JournalEntry['step']): JournalEntry => ({ step, phase: 'completed' });

/** Rows of a whole good life, in order. A crash leaves a prefix of them. */
export const goodLife: readonly JournalEntry[] = [
  started('arm'),
  completed('arm'),
  started('feed'),
  completed('feed'),
  started('chip'),
  started('script'),
  completed('script'),
  completed('chip'),
  started('print'),
  completed('print'),
  started('verify'),
  { step: 'verify', phase: 'completed', evidence: { chipReport: {} } },
  { step: 'outcome', phase: 'completed', detail: 'produced' },
  started('present'),
  completed('present'),
  { step: 'hand_over', phase: 'completed', detail: 'taken' },
  completed('close'),
];

const spoiledEnd: readonly JournalEntry[] = [
  { step: 'reject', phase: 'started', fault: 'CARD_JAM' },
  { step: 'reject', phase: 'completed' },
  { step: 'outcome', phase: 'completed', detail: 'spoiled', fault: 'CARD_JAM' },
  completed('close'),
];

/** Lives in which a stage fails and the card is given up, cut at every place. */
function failedLives(): JournalEntry[][] {
  const lives: JournalEntry[][] = [];
  for (const step of ['feed', 'chip', 'print', 'verify'] as const) {
    const upTo = goodLife.findIndex((entry) => entry.step === step && entry.phase === 'completed');
    lives.push([...goodLife.slice(0, upTo), { step, phase: 'failed', fault: 'CARD_JAM' }, ...spoiledEnd]);
  }
  const upTo = goodLife.findIndex((entry) => entry.step === 'script' && entry.phase === 'completed');
  lives.push([
    ...goodLife.slice(0, upTo),
    started('terminate'),
    completed('terminate'),
    { step: 'chip', phase: 'failed', fault: 'CHIP_FAIL' },
    { step: 'reject', phase: 'started', fault: 'CHIP_FAIL' },
    { step: 'reject', phase: 'failed', fault: 'REJECT_FULL' },
  ]);
  lives.push([...goodLife.slice(0, 13), started('reject'), completed('reject')]);
  return lives;
}

/** Every prefix of every life: all states in which a crash can leave a journal. */
export const allHistories: readonly JobHistory[] = [goodLife, ...failedLives()].flatMap((life) =>
  Array.from({ length: life.length + 1 }, (_, length) => foldHistory(identity, life.slice(0, length))),
);

export const positions: readonly CardPosition[] = [
  'none',
  'transport',
  'contact',
  'print',
  'exit',
  'unknown',
];

function report(card: CardPosition, counters: DeviceCounters | undefined): RecoveryReport {
  return { card, counters, vendor: 'test' };
}

/** Every position with every small movement of the counters, and with none. */
export const allReports: readonly (RecoveryReport | 'unreachable')[] = [
  'unreachable',
  ...positions.flatMap((card) => [
    report(card, undefined),
    ...[0, 1, 2].flatMap((picked) =>
      [0, 1].flatMap((ejected) =>
        [0, 1].map((rejected) =>
          report(card, {
            picked: countersBefore.picked + picked,
            ejected: countersBefore.ejected + ejected,
            rejected: countersBefore.rejected + rejected,
          }),
        ),
      ),
    ),
  ]),
];

export const historyArbitrary = fc.constantFrom(...allHistories);
export const reportArbitrary = fc.constantFrom(...allReports);
