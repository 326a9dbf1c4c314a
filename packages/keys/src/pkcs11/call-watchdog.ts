/**
 * Ends the process when a call into a PKCS#11 module does not come back.
 *
 * A module is foreign code: it may wait for a lock, a network or a broken token for ever, on this thread or on
 * another one, and no JavaScript timer runs while this thread waits in it. So a thread of its own looks at the
 * deadlines of the running calls in shared memory.
 *
 * Invariants: a call past its deadline ends the whole process with `exitCode`, by `_exit`, because destructors of
 * the module could wait as well; the supervisor starts the process again, and requests are idempotent, so that
 * nothing is lost; no call is watched after it has come back.
 */
import { once } from 'node:events';
import { Worker } from 'node:worker_threads';

export interface CallWatch {
  /** A call begins; the returned function tells its end. */
  begin(name: string): () => void;
  /** Runs a synchronous call between begin and end. */
  watched<T>(name: string, call: () => T): T;
  close(): Promise<void>;
}

export interface CallWatchOptions {
  /** How long one call may take. RSA key generation on a slow token takes seconds. */
  readonly deadlineMs: number;
  readonly exitCode: number;
  /** One line for standard output before the process ends; `{function}` stands for the function that hangs. */
  readonly lastWords: string;
}

/** What the watching thread shares: per slot a deadline (epoch ms, 0 when free) and the number of a name. */
export interface WatchedMemory {
  readonly deadlines: SharedArrayBuffer;
  readonly names: SharedArrayBuffer;
  readonly exitCode: number;
  readonly lastWords: string;
  readonly functionNames: readonly string[];
  readonly intervalMs: number;
  /** One number: 0 while the thread is wanted; the thread sleeps on it. */
  readonly stop: SharedArrayBuffer;
}

/** More calls at once than the session pool ever makes. */
const slotCount = 64;

/** Starts the watching thread. It does not keep the process alive. */
export function startCallWatch(options: CallWatchOptions, functionNames: readonly string[]): CallWatch {
  const deadlines = new BigInt64Array(new SharedArrayBuffer(slotCount * 8));
  const names = new Int32Array(new SharedArrayBuffer(slotCount * 4));
  const stop = new Int32Array(new SharedArrayBuffer(4));
  const workerData: WatchedMemory = {
    stop: stop.buffer,
    deadlines: deadlines.buffer,
    names: names.buffer,
    exitCode: options.exitCode,
    lastWords: options.lastWords,
    functionNames,
    intervalMs: Math.min(250, Math.max(10, options.deadlineMs / 4)),
  };
  const thread = new Worker(new URL('./call-watchdog-thread.ts', import.meta.url), { workerData });
  thread.unref();
  const free = Array.from({ length: slotCount }, (_, slot) => slot);

  const begin = (name: string): (() => void) => {
    const slot = free.pop();
    if (slot === undefined) throw new Error('more calls at once than the watchdog can watch');
    Atomics.store(names, slot, functionNames.indexOf(name));
    Atomics.store(deadlines, slot, BigInt(Date.now() + options.deadlineMs));
    return () => {
      Atomics.store(deadlines, slot, 0n);
      free.push(slot);
    };
  };
  return {
    begin,
    watched: (name, call) => {
      const end = begin(name);
      try {
        return call();
      } finally {
        end();
      }
    },
    close: async () => {
      // Not terminate(): a thread that is stopped in the middle of native code takes the process with it.
      const ended = once(thread, 'exit');
      thread.ref();
      Atomics.store(stop, 0, 1);
      Atomics.notify(stop, 0);
      await ended;
    },
  };
}
