/**
 * The life of a station: finish what is open, ask for work, make the card, again. One job at a time.
 *
 * Invariants: nothing is begun while a report of an earlier job waits, while a job is open, or while a card is
 * inside that no job owns; the doorbell only shortens the wait, polling is the floor.
 */
import { type StationJob } from '@cardwright/protocol';
import { type Clock, delay } from '@cardwright/runtime';
import { backOffMs } from '../link/back-off.ts';
import { LinkFault, StationRefusal } from '../link/station-error.ts';
import { doubtUnknownJob, recoverOpenJobs } from './job-recovery.ts';
import { runJob } from './job-run.ts';
import { type StationParts } from './station-parts.ts';

/** Wakes the loop when the doorbell rings; a ring while nobody waits is kept. */
export class Bell {
  #isRung = false;
  #wake: () => void = () => undefined;

  ring(): void {
    this.#isRung = true;
    this.#wake();
  }

  /** Resolves at the next ring, or after `limitMs`, or when `signal` aborts. */
  async wait(clock: Clock, limitMs: number, signal: AbortSignal): Promise<void> {
    if (!this.#isRung) {
      const woken = new AbortController();
      this.#wake = () => {
        woken.abort(new Error('rung'));
      };
      await delay(clock, limitMs, AbortSignal.any([signal, woken.signal])).catch(() => undefined);
      this.#wake = () => undefined;
    }
    this.#isRung = false;
  }
}

/**
 * A device that is not free takes no new job, but a card inside that the journal does not know may belong to a job
 * that the server still holds armed for us: asked once per process, so that a lost journal becomes a visible doubt.
 */
class Blockage {
  #hasAsked = false;

  mustAsk(): boolean {
    return !this.#hasAsked;
  }

  asked(): void {
    this.#hasAsked = true;
  }
}

const retryBackOff = { baseMs: 250, capMs: 10_000 };

/** Works until the agent is told to stop. @throws for a bug or a journal that fails: the process must end */
export async function runStation(parts: StationParts, bell: Bell): Promise<void> {
  const { stopping, clock, pollIntervalMs, random, logger } = parts;
  const blockage = new Blockage();
  const isOver = (): boolean => stopping.aborted;
  for (let failures = 0; !isOver();) {
    try {
      const isBusy = await workOnce(parts, blockage);
      failures = 0;
      if (!isBusy) await bell.wait(clock, pollIntervalMs * (0.8 + 0.4 * random()), stopping);
    } catch (error) {
      if (isOver()) return;
      if (!(error instanceof LinkFault) && !(error instanceof StationRefusal)) throw error;
      logger.warn('agent.server-unavailable', { code: error.code });
      await bell.wait(clock, Math.max(50, backOffMs(retryBackOff, failures, random())), stopping);
      failures += 1;
    }
  }
}

/** One round. Resolves to true when there may be more to do at once. */
async function workOnce(parts: StationParts, blockage: Blockage): Promise<boolean> {
  const { reports, journal, link, agentVersion, pollIntervalMs } = parts;
  await recoverOpenJobs(parts);
  if (!(await reports.whenDelivered(pollIntervalMs))) return true;
  const isFree = await isDeviceFree(parts);
  if (!isFree && !blockage.mustAsk()) return false;
  const job = await link.claim({ bootId: journal.bootId, agentVersion });
  blockage.asked();
  // A lease that is not used runs out, and the job goes back to the queue.
  if (job === null || (!isFree && !job.armed)) return false;
  if (job.armed) {
    await takeUpArmedJob(parts, job);
    return false;
  }
  await runJob(parts, job);
  return true;
}

/** The server says that this station armed a job: the journal decides what that means. */
async function takeUpArmedJob(parts: StationParts, held: StationJob): Promise<void> {
  const known = parts.journal.history(held);
  if (known === undefined) await doubtUnknownJob(parts, held);
  else parts.logger.warn('agent.held-job-has-ended', { jobId: held.jobId, outcome: known.outcome ?? null });
}

/** No claim for a printer that cannot be reached, or that holds a card which belongs to no open job. */
async function isDeviceFree({ device, logger }: StationParts): Promise<boolean> {
  const { state, card, vendor } = await device.status();
  if (state !== 'offline' && card === 'none') return true;
  logger.warn('agent.device-not-free', { state, card, vendor });
  return false;
}
