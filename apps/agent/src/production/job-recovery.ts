/**
 * Brings an open job of an earlier process to its end: asks the devices, decides, acts.
 *
 * Invariant: what a crashed process had begun is never begun again; the decision is pure and in
 * `restart-decision.ts`, this file only carries it out.
 */
import { type StationJob } from '@cardwright/protocol';
import { type JobHistory } from '../journal/job-history.ts';
import { closeJob, performFate, recordOutcome } from './card-ending.ts';
import { drawBack, giveUpHandOver, performPresent, recordHandOver, recordPresented } from './hand-over.ts';
import { advanceJob } from './job-advance.ts';
import { ProductionJob } from './production-job.ts';
import { decideAfterArmQuestion, decideAfterRestart } from './restart-decision.ts';
import { type StationParts } from './station-parts.ts';

/** Ends every job that the journal holds open. @throws LinkFault when the server is needed and does not answer */
export async function recoverOpenJobs(parts: StationParts): Promise<void> {
  for (const history of parts.journal.openJobs()) await recoverJob(parts, history);
}

async function recoverJob(parts: StationParts, history: JobHistory): Promise<void> {
  const { jobId, epoch, operationId, productId } = history;
  const job = new ProductionJob(parts, { jobId, epoch, operationId, productId });
  for (let attempt = 0; ; attempt++) {
    const decision = decideAfterRestart(job.history(), await job.askPlace());
    parts.logger.event('agent.job-recovery', { jobId, decision: decision.kind });
    switch (decision.kind) {
      case 'drop':
        parts.journal.forget(job.identity);
        return;
      case 'ask-server':
        await settleArm(job);
        return;
      case 'ask-again':
        // Before the outcome the wait belongs to the card's fate; after it only the hand-over is open.
        if (job.history().outcome === undefined) {
          await performFate(job, decision);
          break;
        }
        if (job.hasOperatorTime) {
          await job.waitForOperator(attempt);
          continue;
        }
        giveUpHandOver(job);
        break;
      case 'withdraw':
      case 'reject':
      case 'spoil':
      case 'doubt':
        await performFate(job, decision);
        break;
      case 'produce':
        recordOutcome(job, 'produced', undefined, 1);
        break;
      case 'await-taken':
        if (job.history().handOver === 'none') recordPresented(job);
        break;
      case 'handed-over':
        recordHandOver(job, decision.state);
        break;
      case 'draw-back':
        await drawBack(job);
        break;
      case 'give-up-hand-over':
        giveUpHandOver(job);
        break;
      case 'present':
        // The device says that the card is inside: a presentation that was begun has moved nothing.
        await performPresent(job);
        break;
      case 'close':
        break;
    }
    await advanceJob(job, undefined);
    return;
  }
}

/** Whether the server armed before the crash; it alone knows. */
async function settleArm(job: ProductionJob): Promise<void> {
  const { link, journal, agentVersion } = job.parts;
  const held: StationJob | null = await link.claim({ bootId: journal.bootId, agentVersion });
  switch (decideAfterArmQuestion(job.history(), held).kind) {
    case 'drop':
      journal.forget(job.identity);
      return;
    case 'withdraw':
      await performFate(job, { kind: 'withdraw', fault: 'INTERRUPTED' });
      await closeJob(job);
  }
}

/**
 * An armed job that this journal has never heard of: its disk was lost or restored. A card may have been made by
 * the agent that knew, so only people can tell.
 */
export async function doubtUnknownJob(parts: StationParts, held: StationJob): Promise<void> {
  const { jobId, epoch, operationId, productId } = held;
  const job = new ProductionJob(parts, { jobId, epoch, operationId, productId });
  parts.journal.admit(job.identity);
  const status = await parts.device.status();
  recordOutcome(job, 'in_doubt', 'OUTCOME_UNKNOWN', 1, {
    journal: 'the job is not in the journal of this station',
    card: status.card,
    counters: status.counters ?? null,
    vendor: status.vendor,
  });
  await closeJob(job);
}
