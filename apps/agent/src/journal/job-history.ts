/**
 * What the journal says about one job: rows folded into the facts that decisions are made from. Pure.
 *
 * Invariants: a step's state is that of its newest row; facts only grow, so a history read after a crash never
 * claims less than what was physically begun (I6).
 */
import { type FaultCode, type HandOverState, type Outcome } from '@cardwright/domain';
import { type DeviceCounters } from '@cardwright/devices';

/**
 * `script` starts with the first command that may carry card data to the chip; `terminate` is the chip's own end;
 * `outcome`, `hand_over` and `close` are decisions, not movements.
 */
export const journalSteps = [
  'arm',
  'feed',
  'chip',
  'script',
  'terminate',
  'print',
  'verify',
  'reject',
  'outcome',
  'present',
  'hand_over',
  'close',
] as const;
export type JournalStep = (typeof journalSteps)[number];

export const stepPhases = ['started', 'completed', 'failed'] as const;
export type StepPhase = (typeof stepPhases)[number];
export type StepState = 'none' | StepPhase;

/** Evidence about a finished card: free in shape, never card data. */
export type Evidence = Readonly<Record<string, unknown>>;

/** One row to write. */
export interface JournalEntry {
  readonly step: JournalStep;
  readonly phase: StepPhase;
  readonly fault?: FaultCode;
  /** The device's life-time counters at this moment. */
  readonly counters?: DeviceCounters;
  /** Chip production data (42 bytes, hex): which piece of silicon this job got. */
  readonly cplc?: string;
  /** `outcome`: which; `hand_over`: taken or retracted. */
  readonly detail?: string;
  readonly evidence?: Evidence;
}

export interface JobReference {
  readonly jobId: string;
  readonly epoch: number;
}

export interface JobIdentity extends JobReference {
  readonly operationId: string;
  readonly productId: string;
}

export interface JobHistory extends JobIdentity {
  readonly steps: Readonly<Record<JournalStep, StepState>>;
  /** Counters read before the blank was picked. */
  readonly countersBefore: DeviceCounters | undefined;
  readonly cplc: string | undefined;
  /** Why the card is being given up: the first fault on record. */
  readonly fault: FaultCode | undefined;
  readonly outcome: Outcome | undefined;
  readonly handOver: HandOverState;
  readonly evidence: Evidence | undefined;
}

/** True as soon as card data may have reached the chip. */
export function isPersonalizationSent(history: JobHistory): boolean {
  return history.steps.script !== 'none';
}

/** True when the chip confirmed its terminate command. */
export function isTerminated(history: JobHistory): boolean {
  return history.steps.terminate === 'completed';
}

function handOverOf(history: JobHistory, entry: JournalEntry): HandOverState {
  if (entry.step === 'present' && entry.phase === 'completed') return 'presented';
  if (entry.step === 'hand_over') return entry.detail === 'taken' ? 'taken' : 'retracted';
  return history.handOver;
}

/** A job that was claimed and nothing else. */
export function emptyHistory(job: JobIdentity): JobHistory {
  const steps = Object.fromEntries(journalSteps.map((step) => [step, 'none'])) as Record<
    JournalStep,
    StepState
  >;
  return {
    ...job,
    steps,
    countersBefore: undefined,
    cplc: undefined,
    fault: undefined,
    outcome: undefined,
    handOver: 'none',
    evidence: undefined,
  };
}

/** The history after one more row. */
export function withEntry(history: JobHistory, entry: JournalEntry): JobHistory {
  const isFeedStart = entry.step === 'feed' && entry.phase === 'started';
  return {
    ...history,
    steps: { ...history.steps, [entry.step]: entry.phase },
    countersBefore: isFeedStart ? entry.counters : history.countersBefore,
    cplc: entry.cplc ?? history.cplc,
    fault: history.fault ?? entry.fault,
    outcome: entry.step === 'outcome' ? (entry.detail as Outcome) : history.outcome,
    handOver: handOverOf(history, entry),
    evidence: entry.evidence ?? history.evidence,
  };
}

/** Folds all rows of a job, oldest first. */
export function foldHistory(job: JobIdentity, entries: readonly JournalEntry[]): JobHistory {
  return entries.reduce(withEntry, emptyHistory(job));
}
