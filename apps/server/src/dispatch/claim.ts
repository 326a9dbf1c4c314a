/**
 * Claim: a station asks for its current job, else for the next one in its queue.
 *
 * Invariants: a station holds one job at a time; a lease raises the epoch (I5); an armed job is shown to its
 * station again and never carries a payload a second time. A plan that the vault cannot open ends its order instead
 * of holding up the station's queue.
 */
import { armedJobStates } from '@cardwright/domain';
import { type ClaimAnswer, type ClaimRequest } from '@cardwright/protocol';
import { type StationConfig } from '../config.ts';
import { completeWork, scheduleWork } from '../due-work/due-work.ts';
import { moveOrder } from '../orders/order-record.ts';
import { type Transaction } from '../store/store.ts';
import { type JobRow } from '../store/tables.ts';
import { VaultRefusedError } from '../vault-link/vault-link.ts';
import { accept, type DispatchParts, type StationResult } from './dispatch-parts.ts';
import { type HeldJob, holdJob, moveJob } from './job-record.ts';

async function findHeldJob(tx: Transaction, stationId: string): Promise<JobRow | undefined> {
  return tx.db
    .selectFrom('jobs')
    .selectAll()
    .where('station_id', '=', stationId)
    .where('state', 'in', ['leased', ...armedJobStates])
    .executeTakeFirst();
}

async function findNextJob(tx: Transaction, stationId: string): Promise<JobRow | undefined> {
  return tx.db
    .selectFrom('jobs')
    .selectAll()
    .where('station_id', '=', stationId)
    .where('state', '=', 'queued')
    .orderBy('queued_at')
    .orderBy('job_id')
    .limit(1)
    .executeTakeFirst();
}

/**
 * The job that the station has, else the next one in its queue. The station's own row is locked, so only time and
 * operators can take a job away between the look and the lock; then it looks again.
 */
async function holdCurrentJob(tx: Transaction, stationId: string): Promise<HeldJob | undefined> {
  for (;;) {
    const found = (await findHeldJob(tx, stationId)) ?? (await findNextJob(tx, stationId));
    if (found === undefined) return undefined;
    const held = await holdJob(tx, found.job_id, stationId);
    if (held?.job.state === found.state) return held;
  }
}

/** Extends a live lease under its own epoch, or starts a new one. */
async function lease(parts: DispatchParts, tx: Transaction, job: JobRow, at: number): Promise<JobRow> {
  const leaseUntil = at + parts.times.leaseMs;
  await scheduleWork(tx, 'lease_expiry', job.job_id, leaseUntil);
  if (job.state === 'leased' && (job.lease_until ?? 0) > at) {
    await tx.db
      .updateTable('jobs')
      .set({ lease_until: leaseUntil })
      .where('job_id', '=', job.job_id)
      .execute();
    return { ...job, lease_until: leaseUntil };
  }
  const queued = job.state === 'leased' ? await moveJob(tx, job, { to: 'queued', at }) : job;
  return moveJob(tx, queued, { to: 'leased', at, leaseUntil });
}

/** Writes down that a station was heard, which also locks its row: its messages are taken one at a time. */
export async function noteStationSeen(
  tx: Transaction,
  stationId: string,
  at: number,
  claim?: ClaimRequest,
): Promise<void> {
  await tx.db
    .updateTable('stations')
    .set({
      last_seen_at: at,
      ...(claim === undefined ? {} : { boot_id: claim.bootId, agent_version: claim.agentVersion }),
    })
    .where('station_id', '=', stationId)
    .execute();
}

/** Ends a leased job whose plan can never be opened, and its order with it. */
async function withdrawUnusable(parts: DispatchParts, jobId: string, epoch: number): Promise<void> {
  await parts.store.transaction(async (tx) => {
    const held = await holdJob(tx, jobId);
    if (held?.job.state !== 'leased' || held.job.epoch !== epoch || held.order.state !== 'ready') return;
    const { job, order } = held;
    const at = parts.clock.now();
    await moveJob(tx, job, { to: 'withdrawn', at, data: { fault: 'PAYLOAD_FAIL', reason: 'plan-invalid' } });
    await completeWork(tx, 'lease_expiry', jobId);
    await completeWork(tx, 'wait_limit', order.operation_id);
    await moveOrder(tx, parts.outbox, order, {
      to: 'production_failed',
      at,
      jobId,
      failure: { code: 'PAYLOAD_FAIL' },
    });
  });
}

/**
 * @throws VaultUnavailableError when the payload cannot be made now; the lease then waits for the next claim
 * @throws VaultRefusedError when the vault refuses it for another reason than the plan
 */
export async function claimJob(
  parts: DispatchParts,
  station: StationConfig,
  request: ClaimRequest,
): Promise<StationResult<ClaimAnswer>> {
  const { stationId } = station;
  const claimed = await parts.store.transaction<HeldJob | undefined>(async (tx) => {
    const at = parts.clock.now();
    await noteStationSeen(tx, stationId, at, request);
    const held = await holdCurrentJob(tx, stationId);
    if (held === undefined) return undefined;
    const isArmed = armedJobStates.includes(held.job.state);
    const job = isArmed ? held.job : await lease(parts, tx, held.job, at);
    tx.onCommit(parts.wakeWork);
    return { job, order: held.order };
  });
  if (claimed === undefined) return accept({ job: null });
  const { job, order } = claimed;
  const common = {
    jobId: job.job_id,
    operationId: job.operation_id,
    epoch: job.epoch,
    productId: order.product_id,
  };
  if (job.state !== 'leased' || order.sealed_plan === null) {
    return accept({ job: { ...common, armed: true, leaseExpiresAt: job.armed_at ?? 0 } });
  }
  const wanted = {
    sealedPlan: order.sealed_plan,
    jobId: job.job_id,
    epoch: job.epoch,
    stationId,
    stationKey: station.payloadKey,
    expiresAt: parts.clock.now() + parts.times.payloadLifeMs,
  };
  let payload: string;
  try {
    ({ payload } = await parts.vault.payload(wanted));
  } catch (error) {
    if (!(error instanceof VaultRefusedError) || error.code !== 'PLAN_INVALID') throw error;
    parts.logger.fault('order.plan-unusable', error, { operationId: order.operation_id });
    await withdrawUnusable(parts, job.job_id, job.epoch);
    parts.doorbell.ring(stationId);
    return accept({ job: null });
  }
  return accept({ job: { ...common, armed: false, payload, leaseExpiresAt: job.lease_until ?? 0 } });
}
