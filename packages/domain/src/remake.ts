/**
 * What follows a job's outcome: done, another attempt, failure, or doubt. Pure.
 *
 * A spoiled card is remade only when it is provably dead (DESIGN §5): by default when its chip never received
 * personalization data, at most `maxRemakes` times; a product may also allow it when the vault's terminate
 * script was confirmed on the spoiled chip. A job that was interrupted before any blank moved is tried again under
 * the same limit: nothing exists that could be a second card.
 */
import { type FaultCode } from './fault.ts';
import { type OrderState } from './order-state.ts';

export interface RemakePolicy {
  /** How many automatic remakes an order may have. */
  readonly maxRemakes: number;
  /** Whether a chip that was terminated by script counts as dead. */
  readonly remakeAfterTerminate: boolean;
}

export const defaultRemakePolicy: RemakePolicy = { maxRemakes: 1, remakeAfterTerminate: false };

export type JobOutcome =
  | { readonly outcome: 'produced' }
  | {
      readonly outcome: 'spoiled';
      readonly fault: FaultCode;
      /** Whether any personalization command may have reached the chip. */
      readonly personalizationSent: boolean;
      /** Whether the chip confirmed its termination. */
      readonly terminated: boolean;
    }
  | { readonly outcome: 'in_doubt'; readonly fault: FaultCode }
  | { readonly outcome: 'withdrawn'; readonly fault: FaultCode };

export type OrderDecision =
  | { readonly next: Extract<OrderState, 'done'> }
  | { readonly next: Extract<OrderState, 'ready'>; readonly remake: true }
  | { readonly next: Extract<OrderState, 'production_failed' | 'in_doubt'>; readonly fault: FaultCode };

/** Decides the order's next state from a job's outcome and the number of remakes so far. */
export function decideAfterOutcome(
  job: JobOutcome,
  remakesSoFar: number,
  policy: RemakePolicy,
): OrderDecision {
  switch (job.outcome) {
    case 'produced':
      return { next: 'done' };
    case 'in_doubt':
      return { next: 'in_doubt', fault: job.fault };
    case 'withdrawn': {
      const isAccident = job.fault === 'INTERRUPTED';
      if (isAccident && remakesSoFar < policy.maxRemakes) return { next: 'ready', remake: true };
      return { next: 'production_failed', fault: job.fault };
    }
    case 'spoiled': {
      const isDead = !job.personalizationSent || (policy.remakeAfterTerminate && job.terminated);
      if (isDead && remakesSoFar < policy.maxRemakes) return { next: 'ready', remake: true };
      return { next: 'production_failed', fault: job.fault };
    }
  }
}
