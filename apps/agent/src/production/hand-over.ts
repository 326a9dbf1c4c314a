/**
 * The hand-over of a produced card: presented, then taken or drawn back. The order is done either way.
 *
 * Invariants: only a card whose outcome is on record is presented; one whose outcome the server refuses is never
 * offered, because somebody else may have been given the job; a card is not left at the exit.
 */
import { DeviceFault } from '@cardwright/devices';
import { crashPoint } from '@cardwright/runtime';
import { heldSession } from './card-ending.ts';
import { decideAfterRestart } from './restart-decision.ts';
import { type ProductionJob } from './production-job.ts';
import { withinLimit } from './watchdog.ts';

/** Presents the card, or draws it back when the server does not accept what was made. */
export async function performPresent(job: ProductionJob): Promise<void> {
  const { reports, limits, journal, logger } = job.parts;
  await reports.whenDelivered(limits.acknowledgeMs);
  const refusal = journal.refusalOf(job.identity);
  if (refusal !== undefined) {
    logger.warn('agent.card-withheld', { jobId: job.identity.jobId, refusal });
    await drawBack(job);
    return;
  }
  job.write({ step: 'present', phase: 'started' });
  crashPoint('agent.present.started');
  try {
    const session = await heldSession(job);
    await job.moveCard(session, 'present', limits.presentMs, () => session.present());
  } catch (error) {
    await settleByDevice(job, error);
    return;
  }
  recordPresented(job);
}

export function recordPresented(job: ProductionJob): void {
  const { journal, logger } = job.parts;
  journal.write(job.identity, { step: 'present', phase: 'completed' }, [
    { kind: 'hand_over', state: 'presented' },
  ]);
  logger.event('agent.card-presented', { jobId: job.identity.jobId });
}

/** Waits for the customer; after the limit the card is drawn back. */
export async function performAwaitTaken(job: ProductionJob): Promise<void> {
  const { limits, clock } = job.parts;
  const limit = new AbortController();
  const timer = clock.setTimeout(() => limit.abort(new Error('not taken')), limits.takeWaitMs);
  try {
    const session = await heldSession(job);
    const watchdogMs = limits.takeWaitMs + limits.presentMs;
    recordHandOver(
      job,
      await withinLimit(clock, watchdogMs, 'await taken', () => session.awaitTaken(limit.signal)),
    );
  } catch (error) {
    if (limit.signal.aborted && !(error instanceof DeviceFault)) await drawBack(job);
    else await settleByDevice(job, error);
  } finally {
    timer.cancel();
  }
}

export function recordHandOver(job: ProductionJob, state: 'taken' | 'retracted'): void {
  const { journal, logger } = job.parts;
  // What was taken was presented, even when a crash kept us from writing that down.
  if (state === 'taken' && job.history().handOver === 'none') recordPresented(job);
  journal.write(job.identity, { step: 'hand_over', phase: 'completed', detail: state }, [
    { kind: 'hand_over', state },
  ]);
  logger.event('agent.hand-over', { jobId: job.identity.jobId, state });
}

/** Moves a produced card to the reject bin instead of a hand. */
export async function drawBack(job: ProductionJob): Promise<void> {
  job.write({ step: 'reject', phase: 'started' });
  try {
    const session = await heldSession(job);
    await job.moveCard(session, 'reject', job.parts.limits.rejectMs, () => session.reject());
    job.write({ step: 'reject', phase: 'completed' });
    recordHandOver(job, 'retracted');
  } catch (error) {
    // The customer may have been quicker than the draw-back: the device knows.
    await settleByDevice(job, error);
  }
}

/** The device failed with a produced card: asks it where the card is, until that settles the hand-over. */
export async function settleByDevice(job: ProductionJob, error: unknown): Promise<void> {
  if (!(error instanceof DeviceFault)) throw error;
  const { jobId } = job.identity;
  job.parts.logger.warn('agent.hand-over-fault', { jobId, fault: error.code, vendor: error.vendor });
  // A session that failed is not trusted any more; the card is taken over anew.
  job.session = undefined;
  for (let attempt = 0; ; attempt++) {
    const decision = decideAfterRestart(job.history(), await job.askPlace());
    switch (decision.kind) {
      case 'handed-over':
        recordHandOver(job, decision.state);
        return;
      case 'give-up-hand-over':
      case 'close':
        giveUpHandOver(job);
        return;
      default:
        // The card is inside still, or the device is silent.
        if (decision.kind !== 'ask-again' && (await isDrawnBack(job))) return;
    }
    if (!job.hasOperatorTime) break;
    await job.waitForOperator(attempt);
  }
  giveUpHandOver(job);
}

async function isDrawnBack(job: ProductionJob): Promise<boolean> {
  try {
    const session = await heldSession(job);
    await job.moveCard(session, 'reject', job.parts.limits.rejectMs, () => session.reject());
  } catch (error) {
    if (!(error instanceof DeviceFault)) throw error;
    job.session = undefined;
    return false;
  }
  job.write({ step: 'reject', phase: 'completed' });
  recordHandOver(job, 'retracted');
  return true;
}

/** Nobody can say where the produced card is: it stays produced, its hand-over untold. */
export function giveUpHandOver(job: ProductionJob): void {
  job.parts.logger.warn('agent.hand-over-unknown', { jobId: job.identity.jobId });
  job.write({ step: 'close', phase: 'completed' });
}
