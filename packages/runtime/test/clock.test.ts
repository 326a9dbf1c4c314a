import assert from 'node:assert/strict';
import { test } from 'node:test';
import { type Clock, delay, newId } from '../src/index.ts';

function manualClock(): Clock & { advance(ms: number): void } {
  let now = 0;
  const timers = new Set<{ at: number; action: () => void }>();
  return {
    now: () => now,
    setTimeout: (action, delayMs) => {
      const timer = { at: now + delayMs, action };
      timers.add(timer);
      return { cancel: () => void timers.delete(timer) };
    },
    advance: (ms) => {
      now += ms;
      for (const timer of [...timers].filter(({ at }) => at <= now)) {
        timers.delete(timer);
        timer.action();
      }
    },
  };
}

test('a delay ends when its time has come on the given clock', async () => {
  const clock = manualClock();
  const waiting = delay(clock, 1_000);
  clock.advance(999);
  assert.equal(await Promise.race([waiting.then(() => 'over'), Promise.resolve('waiting')]), 'waiting');
  clock.advance(1);
  await waiting;
});

test('an aborted delay rejects with the reason, also when aborted before', async () => {
  const abort = new AbortController();
  const waiting = delay(manualClock(), 1_000, abort.signal);
  abort.abort(new Error('stop'));
  await assert.rejects(waiting, /stop/);
  await assert.rejects(delay(manualClock(), 1_000, abort.signal), /stop/);
});

test('identifiers differ', () => {
  assert.equal(new Set(Array.from({ length: 1000 }, newId)).size, 1000);
});
