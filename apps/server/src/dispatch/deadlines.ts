/**
 * What time does to a job: a lease that ends before arm goes back to the queue; an order that no station armed in
 * time fails.
 *
 * Invariants: nothing here touches a job that was ever armed (I1); a lease's end makes no notification (OD-11.3).
 */
import { completeWork } from '../due-work/due-work.ts';
import { type WorkHandler } from '../due-work/work-loop.ts';
import { findOrder, moveOrder } from '../orders/order-record.ts';
import { type DispatchParts } from './dispatch-parts.ts';
import { holdJob, moveJob } from './job-record.ts';

/** Puts a job back into its queue when its lease has ended. */
export function createLeaseExpiry(parts: DispatchParts): WorkHandler {
  return {
    kind: 'lease_expiry',
    maxConcurrent: 4,
    leaseMs: 30_000,
    run: (work) =>
      parts.store.transaction(async (tx) => {
        const at = parts.clock.now();
        const job = (await holdJob(tx, work.subjectId))?.job;
        if (job?.state === 'leased' && job.lease_until !== null && job.lease_until > at) {
          return { retryAtMs: job.lease_until };
        }
        await completeWork(tx, 'lease_expiry', work.subjectId);
        if (job?.state !== 'leased') return undefined;
        await moveJob(tx, job, { to: 'queued', at, data: { reason: 'lease-ended' } });
        tx.onCommit(() => {
          parts.doorbell.ring(job.station_id);
        });
        return undefined;
      }),
  };
}

/** Fails an order that its station did not take in time; never once a job of it was armed (OD-2.5). */
export function createWaitLimit(parts: DispatchParts): WorkHandler {
  return {
    kind: 'wait_limit',
    maxConcurrent: 4,
    leaseMs: 30_000,
    run: (work) =>
      parts.store.transaction(async (tx) => {
        const order = await findOrder(tx, work.subjectId);
        await completeWork(tx, 'wait_limit', work.subjectId);
        if (order?.state !== 'ready') return undefined;
        const jobs = await tx.db
          .selectFrom('jobs')
          .selectAll()
          .where('operation_id', '=', work.subjectId)
          .execute();
        if (jobs.some((job) => job.armed_at !== null)) return undefined;
        const at = parts.clock.now();
        for (const job of jobs.filter((one) => one.state === 'queued' || one.state === 'leased')) {
          await moveJob(tx, job, { to: 'withdrawn', at, data: { fault: 'STATION_TIMEOUT' } });
          await completeWork(tx, 'lease_expiry', job.job_id);
        }
        await moveOrder(tx, parts.outbox, order, {
          to: 'production_failed',
          at,
          failure: { code: 'STATION_TIMEOUT' },
        });
        return undefined;
      }),
  };
}
