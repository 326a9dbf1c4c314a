/**
 * The thread of the watchdog: looks at the deadlines until one has passed, says so, and ends the process.
 *
 * Invariant: nothing here waits for the main thread, which may hang inside the module.
 */
import { writeSync } from 'node:fs';
import { workerData } from 'node:worker_threads';
import { type WatchedMemory } from './call-watchdog.ts';

const { exitCode, functionNames, intervalMs, lastWords, ...memory } = workerData as WatchedMemory;
const deadlines = new BigInt64Array(memory.deadlines);
const names = new Int32Array(memory.names);
const stop = new Int32Array(memory.stop);

/** Number of the function that is past its deadline. */
function hangingFunction(): number | undefined {
  const now = BigInt(Date.now());
  for (let slot = 0; slot < deadlines.length; slot++) {
    const deadline = Atomics.load(deadlines, slot);
    if (deadline !== 0n && now >= deadline) return Atomics.load(names, slot);
  }
  return undefined;
}

while (Atomics.wait(stop, 0, 0, intervalMs) === 'timed-out') {
  const hanging = hangingFunction();
  if (hanging === undefined) continue;
  writeSync(1, `${lastWords.replace('{function}', functionNames[hanging] ?? 'unknown')}\n`);
  // _exit: neither exit handlers nor destructors run, and no other thread is waited for.
  const { default: koffi } = await import('koffi');
  (koffi.load(null).func('_exit', 'void', ['int']) as (code: number) => void)(exitCode);
}
