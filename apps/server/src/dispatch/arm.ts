/**
 * Arm: the last safe point before matter moves. One atomic decision between arming, canceling and the lease's end.
 *
 * Invariants: only the station that holds the lease of this epoch arms (I5); a lost answer may be asked for again
 * by the same station and epoch; from here the server never gives the job to anybody else (I1).
 */
import { armedJobStates, isTerminal, orderTransitions } from '@cardwright/domain';
import { type ArmAnswer, type ArmRequest } from '@cardwright/protocol';
import { crashPoint } from '@cardwright/runtime';
import { completeWork } from '../due-work/due-work.ts';
import { moveOrder } from '../orders/order-record.ts';
import { type JobRow, type OrderRow } from '../store/tables.ts';
import { noteStationSeen } from './claim.ts';
import {
  accept,
  type DispatchParts,
  refuseStation,
  type StationRefusal,
  type StationResult,
} from './dispatch-parts.ts';
import { holdJob, moveJob } from './job-record.ts';

/** Whether a job may be armed now: `arm`, `already`, or why not. Pure. */
export function decideArm(
  job: Pick<JobRow, 'state' | 'epoch' | 'lease_until'>,
  order: Pick<OrderRow, 'state'>,
  epoch: number,
  nowMs: number,
): 'arm' | 'already' | StationRefusal {
  if (isTerminal(orderTransitions, order.state)) return refuseStation('ORDER_ENDED', 'The order has ended');
  if (job.epoch !== epoch) return refuseStation('STALE_EPOCH', 'The job has another epoch');
  if (armedJobStates.includes(job.state)) return 'already';
  if (job.state !== 'leased') return refuseStation('NOT_LEASED', 'The station does not hold this job');
  if ((job.lease_until ?? 0) <= nowMs) return refuseStation('NOT_LEASED', 'The lease has ended');
  return 'arm';
}

export async function armJob(
  parts: DispatchParts,
  stationId: string,
  jobId: string,
  request: ArmRequest,
): Promise<StationResult<ArmAnswer>> {
  const result = await parts.store.transaction<StationResult<ArmAnswer>>(async (tx) => {
    const at = parts.clock.now();
    await noteStationSeen(tx, stationId, at);
    const held = await holdJob(tx, jobId, stationId);
    if (held === undefined) return refuseStation('UNKNOWN_JOB', 'No such job');
    const { job, order } = held;
    const decision = decideArm(job, order, request.epoch, at);
    switch (decision) {
      case 'already':
        return accept({ armed: true });
      case 'arm':
        await moveJob(tx, job, { to: 'armed', at });
        await moveOrder(tx, parts.outbox, order, { to: 'in_production', at, jobId });
        await completeWork(tx, 'lease_expiry', jobId);
        await completeWork(tx, 'wait_limit', order.operation_id);
        return accept({ armed: true });
      default:
        return decision;
    }
  });
  crashPoint('server.arm.after-commit');
  return result;
}
