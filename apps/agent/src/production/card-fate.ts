/**
 * What becomes of a card that will not be finished: back out, reject bin, or doubt. Pure.
 *
 * Invariants: `withdraw` only when provably no blank moved; `spoil` without moving anything only when the card is
 * in the reject bin or can never be a good one (its chip got no data); a card that got data and cannot be found
 * is in doubt (I3).
 */
import { type FaultCode } from '@cardwright/domain';
import { type CardPlace } from './card-place.ts';
import { isPersonalizationSent, type JobHistory } from '../journal/job-history.ts';

export type CardFate =
  /** The job ends without a blank. */
  | { readonly kind: 'withdraw'; readonly fault: FaultCode }
  /** Move the card to the reject bin, then the job is spoiled. */
  | { readonly kind: 'reject'; readonly fault: FaultCode }
  /** The card needs no movement any more: spoiled. */
  | { readonly kind: 'spoil'; readonly fault: FaultCode }
  | { readonly kind: 'doubt'; readonly fault: FaultCode }
  /** The device does not answer yet. */
  | { readonly kind: 'ask-again'; readonly fault: FaultCode };

/**
 * Decides over a job that was armed and has no outcome.
 * @param fault why the card is given up, unless the journal holds an earlier reason
 */
export function decideCardFate(history: JobHistory, place: CardPlace, fault: FaultCode): CardFate {
  const reason = history.fault ?? fault;
  if (history.steps.feed === 'none') return { kind: 'withdraw', fault: reason };
  switch (place) {
    case 'inside':
    case 'at-exit':
      return { kind: 'reject', fault: reason };
    case 'rejected':
      return { kind: 'spoil', fault: reason };
    case 'not-picked':
      // Counters that deny a pick which had an answer contradict the journal.
      return history.steps.feed === 'completed' ? missingCard(history) : { kind: 'withdraw', fault: reason };
    case 'left':
      return missingCard(history);
    case 'unreachable':
      return { kind: 'ask-again', fault: reason };
    case 'unknown':
      // Whatever is in there belongs into the reject bin; what could not be moved is judged afterwards.
      return history.steps.reject === 'failed' ? missingCard(history) : { kind: 'reject', fault: reason };
  }
}

/** The device was asked for as long as the agent waits, and gave no answer. */
export function decideUnreachable(history: JobHistory): CardFate {
  return history.steps.feed === 'none'
    ? { kind: 'withdraw', fault: history.fault ?? 'OFFLINE' }
    : { kind: 'doubt', fault: 'OFFLINE' };
}

function missingCard(history: JobHistory): CardFate {
  return isPersonalizationSent(history)
    ? { kind: 'doubt', fault: 'CARD_LOST' }
    : { kind: 'spoil', fault: 'CARD_LOST' };
}
