/** Waits for a condition, never for a time: asks again and again until a deadline. */
import { setTimeout as pause } from 'node:timers/promises';

const askEveryMs = 4;

/** Resolves with the first value that is not undefined, false or null. @throws after `limitMs` */
export async function eventually<T>(
  what: string,
  probe: () => T | undefined | false | null | Promise<T | undefined | false | null>,
  limitMs = 20_000,
): Promise<T> {
  const deadline = Date.now() + limitMs;
  for (;;) {
    const value = await probe();
    if (value !== undefined && value !== false && value !== null) return value;
    if (Date.now() > deadline) throw new Error(`did not happen within ${String(limitMs)} ms: ${what}`);
    await pause(askEveryMs);
  }
}
