/**
 * Takes an armed job from step to step until it is closed: the journal says what is next, the devices do it, the
 * outcome of a failed step is decided at once.
 *
 * Invariant: no step is begun that the journal does not name as the next one (decideNextStep).
 */
import { type CardSession, DeviceFault } from '@cardwright/devices';
import { closeJob, endFailedStage, recordOutcome } from './card-ending.ts';
import { type FaultedStage } from './fault-decision.ts';
import { drawBack, performAwaitTaken, performPresent } from './hand-over.ts';
import { decideNextStep } from './next-step.ts';
import { type ProductionJob } from './production-job.ts';
import {
  type CardMaterial,
  performChip,
  performFeed,
  performPrint,
  performVerify,
} from './production-stages.ts';
import { StageFailure } from './stage-failure.ts';

/**
 * @param material what this card is made of; undefined after a crash, when only finished cards can go on
 * @throws only for a bug, a journal that fails, or a stop of the agent: the next start recovers the job
 */
export async function advanceJob(job: ProductionJob, material: CardMaterial | undefined): Promise<void> {
  for (;;) {
    const next = decideNextStep(job.history());
    switch (next) {
      case 'feed':
        if (await openSession(job)) await attempt(job, next, (session) => performFeed(job, session));
        break;
      case 'chip':
        await attempt(job, next, (session) => performChip(job, session));
        break;
      case 'print':
        await attempt(job, next, (session) => performPrint(job, session, needed(material).sides));
        break;
      case 'verify':
        await attempt(job, next, (session) => performVerify(job, session, needed(material).facts));
        break;
      case 'produce':
        recordOutcome(job, 'produced', undefined, 1);
        break;
      case 'present':
        await performPresent(job);
        break;
      case 'await-taken':
        await performAwaitTaken(job);
        break;
      case 'close':
        await closeJob(job);
        return;
      case 'recover':
        // Only a draw-back that was cut short gets here: finish it.
        await drawBack(job);
        break;
      case 'arm':
        throw new Error('a job is advanced after it was armed');
    }
  }
}

function needed(material: CardMaterial | undefined): CardMaterial {
  if (material === undefined) throw new StageFailure('INTERRUPTED', { lost: 'payload' });
  return material;
}

/** Runs one stage; a failure ends the job with the outcome that its facts allow. */
async function attempt(
  job: ProductionJob,
  stage: FaultedStage,
  perform: (session: CardSession) => Promise<void>,
): Promise<void> {
  try {
    if (job.session === undefined) throw new Error(`stage ${stage} without a device session`);
    await perform(job.session);
  } catch (error) {
    await endFailedStage(job, stage, error);
  }
}

/**
 * Reserves the device for this card. A device that an operator can mend is waited for; when it cannot be had,
 * the job is withdrawn, because nothing of it has moved.
 */
async function openSession(job: ProductionJob): Promise<boolean> {
  const told = new Set<string>();
  for (let tries = 0; ; tries++) {
    try {
      job.session = await job.parts.device.begin(job.identity.jobId);
      return true;
    } catch (error) {
      if (!(error instanceof DeviceFault)) throw error;
      // A card that is inside already belongs to nobody we know: that is not mended by waiting.
      if (error.faultClass !== 'clean' || !job.hasOperatorTime) {
        const { code, faultClass, vendor } = error;
        recordOutcome(job, 'withdrawn', code, 0, { deviceFault: { stage: 'begin', faultClass, vendor } });
        return false;
      }
      if (!told.has(error.code)) job.tellWaiting('feed', error);
      told.add(error.code);
      await job.waitForOperator(tries);
    }
  }
}
