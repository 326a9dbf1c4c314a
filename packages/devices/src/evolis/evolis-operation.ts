/**
 * A printer operation under watch. The printer stalls until somebody polls GetEvent and answers with SetEvent:
 * this loop owns that duty for as long as an operation runs.
 *
 * Invariants: the operation is sent once; the watch ends when it is over, when the printer waits for a decision, or
 * when the printer has kept silent or busy for too long — and says which.
 */
import { delay } from '@cardwright/runtime';
import { decideEventReaction } from './evolis-faults.ts';
import { type EvolisLink } from './evolis-link.ts';
import { EvolisRpcError } from './evolis-rpc.ts';
import { type EvolisEvent, isBusy } from './evolis-state.ts';

type OperationEnd =
  | { readonly kind: 'done'; readonly answer: string }
  | { readonly kind: 'failed'; readonly error: EvolisRpcError };

/** A request under way; `end` never rejects. */
export interface EvolisOperation {
  readonly end: Promise<OperationEnd>;
  abandon(): void;
}

export type Watched =
  | OperationEnd
  /** The printer waits for SetEvent. */
  | { readonly kind: 'stalled'; readonly event: EvolisEvent }
  /** The printer does not answer, or the operation takes longer than it may. */
  | { readonly kind: 'silent'; readonly detail: string };

export function startOperation(start: (signal: AbortSignal) => Promise<string>): EvolisOperation {
  const abandoned = new AbortController();
  const end = start(abandoned.signal).then(
    (answer): OperationEnd => ({ kind: 'done', answer }),
    (error: unknown): OperationEnd => {
      if (error instanceof EvolisRpcError) return { kind: 'failed', error };
      throw error;
    },
  );
  return {
    end,
    abandon: () => {
      abandoned.abort();
    },
  };
}

/**
 * Watches an operation until there is something to decide.
 * @param limitMs how long the printer may work on it; time spent waiting for an operator does not count, because
 *   the watch starts anew after each answer
 */
export async function watchOperation(
  link: EvolisLink,
  operation: EvolisOperation,
  limitMs: number,
): Promise<Watched> {
  const startedAt = link.clock.now();
  let lastAnswerAt = startedAt;
  let restsSince: number | undefined;
  let hadOutage = false;
  for (;;) {
    const end = await Promise.race([operation.end, pause(link)]);
    if (end !== undefined) return end;
    const look = await Promise.race([operation.end, lookAtPrinter(link)]);
    if (look.kind === 'done' || look.kind === 'failed') return look;
    const now = link.clock.now();
    if (look.kind === 'no-answer') {
      if (now - lastAnswerAt >= link.limits.silenceMs) return { kind: 'silent', detail: look.detail };
      hadOutage = true;
      continue;
    }
    lastAnswerAt = now;
    restsSince = look.isResting ? (restsSince ?? now) : undefined;
    if (look.event !== undefined) {
      const reaction = decideEventReaction(look.event);
      if (reaction.kind !== 'acknowledge') return { kind: 'stalled', event: look.event };
      await acknowledge(link, look.event, reaction.action);
    }
    // The answer may have been lost with the connection, and then it never comes.
    if (hadOutage && restsSince !== undefined && now - restsSince >= link.limits.queryMs) {
      return { kind: 'silent', detail: 'the printer rests after an outage, its answer is lost' };
    }
    if (now - startedAt >= limitMs) return { kind: 'silent', detail: `not finished in ${limitMs} ms` };
  }
}

async function pause(link: EvolisLink): Promise<undefined> {
  await delay(link.clock, link.limits.pollMs);
  return undefined;
}

type Look =
  | { readonly kind: 'seen'; readonly event: EvolisEvent | undefined; readonly isResting: boolean }
  | { readonly kind: 'no-answer'; readonly detail: string };

async function lookAtPrinter(link: EvolisLink): Promise<Look> {
  try {
    const event = await link.event();
    const isResting = event === undefined && !isBusy(await link.state());
    return { kind: 'seen', event, isResting };
  } catch (error) {
    if (error instanceof EvolisRpcError) return { kind: 'no-answer', detail: error.message };
    throw error;
  }
}

/** A notice that was gone before we answered it needs no answer. */
async function acknowledge(link: EvolisLink, event: EvolisEvent, action: string): Promise<void> {
  try {
    await link.setEvent(event, action);
  } catch (error) {
    if (!(error instanceof EvolisRpcError)) throw error;
  }
}
