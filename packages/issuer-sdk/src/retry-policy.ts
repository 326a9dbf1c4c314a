/**
 * When to send the same request again. Pure: an error and an attempt in, a wait or an end out.
 *
 * Only what is safe is repeated: an order carries its `issuerRequestId`, and the API answers a repetition with
 * the operation it already has.
 */
import { D1Error } from './d1-error.ts';

export interface RetryPolicy {
  /** Attempts in all, the first included. */
  readonly attempts: number;
  readonly firstDelayMs: number;
  readonly longestDelayMs: number;
  /** A longer `Retry-After` ends the call instead: the caller decides whether to come back. */
  readonly longestRetryAfterMs: number;
}

export const defaultRetryPolicy: RetryPolicy = {
  attempts: 5,
  firstDelayMs: 250,
  longestDelayMs: 8_000,
  longestRetryAfterMs: 30_000,
};

/**
 * Milliseconds to wait before attempt `attempt + 1`, or undefined when the error is final or attempts are used
 * up. `random` is in [0, 1): half of each delay is jitter, so that many clients do not come back at once.
 */
export function decideRetry(
  policy: RetryPolicy,
  error: unknown,
  attempt: number,
  random: number,
): number | undefined {
  if (!(error instanceof D1Error) || !error.retryable || attempt >= policy.attempts) return undefined;
  const delayMs = Math.min(policy.longestDelayMs, policy.firstDelayMs * 2 ** (attempt - 1));
  const jitteredMs = Math.ceil(delayMs / 2 + (delayMs / 2) * random);
  if (error.retryAfterMs === undefined) return jitteredMs;
  if (error.retryAfterMs > policy.longestRetryAfterMs) return undefined;
  return Math.max(error.retryAfterMs, jitteredMs);
}
