/**
 * The one loop that does due work: woken when work was added, and by polling as the floor, so that a lost wake-up
 * costs time and never the work.
 *
 * Invariants: at most `maxConcurrent` pieces of one kind run at a time; a piece that throws is tried again later,
 * with back-off; stopping waits for what runs.
 */
import { type Clock, type Logger, type Timer } from '@cardwright/runtime';
import { type Store } from '../store/store.ts';
import { type WorkKind } from '../store/tables.ts';
import { claimWork, type DueWork, nextDueAtMs, postponeWork } from './due-work.ts';

export interface WorkHandler {
  readonly kind: WorkKind;
  readonly maxConcurrent: number;
  /** How long one piece may take before another worker may take it over. */
  readonly leaseMs: number;
  /**
   * Does the work. Either completes the row in a transaction of its own and returns undefined, or returns when
   * to try again.
   */
  run(work: DueWork): Promise<{ readonly retryAtMs: number } | undefined>;
}

export interface WorkLoop {
  start(): void;
  /** Looks for due work at once. */
  wake(): void;
  stop(): Promise<void>;
}

export interface WorkLoopParts {
  readonly store: Store;
  readonly clock: Clock;
  readonly logger: Logger;
  readonly handlers: readonly WorkHandler[];
  readonly pollMs: number;
}

const firstBackOffMs = 500;
const longestBackOffMs = 30_000;
/** How long work of a node that died may lie before another node takes it over. */
const sweepEveryMs = 2_000;

/** Delay before the next try after `attempts` earlier ones. */
export function backOffMs(attempts: number): number {
  return Math.min(firstBackOffMs * 2 ** Math.min(attempts, 16), longestBackOffMs);
}

export function createWorkLoop(parts: WorkLoopParts): WorkLoop {
  const { store, clock, logger, handlers, pollMs } = parts;
  const kinds = handlers.map((handler) => handler.kind);
  const running = new Map<WorkKind, number>();
  const underWay = new Set<Promise<void>>();
  let timer: Timer | undefined;
  let looking: Promise<void> | undefined;
  let lookAgain = false;
  let stopped = true;
  let sweptAtMs = -Infinity;

  const runOne = async (handler: WorkHandler, work: DueWork): Promise<void> => {
    let again: { readonly retryAtMs: number } | undefined;
    try {
      again = await handler.run(work);
    } catch (error) {
      logger.fault('work.failed', error, { kind: work.kind, subject: work.subjectId });
      again = { retryAtMs: clock.now() + backOffMs(work.attempts) };
    }
    const { retryAtMs } = again ?? {};
    if (retryAtMs !== undefined) {
      await store.transaction(async (tx) => {
        await postponeWork(tx, work, retryAtMs);
      });
    }
  };

  const begin = (handler: WorkHandler, work: DueWork): void => {
    running.set(handler.kind, (running.get(handler.kind) ?? 0) + 1);
    const one = runOne(handler, work)
      .catch((error: unknown) => {
        logger.fault('work.lost-until-lease-end', error, { kind: work.kind });
      })
      .finally(() => {
        running.set(handler.kind, (running.get(handler.kind) ?? 1) - 1);
        underWay.delete(one);
        wake();
      });
    underWay.add(one);
  };

  const look = async (): Promise<void> => {
    const now = clock.now();
    if (now - sweptAtMs >= sweepEveryMs) {
      await store.releaseLostWork();
      sweptAtMs = now;
    }
    const { claimed, next } = await store.transaction(async (tx) => {
      const found: (readonly [WorkHandler, DueWork])[] = [];
      for (const handler of handlers) {
        const free = handler.maxConcurrent - (running.get(handler.kind) ?? 0);
        if (free <= 0) continue;
        const works = await claimWork(tx, handler.kind, free, now, now + handler.leaseMs);
        found.push(...works.map((work) => [handler, work] as const));
      }
      // A kind with no free hands is looked at again when one of its pieces ends, not on a timer.
      const waiting = kinds.filter((kind) => {
        const handler = handlers.find((one) => one.kind === kind);
        const busy = (running.get(kind) ?? 0) + found.filter(([one]) => one.kind === kind).length;
        return handler !== undefined && busy < handler.maxConcurrent;
      });
      return { claimed: found, next: waiting.length === 0 ? undefined : await nextDueAtMs(tx, waiting) };
    });
    for (const [handler, work] of claimed) begin(handler, work);
    const delayMs = next === undefined ? pollMs : Math.min(next - clock.now(), pollMs);
    // Time went on while we looked: what has become due since is not left to a timer.
    if (delayMs <= 0) lookAgain = true;
    else timer = clock.setTimeout(wake, delayMs);
  };

  function wake(): void {
    if (stopped) return;
    lookAgain = true;
    looking ??= (async () => {
      while (lookAgain && !mayStop()) {
        lookAgain = false;
        timer?.cancel();
        try {
          await look();
        } catch (error) {
          logger.fault('work.look-failed', error);
          timer = clock.setTimeout(wake, pollMs);
        }
      }
      looking = undefined;
    })();
  }

  const mayStop = (): boolean => stopped;

  return {
    start: () => {
      stopped = false;
      wake();
    },
    wake,
    stop: async () => {
      stopped = true;
      timer?.cancel();
      await looking;
      timer?.cancel();
      await Promise.all(underWay);
    },
  };
}
