/**
 * The thread of the watchdog: looks at the deadlines until one has passed, says so, and ends the process.
 *
 * Invariant: nothing here waits for the main thread, which may hang inside the module.
 */
import { writeSync } from 'node:fs';
import { workerData } from 'node:worker_threads';
import koffi from 'koffi';
import { type WatchedMemory } from './call-watchdog.ts';

const { exitCode, functionNames, intervalMs, lastWords, ...memory } = workerData as WatchedMemory;
const deadlines = new BigInt64Array(memory.deadlines);
const names = new Int32Array(memory.names);
/** Ends the process at once: neither exit handlers nor destructors run, and no other thread is waited for. */
const exitNow = koffi.load(null).func('_exit', 'void', ['int']) as (code: number) => void;
const pause = new Int32Array(new SharedArrayBuffer(4));

for (;;) {
  Atomics.wait(pause, 0, 0, intervalMs);
  const now = BigInt(Date.now());
  for (let slot = 0; slot < deadlines.length; slot++) {
    const deadline = Atomics.load(deadlines, slot);
    if (deadline === 0n || now < deadline) continue;
    writeSync(
      1,
      `${lastWords.replace('{function}', functionNames[Atomics.load(names, slot)] ?? 'unknown')}\n`,
    );
    exitNow(exitCode);
  }
}
