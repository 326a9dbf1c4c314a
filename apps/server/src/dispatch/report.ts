/**
 * Reports of a station: stages, the outcome, the hand-over.
 *
 * Invariants: a message is taken once by its id and only with the job's epoch (I5); what follows an outcome is
 * decided by the domain's policy alone; the server's own record of a released script outweighs a station that
 * says the chip never got any data (I11); a card counts as produced only when the server knows of its script and
 * of the vault's yes to its cryptogram; a good card and its order's success are one commit (I3).
 */
import {
  armedJobStates,
  canMove,
  decideAfterOutcome,
  defaultRemakePolicy,
  type FaultCode,
  handOverTransitions,
  invariant,
  isFaultCode,
  isTerminal,
  type JobOutcome,
  jobStateOfStage,
  jobTransitions,
  type OrderDecision,
} from '@cardwright/domain';
import {
  type HandOverReport,
  type OutcomeReport,
  type Report,
  type ReportAnswer,
  type StageReport,
} from '@cardwright/protocol';
import { crashPoint } from '@cardwright/runtime';
import { completeWork } from '../due-work/due-work.ts';
import { moveHandOver, moveOrder } from '../orders/order-record.ts';
import { recordEvent } from '../store/history.ts';
import { type Transaction } from '../store/store.ts';
import { type JobRow, type OrderRow } from '../store/tables.ts';
import { noteStationSeen } from './claim.ts';
import {
  accept,
  type DispatchParts,
  refuseStation,
  type StationRefusal,
  type StationResult,
} from './dispatch-parts.ts';
import { holdsCardNumber } from './evidence-scan.ts';
import { holdJob, insertJob, isCardProven, moveJob } from './job-record.ts';

interface Reported {
  readonly parts: DispatchParts;
  readonly tx: Transaction;
  readonly job: JobRow;
  readonly order: OrderRow;
  readonly at: number;
  /** The agent's own time of the report. */
  readonly agentAt: number;
}

const bad = (message: string): StationRefusal => refuseStation('BAD_MESSAGE', message);
const notHeld = refuseStation('NOT_LEASED', 'The job is not armed');

async function takeStage(given: Reported, report: StageReport): Promise<StationRefusal | undefined> {
  const { tx, job, at } = given;
  if (job.armed_at === null) return notHeld;
  const to = jobStateOfStage[report.stage];
  const isLate = !armedJobStates.includes(job.state);
  await recordEvent(tx, {
    operationId: job.operation_id,
    jobId: job.job_id,
    at,
    event: `stage.${report.stage}.${report.status}`,
    data: { agentAt: given.agentAt, ...(report.fault === undefined ? {} : { fault: report.fault }) },
  });
  // A stage that is told late, or again, is kept in the history and moves nothing.
  if (isLate || report.status !== 'started' || job.state === to) return undefined;
  if (!canMove(jobTransitions, job.state, to)) return bad('The stage cannot follow the one before it');
  await moveJob(tx, job, { to, at });
  return undefined;
}

/** The fault of an outcome, in canonical words. */
function faultOf(report: OutcomeReport): FaultCode {
  if (report.fault !== undefined && isFaultCode(report.fault)) return report.fault;
  return report.outcome === 'in_doubt' ? 'OUTCOME_UNKNOWN' : 'DEVICE_FAULT';
}

/** What the domain is told: the report, corrected by what the server itself knows. Pure. */
export function outcomeOf(report: OutcomeReport, job: Pick<JobRow, 'script_released_at'>): JobOutcome {
  switch (report.outcome) {
    case 'produced':
      return { outcome: 'produced' };
    case 'spoiled':
      return {
        outcome: 'spoiled',
        fault: faultOf(report),
        personalizationSent: report.personalizationSent || job.script_released_at !== null,
        terminated: report.terminated,
      };
    case 'in_doubt':
      return { outcome: 'in_doubt', fault: faultOf(report) };
    case 'withdrawn':
      return { outcome: 'withdrawn', fault: faultOf(report) };
  }
}

/** Whether a report contradicts itself: no blank can become a card, and none can be spoiled unmoved (I4). Pure. */
export function findContradiction(report: OutcomeReport): string | undefined {
  const { outcome, blanksPicked, personalizationSent } = report;
  if (outcome === 'produced' && blanksPicked !== 1) return 'A produced card takes one blank';
  if (outcome === 'spoiled' && blanksPicked !== 1) return 'A spoiled card takes one blank';
  if (outcome === 'withdrawn' && blanksPicked !== 0) return 'A withdrawn job moved no blank';
  if (outcome === 'withdrawn' && personalizationSent) return 'A withdrawn job reached no chip';
  return undefined;
}

async function followOutcome(given: Reported, job: JobRow, decision: OrderDecision): Promise<void> {
  const { parts, tx, order, at } = given;
  const jobId = job.job_id;
  switch (decision.next) {
    case 'done': {
      invariant(job.state === 'produced', 'I3', 'an order is done only by a produced card');
      await moveOrder(tx, parts.outbox, order, { to: 'done', at, jobId });
      return;
    }
    case 'ready': {
      // A job withdrawn before it was armed leaves its order ready.
      const again =
        order.state === 'ready'
          ? order
          : await moveOrder(tx, parts.outbox, order, { to: 'ready', at, jobId, data: { remake: true } });
      await insertJob(tx, { order: again, attempt: job.attempt + 1, epoch: job.epoch, at });
      tx.onCommit(() => {
        parts.doorbell.ring(order.station_id);
      });
      return;
    }
    case 'production_failed':
      invariant(job.state !== 'produced', 'I3', 'an order does not fail with a good card');
      await moveOrder(tx, parts.outbox, order, {
        to: 'production_failed',
        at,
        jobId,
        failure: { code: decision.fault },
      });
      return;
    case 'in_doubt':
      await moveOrder(tx, parts.outbox, order, {
        to: 'in_doubt',
        at,
        jobId,
        data: { fault: decision.fault },
      });
      return;
  }
}

async function takeOutcome(given: Reported, report: OutcomeReport): Promise<StationRefusal | undefined> {
  const { parts, tx, job, order, at } = given;
  const contradiction = findContradiction(report);
  if (contradiction !== undefined) return bad(contradiction);
  // The same end told again under a new message id: known, nothing to do.
  if (job.state === report.outcome) return undefined;
  if (isTerminal(jobTransitions, job.state))
    return refuseStation('ORDER_ENDED', 'The job has ended otherwise');
  if (job.state === 'queued') return notHeld;
  if (!canMove(jobTransitions, job.state, report.outcome)) {
    return job.state === 'leased' ? notHeld : bad('The outcome cannot follow the last stage');
  }
  if (report.outcome === 'produced' && !(await isCardProven(tx, job))) {
    parts.logger.warn('report.card-unproven', { jobId: job.job_id, operationId: job.operation_id });
    return refuseStation('CARD_UNPROVEN', 'The vault has confirmed no cryptogram of this card');
  }
  const outcome = outcomeOf(report, job);
  const ended = await moveJob(tx, job, {
    to: report.outcome,
    at,
    data: { agentAt: given.agentAt, ...('fault' in outcome ? { fault: outcome.fault } : {}) },
    end: {
      fault: 'fault' in outcome ? outcome.fault : null,
      personalizationSent: report.personalizationSent,
      terminated: report.terminated,
      blanksPicked: report.blanksPicked === 1 ? 1 : 0,
      evidence: JSON.stringify(report.evidence),
    },
  });
  await completeWork(tx, 'lease_expiry', job.job_id);
  await completeWork(tx, 'wait_limit', job.operation_id);
  const policy = parts.catalogue.products.get(order.product_id)?.remake ?? defaultRemakePolicy;
  const decision = decideAfterOutcome(outcome, job.attempt - 1, policy);
  // A doubt that is cleared by evidence ends the order: a remake after doubt could be the second card.
  const isAfterDoubt = order.state === 'in_doubt' && decision.next === 'ready';
  await followOutcome(
    given,
    ended,
    isAfterDoubt ? { next: 'production_failed', fault: faultOf(report) } : decision,
  );
  return undefined;
}

async function takeHandOver(given: Reported, report: HandOverReport): Promise<StationRefusal | undefined> {
  const { tx, job, order, at } = given;
  if (job.state !== 'produced' || order.state !== 'done') return bad('Only a produced card is handed over');
  if (order.hand_over === report.state) return undefined;
  if (!canMove(handOverTransitions, order.hand_over, report.state)) {
    return bad('The hand-over cannot follow the one before it');
  }
  await moveHandOver(tx, order, report.state, at, job.job_id);
  return undefined;
}

/** Undoes the transaction of a refused report. */
class RefusedReport extends Error {
  readonly refusal: StationRefusal;

  constructor(refusal: StationRefusal) {
    super(refusal.code);
    this.refusal = refusal;
  }
}

async function takeNewReport(given: Reported, message: Report): Promise<StationRefusal | undefined> {
  switch (message.report.kind) {
    case 'stage':
      return takeStage(given, message.report);
    case 'outcome':
      if (holdsCardNumber(message.report.evidence, given.order.masked_pan)) {
        given.parts.logger.warn('report.evidence-refused', { jobId: given.job.job_id });
        return bad('The evidence holds what looks like a card number');
      }
      return takeOutcome(given, message.report);
    case 'hand_over':
      return takeHandOver(given, message.report);
  }
}

async function takeInTransaction(
  parts: DispatchParts,
  tx: Transaction,
  stationId: string,
  jobId: string,
  message: Report,
): Promise<ReportAnswer> {
  const at = parts.clock.now();
  await noteStationSeen(tx, stationId, at);
  const held = await holdJob(tx, jobId, stationId);
  if (held === undefined) throw new RefusedReport(refuseStation('UNKNOWN_JOB', 'No such job'));
  const { job, order } = held;
  const seen = await tx.db
    .selectFrom('station_messages')
    .select('message_id')
    .where('job_id', '=', jobId)
    .where('message_id', '=', message.messageId)
    .executeTakeFirst();
  if (seen !== undefined) return { acknowledged: true, duplicate: true };
  if (job.epoch !== message.epoch) {
    throw new RefusedReport(refuseStation('STALE_EPOCH', 'The job has another epoch'));
  }
  const refusal = await takeNewReport({ parts, tx, job, order, at, agentAt: message.at }, message);
  if (refusal !== undefined) throw new RefusedReport(refusal);
  await tx.db
    .insertInto('station_messages')
    .values({ job_id: jobId, message_id: message.messageId, received_at: at })
    .execute();
  return { acknowledged: true, duplicate: false };
}

export async function takeReport(
  parts: DispatchParts,
  stationId: string,
  jobId: string,
  message: Report,
): Promise<StationResult<ReportAnswer>> {
  try {
    const answer = await parts.store.transaction((tx) =>
      takeInTransaction(parts, tx, stationId, jobId, message),
    );
    crashPoint('server.report.after-commit');
    return accept(answer);
  } catch (error) {
    if (error instanceof RefusedReport) return error.refusal;
    throw error;
  }
}
