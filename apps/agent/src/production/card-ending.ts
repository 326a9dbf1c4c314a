/**
 * How a job ends without a good card: carries out the fate that was decided, and puts the outcome on record.
 *
 * Invariants: an outcome is written once, after the matter it speaks of has stopped moving; a reject is journalled
 * before the device is told (I6) and believed only when the device confirms it; when nothing confirms where a
 * card with data is, the outcome is `in_doubt` (I3).
 */
import { type CardSession, DeviceFault } from '@cardwright/devices';
import { type FaultCode, type Outcome } from '@cardwright/domain';
import { crashPoint } from '@cardwright/runtime';
import { type Evidence, isPersonalizationSent, isTerminated } from '../journal/job-history.ts';
import { type CardFate, decideCardFate, decideUnreachable } from './card-fate.ts';
import { decideAfterFault, type FaultedStage } from './fault-decision.ts';
import { type ProductionJob } from './production-job.ts';
import { StageFailure } from './stage-failure.ts';

/** Writes the outcome and queues its report, in one commit. */
export function recordOutcome(
  job: ProductionJob,
  outcome: Outcome,
  fault: FaultCode | undefined,
  blanksPicked: 0 | 1,
  evidence: Evidence = {},
): void {
  const { journal, device, logger, agentVersion } = job.parts;
  const history = job.history();
  journal.write(
    job.identity,
    { step: 'outcome', phase: 'completed', detail: outcome, ...(fault === undefined ? {} : { fault }) },
    [
      {
        kind: 'outcome',
        outcome,
        ...(fault === undefined ? {} : { fault }),
        personalizationSent: isPersonalizationSent(history),
        terminated: isTerminated(history),
        blanksPicked,
        evidence: {
          ...history.evidence,
          ...evidence,
          steps: history.steps,
          timings: job.timings,
          device: device.profile.driver,
          countersBefore: history.countersBefore ?? null,
          cplc: history.cplc ?? null,
          bootId: journal.bootId,
          agentVersion,
        },
      },
    ],
  );
  crashPoint('agent.outcome.journalled');
  logger.event('agent.outcome', { jobId: job.identity.jobId, outcome, fault: fault ?? null });
}

/** Gives the device back and closes the job's journal. */
export async function closeJob(job: ProductionJob): Promise<void> {
  const { session } = job;
  job.session = undefined;
  // Releasing moves nothing; a device that is gone has nothing left to release.
  await session?.release().catch((error: unknown) => {
    if (!(error instanceof DeviceFault)) throw error;
  });
  if (job.history().steps.close === 'none') job.write({ step: 'close', phase: 'completed' });
}

/** What a failed stage leads to. @throws anything that is not about this card: a bug or a stop of the agent */
export async function endFailedStage(job: ProductionJob, stage: FaultedStage, error: unknown): Promise<void> {
  if (error instanceof StageFailure) {
    if (stage !== 'present' && stage !== 'reject') job.failStage(stage, error.fault, error.evidence);
    await performFate(job, { kind: 'reject', fault: error.fault });
    return;
  }
  if (!(error instanceof DeviceFault)) throw error;
  const evidence = { stage, fault: error.code, faultClass: error.faultClass, vendor: error.vendor };
  if (stage !== 'present' && stage !== 'reject') job.failStage(stage, error.code, { deviceFault: evidence });
  const decision = decideAfterFault({ ...fieldsOf(error), isWaiting: false }, stage, 0);
  switch (decision.kind) {
    case 'withdraw':
    case 'reject':
      await performFate(job, decision);
      return;
    case 'ask-device':
      await performFate(job, decideCardFate(job.history(), await job.askPlace(), decision.fault));
      return;
    case 'wait':
    case 'cancel':
      throw new Error('a fault that does not wait was decided as one that waits');
  }
}

function fieldsOf({ code, faultClass }: DeviceFault): Pick<DeviceFault, 'code' | 'faultClass'> {
  return { code, faultClass };
}

/** Carries out a fate until the job has its outcome. */
export async function performFate(job: ProductionJob, fate: CardFate): Promise<void> {
  let next = fate;
  for (let attempt = 0; ; attempt++) {
    switch (next.kind) {
      case 'withdraw':
        recordOutcome(job, 'withdrawn', next.fault, 0);
        return;
      case 'spoil':
        recordOutcome(job, 'spoiled', next.fault, 1);
        return;
      case 'doubt':
        recordOutcome(job, 'in_doubt', next.fault, 1);
        return;
      case 'reject':
        next = await performReject(job, next.fault, attempt);
        break;
      case 'ask-again':
        if (!job.hasOperatorTime) {
          next = decideUnreachable(job.history());
          break;
        }
        await job.waitForOperator(attempt);
        next = decideCardFate(job.history(), await job.askPlace(), next.fault);
        break;
    }
  }
}

/** Moves the card to the reject bin. Returns what is left to do: `spoil` when the device confirmed it. */
async function performReject(job: ProductionJob, fault: FaultCode, attempt: number): Promise<CardFate> {
  job.write({ step: 'reject', phase: 'started', fault });
  try {
    const session = await heldSession(job);
    await job.moveCard(session, 'reject', job.parts.limits.rejectMs, () => session.reject());
    job.write({ step: 'reject', phase: 'completed' });
    return { kind: 'spoil', fault: job.history().fault ?? fault };
  } catch (error) {
    if (!(error instanceof DeviceFault)) throw error;
    job.write({ step: 'reject', phase: 'failed', fault: error.code });
    const fate = decideCardFate(job.history(), await job.askPlace(), fault);
    if (fate.kind !== 'reject') return fate;
    if (job.hasOperatorTime) {
      job.tellWaiting('reject', error);
      await job.waitForOperator(attempt);
      return fate;
    }
    // Still inside, and it cannot be moved: a person has to open the machine.
    return isPersonalizationSent(job.history())
      ? { kind: 'doubt', fault: fate.fault }
      : { kind: 'spoil', fault: fate.fault };
  }
}

/** The session of this process, or the one taken over after a crash. @throws DeviceFault */
export async function heldSession(job: ProductionJob): Promise<CardSession> {
  job.session ??= await job.parts.device.resume(job.identity.jobId);
  return job.session;
}
