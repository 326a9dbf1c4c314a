/** A clock that stands still until a test moves it. Timers fire in order of their time while it moves. */
import { type Clock } from '@cardwright/runtime';

export interface VirtualClock extends Clock {
  /** Moves time on and fires what becomes due. */
  advance(ms: number): void;
}

export function createVirtualClock(startMs: number): VirtualClock {
  let nowMs = startMs;
  const timers = new Set<{ readonly atMs: number; readonly action: () => void }>();
  return {
    now: () => nowMs,
    setTimeout: (action, delayMs) => {
      const timer = { atMs: nowMs + delayMs, action };
      timers.add(timer);
      return { cancel: () => timers.delete(timer) };
    },
    advance: (ms) => {
      const until = nowMs + ms;
      for (;;) {
        const next = [...timers].filter((timer) => timer.atMs <= until).sort((a, b) => a.atMs - b.atMs)[0];
        if (next === undefined) break;
        timers.delete(next);
        nowMs = Math.max(nowMs, next.atMs);
        next.action();
      }
      nowMs = until;
    },
  };
}
