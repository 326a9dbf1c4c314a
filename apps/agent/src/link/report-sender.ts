/**
 * Delivers the journal's reports: oldest first, one at a time, again and again until the server has answered.
 *
 * Invariants: order is kept for the whole station; a report is settled only by an acknowledgement or a final
 * refusal, never by time; its message id stays the same over all attempts, so the server can tell a repetition.
 */
import { type Clock, delay, type Logger } from '@cardwright/runtime';
import { type Journal } from '../journal/journal.ts';
import { type BackOff, backOffMs, type Random } from './back-off.ts';
import { LinkFault, StationRefusal } from './station-error.ts';
import { type StationLink } from './station-link.ts';

const backOff: BackOff = { baseMs: 250, capMs: 15_000 };

export interface ReportSenderOptions {
  readonly journal: Journal;
  readonly link: Pick<StationLink, 'report'>;
  readonly clock: Clock;
  readonly random: Random;
  readonly logger: Logger;
  readonly signal: AbortSignal;
}

export interface ReportSender {
  /** Resolves when nothing waits any more, or with `false` when `limitMs` is over first. */
  whenDelivered(limitMs: number): Promise<boolean>;
  /** Ends with the signal; rejects only when the journal itself fails. */
  readonly ended: Promise<void>;
}

/** Starts sending and goes on until the signal aborts. */
export function startReportSender(options: ReportSenderOptions): ReportSender {
  const { journal, clock, signal } = options;
  const idleWaiters = new Set<() => void>();
  let wake: () => void = () => undefined;
  journal.onReport(() => wake());
  signal.addEventListener('abort', () => wake(), { once: true });

  const pause = (): Promise<void> =>
    new Promise((resolve) => {
      for (const waiter of idleWaiters) waiter();
      wake = resolve;
      if (signal.aborted) resolve();
    });

  const run = async (): Promise<void> => {
    for (let attempt = 0; !signal.aborted;) {
      const queued = journal.oldestReport();
      if (queued === undefined) {
        attempt = 0;
        await pause();
        continue;
      }
      const isSettled = await deliver(options, queued);
      if (isSettled) {
        attempt = 0;
        continue;
      }
      await delay(clock, backOffMs(backOff, attempt, options.random()), signal).catch(() => undefined);
      attempt += 1;
    }
  };
  return {
    ended: run(),
    whenDelivered: (limitMs) => {
      if (journal.oldestReport() === undefined) return Promise.resolve(true);
      return new Promise((resolve) => {
        const limit = clock.setTimeout(() => finish(false), limitMs);
        const delivered = (): void => finish(true);
        const stopped = (): void => finish(false);
        const finish = (isDelivered: boolean): void => {
          limit.cancel();
          idleWaiters.delete(delivered);
          signal.removeEventListener('abort', stopped);
          resolve(isDelivered);
        };
        idleWaiters.add(delivered);
        signal.addEventListener('abort', stopped, { once: true });
      });
    },
  };
}

/** Sends one report. Resolves to whether it is settled. */
async function deliver(
  { journal, link, logger }: ReportSenderOptions,
  { jobId, message }: NonNullable<ReturnType<Journal['oldestReport']>>,
): Promise<boolean> {
  const { messageId, report } = message;
  try {
    await link.report(jobId, message);
    journal.settleReport(messageId);
    return true;
  } catch (error) {
    if (error instanceof StationRefusal) {
      // Kept in the journal as refused: a person has to look at why the server does not want to know.
      journal.settleReport(messageId, error.code);
      logger.fault('agent.report-refused', error, { jobId, kind: report.kind, messageId });
      return true;
    }
    if (!(error instanceof LinkFault)) throw error;
    logger.warn('agent.report-delayed', { jobId, kind: report.kind, code: error.code });
    return false;
  }
}
