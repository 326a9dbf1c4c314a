/**
 * Full-jitter back-off: each pause is a random part of a bound that doubles up to a cap, so that a thousand
 * stations do not come back in step after a server restart.
 */
import { type Clock, delay } from '@cardwright/runtime';

export interface BackOff {
  readonly baseMs: number;
  readonly capMs: number;
}

/** The pause before retry number `attempt` (0-based), in ms. `random` is in [0, 1). */
export function backOffMs({ baseMs, capMs }: BackOff, attempt: number, random: number): number {
  return Math.floor(random * Math.min(capMs, baseMs * 2 ** Math.min(attempt, 30)));
}

/** Source of randomness in [0, 1), so that a simulation can own it. */
export type Random = () => number;

export interface RetryOptions {
  readonly clock: Clock;
  readonly random: Random;
  readonly backOff: BackOff;
  /** Whether this error may be retried. */
  readonly isRetryable: (error: unknown) => boolean;
  /** Epoch milliseconds after which the last error is thrown. */
  readonly deadline: number;
  readonly signal: AbortSignal;
}

/** Repeats `action` until it succeeds, fails for good, or the deadline passes. @throws the last error */
export async function retryUntil<T>(options: RetryOptions, action: () => Promise<T>): Promise<T> {
  const { clock, deadline, signal } = options;
  for (let attempt = 0; ; attempt++) {
    try {
      return await action();
    } catch (error) {
      const pauseMs = backOffMs(options.backOff, attempt, options.random());
      if (!options.isRetryable(error) || signal.aborted || clock.now() + pauseMs > deadline) throw error;
      await delay(clock, pauseMs, signal);
    }
  }
}
