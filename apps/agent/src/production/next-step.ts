/** What a living agent does next with a job, from its journal alone. Pure and total. */
import { type JobHistory, type JournalStep } from '../journal/job-history.ts';

export type NextStep =
  | 'arm'
  | 'feed'
  | 'chip'
  | 'print'
  | 'verify'
  /** Everything is proven: put the outcome `produced` on record. */
  | 'produce'
  | 'present'
  | 'await-taken'
  | 'close'
  /** A step was begun and not completed: the journal cannot know the rest, the devices must be asked. */
  | 'recover';

const stagesInOrder = ['arm', 'feed', 'chip', 'print', 'verify'] as const;

/**
 * The first step that is not completed. A step that was started or failed is never simply done again: matter may
 * have moved.
 */
export function decideNextStep(history: JobHistory): NextStep {
  const { steps, outcome, handOver } = history;
  if (steps.close !== 'none') return 'close';
  if (outcome === undefined) {
    if (steps.reject !== 'none' || steps.terminate !== 'none') return 'recover';
    return firstUnfinished(steps, stagesInOrder) ?? 'produce';
  }
  // A card that is being drawn back is not offered again.
  if (outcome !== 'produced') return 'close';
  if (handOver === 'taken' || handOver === 'retracted') return 'close';
  if (steps.reject !== 'none') return 'recover';
  return firstUnfinished(steps, ['present'] as const) ?? 'await-taken';
}

function firstUnfinished<S extends JournalStep>(
  steps: JobHistory['steps'],
  order: readonly S[],
): S | 'recover' | undefined {
  for (const step of order) {
    const state = steps[step];
    if (state === 'none') return step;
    if (state !== 'completed') return 'recover';
  }
  return undefined;
}
