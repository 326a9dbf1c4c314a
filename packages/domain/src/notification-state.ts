/** The delivery of one notification to the issuer: an axis of its own, beside the order's state. */
import { type TransitionTable } from './transition.ts';

export const notificationStates = ['pending', 'delivered', 'refused', 'parked'] as const;
/** `refused`: the issuer answered 400, final. `parked`: attempts used up, waits for a replay. */
export type NotificationState = (typeof notificationStates)[number];

export const notificationTransitions: TransitionTable<NotificationState> = {
  pending: ['delivered', 'refused', 'parked'],
  delivered: [],
  refused: [],
  parked: ['pending'],
};

/** Delays before each attempt, in seconds; jitter of ± 20 % is added (OD-5.1). */
export const notificationDelaysS = [0, 5, 300, 1_800, 7_200, 18_000, 36_000, 50_400, 72_000, 86_400] as const;

/** Delay in ms before attempt number `attempt` (0-based), or undefined when attempts are used up. */
export function notificationDelayMs(attempt: number, random: number): number | undefined {
  const seconds = notificationDelaysS[attempt];
  if (seconds === undefined) return undefined;
  return Math.round(seconds * 1_000 * (0.8 + 0.4 * random));
}
