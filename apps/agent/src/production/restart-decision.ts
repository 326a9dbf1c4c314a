/**
 * What an agent does with an open job that it finds in its journal after a crash. Pure and total.
 *
 * The payload lived in memory only (I7), so a card that still needs it can never be finished: printing needs its
 * pictures, verification needs its facts. What can go on is what needs neither: a verified card gets its outcome,
 * a produced card is presented.
 */
import { type HandOverState } from '@cardwright/domain';
import { type JobHistory } from '../journal/job-history.ts';
import { type CardFate, decideCardFate } from './card-fate.ts';
import { type CardPlace } from './card-place.ts';

export type RestartDecision =
  | CardFate
  /** Outcome and hand-over are on record: nothing left but reports. */
  | { readonly kind: 'close' }
  /** Nothing was asked of anybody: forget the job, the server offers it again. */
  | { readonly kind: 'drop' }
  /** Arming was asked and nothing moved: only the server knows whether it armed. */
  | { readonly kind: 'ask-server' }
  /** Verified before the crash and the card is still inside. */
  | { readonly kind: 'produce' }
  | { readonly kind: 'present' }
  | { readonly kind: 'await-taken' }
  | { readonly kind: 'handed-over'; readonly state: Extract<HandOverState, 'taken' | 'retracted'> }
  /** A produced card on its way back to the reject bin. */
  | { readonly kind: 'draw-back' }
  /** Produced, and the device cannot say where it went: the hand-over stays untold. */
  | { readonly kind: 'give-up-hand-over' };

export function decideAfterRestart(history: JobHistory, place: CardPlace): RestartDecision {
  const { steps, outcome } = history;
  if (steps.close !== 'none') return { kind: 'close' };
  if (outcome !== undefined) {
    return outcome === 'produced' ? decideHandOver(history, place) : { kind: 'close' };
  }
  if (steps.arm === 'none' || steps.arm === 'failed') return { kind: 'drop' };
  if (steps.arm === 'started') return { kind: 'ask-server' };
  if (steps.verify === 'completed' && steps.reject === 'none' && place === 'inside')
    return { kind: 'produce' };
  return decideCardFate(history, place, 'INTERRUPTED');
}

function decideHandOver(history: JobHistory, place: CardPlace): RestartDecision {
  const { steps, handOver } = history;
  if (handOver === 'taken' || handOver === 'retracted') return { kind: 'close' };
  switch (place) {
    case 'inside':
      return steps.reject === 'none' ? { kind: 'present' } : { kind: 'draw-back' };
    case 'at-exit':
      return steps.reject === 'none' ? { kind: 'await-taken' } : { kind: 'draw-back' };
    case 'rejected':
      return { kind: 'handed-over', state: 'retracted' };
    case 'left':
      return { kind: 'handed-over', state: 'taken' };
    case 'unreachable':
      return { kind: 'ask-again', fault: 'OFFLINE' };
    case 'not-picked':
    case 'unknown':
      return { kind: 'give-up-hand-over' };
  }
}

/** What the server says about the job that it holds for this station. */
export interface HeldJob {
  readonly jobId: string;
  readonly epoch: number;
  readonly armed: boolean;
}

export type ArmQuestion = { readonly kind: 'withdraw' } | { readonly kind: 'drop' };

/**
 * After a crash between asking to arm and the answer: nothing moved. If the server armed, the job can only be
 * withdrawn, because the payload is gone; else the lease runs out and the job comes back with a new payload.
 */
export function decideAfterArmQuestion(history: JobHistory, held: HeldJob | null): ArmQuestion {
  const isArmed = held?.armed === true && held.jobId === history.jobId && held.epoch === history.epoch;
  return isArmed ? { kind: 'withdraw' } : { kind: 'drop' };
}
