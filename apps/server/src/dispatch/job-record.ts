/**
 * The job's row: the only place that changes its state.
 *
 * Invariants: epochs only grow (I5); once armed, a job never returns to a queue (I1); every change has its history
 * row (I9).
 */
import { invariant, isTerminal, type JobState, jobTransitions, move } from '@cardwright/domain';
import { newId } from '@cardwright/runtime';
import { findOrder } from '../orders/order-record.ts';
import { type HistoryData, recordChange } from '../store/history.ts';
import { type Transaction } from '../store/store.ts';
import { type Flag, type JobRow, type OrderRow } from '../store/tables.ts';

/** Queues a job for an order at its station. `epoch` is the last one any job of the order had. */
export async function insertJob(
  tx: Transaction,
  job: { readonly order: OrderRow; readonly attempt: number; readonly epoch: number; readonly at: number },
): Promise<JobRow> {
  const jobId = newId();
  const number = await recordChange(tx, {
    operationId: job.order.operation_id,
    jobId,
    at: job.at,
    event: 'job.queued',
    machine: 'job',
    subjectId: jobId,
    from: undefined,
    to: 'queued',
    data: { stationId: job.order.station_id, attempt: job.attempt },
  });
  return tx.db
    .insertInto('jobs')
    .values({
      job_id: jobId,
      operation_id: job.order.operation_id,
      station_id: job.order.station_id,
      attempt: job.attempt,
      epoch: job.epoch,
      state: 'queued',
      state_number: number,
      queued_at: job.at,
      lease_until: null,
      armed_at: null,
      chip_identity: null,
      script_released_at: null,
      fault: null,
      personalization_sent: null,
      terminated: null,
      blanks_picked: null,
      evidence: null,
      ended_at: null,
    })
    .returningAll()
    .executeTakeFirstOrThrow();
}

export interface JobEnd {
  readonly fault: string | null;
  readonly personalizationSent: boolean;
  readonly terminated: boolean;
  readonly blanksPicked: Flag;
  /** JSON text, already scanned. */
  readonly evidence: string;
}

export interface JobMove {
  readonly to: JobState;
  readonly at: number;
  readonly data?: HistoryData;
  /** With `to: 'leased'`: until when. The epoch grows by one. */
  readonly leaseUntil?: number;
  readonly end?: JobEnd;
}

const flag = (value: boolean): Flag => (value ? 1 : 0);

/** Moves a job to its next state. @throws IllegalTransitionError */
export async function moveJob(tx: Transaction, job: JobRow, change: JobMove): Promise<JobRow> {
  const to = move('job', jobTransitions, job.state, change.to);
  invariant(to !== 'queued' || job.armed_at === null, 'I1', 'an armed job cannot go back to the queue');
  const epoch = to === 'leased' ? job.epoch + 1 : job.epoch;
  const number = await recordChange(tx, {
    operationId: job.operation_id,
    jobId: job.job_id,
    at: change.at,
    event: `job.${to}`,
    machine: 'job',
    subjectId: job.job_id,
    from: { state: job.state, number: job.state_number },
    to,
    data: { epoch, ...change.data },
  });
  const { end } = change;
  const updated = await tx.db
    .updateTable('jobs')
    .set({
      state: to,
      state_number: number,
      epoch,
      lease_until: to === 'leased' ? (change.leaseUntil ?? null) : null,
      ...(to === 'armed' ? { armed_at: change.at } : {}),
      ...(isTerminal(jobTransitions, to) ? { ended_at: change.at } : {}),
      ...(end === undefined
        ? {}
        : {
            fault: end.fault,
            personalization_sent: flag(end.personalizationSent),
            terminated: flag(end.terminated),
            blanks_picked: end.blanksPicked,
            evidence: end.evidence,
          }),
    })
    .where('job_id', '=', job.job_id)
    .where('state_number', '=', job.state_number)
    .where('epoch', '<=', epoch)
    .returningAll()
    .executeTakeFirst();
  invariant(updated !== undefined, 'I5', 'a job changed under its own transaction');
  return updated;
}

/** The event of the vault's yes to the cryptogram that a job's card gave. */
export const cryptogramConfirmedEvent = 'chip.cryptogram-confirmed';

/** Whether the server itself knows that this job's chip got its script and gave a cryptogram that the vault took. */
export async function isCardProven(tx: Transaction, job: JobRow): Promise<boolean> {
  if (job.script_released_at === null) return false;
  const confirmed = await tx.db
    .selectFrom('history')
    .select('sequence')
    .where('operation_id', '=', job.operation_id)
    .where('job_id', '=', job.job_id)
    .where('event', '=', cryptogramConfirmedEvent)
    .limit(1)
    .executeTakeFirst();
  return confirmed !== undefined;
}

export interface HeldJob {
  readonly job: JobRow;
  readonly order: OrderRow;
}

/**
 * A job with its order, which is locked first: nothing of both changes until the transaction ends. With a station,
 * only a job of that station.
 */
export async function holdJob(
  tx: Transaction,
  jobId: string,
  stationId?: string,
): Promise<HeldJob | undefined> {
  const seen = await tx.db
    .selectFrom('jobs')
    .select(['operation_id', 'station_id'])
    .where('job_id', '=', jobId)
    .executeTakeFirst();
  if (seen === undefined || (stationId !== undefined && seen.station_id !== stationId)) return undefined;
  const order = await findOrder(tx, seen.operation_id);
  const job = await tx.db.selectFrom('jobs').selectAll().where('job_id', '=', jobId).executeTakeFirst();
  return order === undefined || job === undefined ? undefined : { job, order };
}
