/**
 * One claimed job from its payload to its end: open, draw, arm, then step by step.
 *
 * Invariants: everything that can be refused without moving matter is refused before arm; the payload and the
 * pictures live in this function's memory only and are gone when it returns (I7).
 */
import { type StationJob } from '@cardwright/protocol';
import { crashPoint } from '@cardwright/runtime';
import { LinkFault, StationRefusal } from '../link/station-error.ts';
import { prepareArtwork, wipeArtwork } from './artwork-preparation.ts';
import { closeJob, recordOutcome } from './card-ending.ts';
import { advanceJob } from './job-advance.ts';
import { openPayload } from './payload-opening.ts';
import { ProductionJob } from './production-job.ts';
import { type CardMaterial } from './production-stages.ts';
import { type StationParts } from './station-parts.ts';

interface PreparedCard extends CardMaterial {
  /** Epoch milliseconds: after this the payload must not be armed any more. */
  readonly expiresAt: number;
}

/** @throws only for a bug, a journal that fails, or a stop of the agent */
export async function runJob(parts: StationParts, claimed: StationJob): Promise<void> {
  const { jobId, epoch, operationId, productId } = claimed;
  const job = new ProductionJob(parts, { jobId, epoch, operationId, productId });
  parts.journal.admit(job.identity);
  parts.logger.event('agent.job-claimed', { jobId, operationId, epoch });
  const card = await prepareCard(job, claimed);
  if (card === undefined) {
    await closeJob(job);
    return;
  }
  try {
    if (await performArm(job, card.expiresAt)) await advanceJob(job, card);
  } finally {
    wipeArtwork(card.sides);
  }
}

/** Opens the payload and draws the card; undefined when the job was withdrawn instead. */
async function prepareCard(job: ProductionJob, claimed: StationJob): Promise<PreparedCard | undefined> {
  const { payloadKey, stationId, clock, device } = job.parts;
  const opened = await openPayload(payloadKey, stationId, claimed, clock.now());
  if (!opened.ok) {
    recordOutcome(job, 'withdrawn', 'PAYLOAD_FAIL', 0, { payload: opened.reason });
    return undefined;
  }
  const { payload } = opened;
  const artwork = await prepareArtwork(payload, device.profile);
  if (!artwork.ok) {
    const { reason, field } = artwork;
    recordOutcome(job, 'withdrawn', 'ARTWORK_FAIL', 0, { artwork: { reason, field } });
    return undefined;
  }
  return { sides: artwork.sides, facts: payload.verification, expiresAt: payload.expiresAt };
}

/** Asks the server to arm. False when it does not: then the job is not ours, or its fate is asked for later. */
async function performArm(job: ProductionJob, expiresAt: number): Promise<boolean> {
  const { link, journal, clock, logger } = job.parts;
  const { jobId, epoch } = job.identity;
  crashPoint('agent.before-arm');
  job.write({ step: 'arm', phase: 'started' });
  try {
    await job.askServer(() => link.arm(jobId, epoch), expiresAt - clock.now());
  } catch (error) {
    if (error instanceof StationRefusal) {
      logger.event('agent.arm-refused', { jobId, code: error.code });
      journal.forget(job.identity);
      return false;
    }
    if (!(error instanceof LinkFault)) throw error;
    logger.warn('agent.arm-unanswered', { jobId, code: error.code });
    return false;
  }
  job.write({ step: 'arm', phase: 'completed' });
  crashPoint('agent.after-arm');
  return true;
}
