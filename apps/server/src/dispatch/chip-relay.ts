/**
 * The chip's way to the vault: the station relays, the vault holds every key, and the server keeps count of which
 * chip got the script.
 *
 * Invariants: the script of a plan is released to one chip only, and the chip is on record before the script
 * leaves (I11); the same chip may ask again. Only an armed job of the right epoch gets anything (I5). The vault's
 * yes to a cryptogram is on record before the station hears it.
 */
import { armedJobStates, isTerminal, type JobState, orderTransitions } from '@cardwright/domain';
import {
  type ArmRequest,
  type ChipBeginAnswer,
  type ChipIdentity,
  type ChipScriptAnswer,
  type ChipScriptRequest,
  type CryptogramEvidence,
  type CryptogramVerdict,
} from '@cardwright/protocol';
import { findOrder } from '../orders/order-record.ts';
import { recordEvent } from '../store/history.ts';
import { type Transaction } from '../store/store.ts';
import { type JobRow } from '../store/tables.ts';
import {
  accept,
  type DispatchParts,
  refuseStation,
  type StationRefusal,
  type StationResult,
} from './dispatch-parts.ts';
import { cryptogramConfirmedEvent, holdJob } from './job-record.ts';

interface ArmedJob {
  readonly ok: true;
  readonly job: JobRow;
  readonly sealedPlan: string;
}

/** Reports may lag behind the chip, so a job counts as before its chip stage until it is past it. */
const statesBeforePrint: readonly JobState[] = ['armed', 'feeding', 'chip'];

async function findArmedJob(
  tx: Transaction,
  stationId: string,
  jobId: string,
  epoch: number,
  states: readonly JobState[],
): Promise<ArmedJob | StationRefusal> {
  const held = await holdJob(tx, jobId, stationId);
  if (held === undefined) return refuseStation('UNKNOWN_JOB', 'No such job');
  const { job, order } = held;
  if (isTerminal(orderTransitions, order.state)) return refuseStation('ORDER_ENDED', 'The order has ended');
  if (job.epoch !== epoch) return refuseStation('STALE_EPOCH', 'The job has another epoch');
  if (!states.includes(job.state) || order.sealed_plan === null) {
    return refuseStation('NOT_LEASED', 'The job is not armed for this step');
  }
  return { ok: true, job, sealedPlan: order.sealed_plan };
}

/**
 * What a chip is known by: its production data, else the key diversification data that opens every answer to
 * INITIALIZE UPDATE (first 10 bytes).
 */
export function chipIdentityOf(chip: ChipIdentity, initializeUpdateResponse: string): string {
  return chip.cplc === null || chip.cplc === ''
    ? `kdd:${initializeUpdateResponse.slice(0, 20)}`
    : `cplc:${chip.cplc}`;
}

/** Whether the plan of `job` may go to this chip: not when another chip that still lives may have it. */
async function findForeignRelease(
  tx: Transaction,
  job: JobRow,
  identity: string,
): Promise<JobRow | undefined> {
  const released = await tx.db
    .selectFrom('jobs')
    .selectAll()
    .where('operation_id', '=', job.operation_id)
    .where('script_released_at', 'is not', null)
    .execute();
  return released.find((one) =>
    one.job_id === job.job_id
      ? one.chip_identity !== identity
      : one.state !== 'spoiled' || one.terminated !== 1,
  );
}

/** @throws VaultUnavailableError, VaultRefusedError */
export async function beginChip(
  parts: DispatchParts,
  stationId: string,
  jobId: string,
  request: ArmRequest,
): Promise<StationResult<ChipBeginAnswer>> {
  const found = await parts.store.transaction((tx) =>
    findArmedJob(tx, stationId, jobId, request.epoch, statesBeforePrint),
  );
  if (!found.ok) return found;
  const { sealedPlan } = found;
  return accept(await parts.vault.chipBegin({ sealedPlan, jobId, epoch: request.epoch, stationId }));
}

const alreadyReleased = refuseStation(
  'SCRIPT_ALREADY_RELEASED',
  'The data of this order was released to another chip',
);

/** @throws VaultUnavailableError, VaultRefusedError */
export async function releaseScript(
  parts: DispatchParts,
  stationId: string,
  jobId: string,
  request: ChipScriptRequest,
): Promise<StationResult<ChipScriptAnswer>> {
  const { epoch, ticket, chip, initializeUpdateResponse } = request;
  const identity = chipIdentityOf(chip, initializeUpdateResponse);
  const findReleasable = async (tx: Transaction): Promise<ArmedJob | StationRefusal> => {
    const found = await findArmedJob(tx, stationId, jobId, epoch, statesBeforePrint);
    if (!found.ok) return found;
    return (await findForeignRelease(tx, found.job, identity)) === undefined ? found : alreadyReleased;
  };
  const found = await parts.store.transaction(findReleasable);
  if (!found.ok) return found;
  const { sealedPlan } = found;
  const answer = await parts.vault.script({
    sealedPlan,
    jobId,
    epoch,
    stationId,
    ticket,
    chip,
    initializeUpdateResponse,
  });
  return parts.store.transaction<StationResult<ChipScriptAnswer>>(async (tx) => {
    const still = await findReleasable(tx);
    if (!still.ok) return still;
    const at = parts.clock.now();
    const { job } = still;
    const common = { operationId: job.operation_id, jobId, at };
    if (answer.result === 'refused') {
      await recordEvent(tx, { ...common, event: 'chip.refused', data: { reason: answer.reason } });
      return refuseStation('CHIP_REFUSED', answer.reason);
    }
    await tx.db
      .updateTable('jobs')
      .set({ chip_identity: identity, script_released_at: job.script_released_at ?? at })
      .where('job_id', '=', jobId)
      .execute();
    await recordEvent(tx, {
      ...common,
      event: 'chip.script-released',
      data: { chip: identity, atr: chip.atr, commands: answer.script.length },
    });
    return accept({ script: answer.script, terminate: answer.terminate });
  });
}

/** @throws VaultUnavailableError, VaultRefusedError */
export async function confirmCryptogram(
  parts: DispatchParts,
  stationId: string,
  jobId: string,
  evidence: CryptogramEvidence,
): Promise<StationResult<CryptogramVerdict>> {
  const found = await parts.store.transaction((tx) =>
    findArmedJob(tx, stationId, jobId, evidence.epoch, armedJobStates),
  );
  if (!found.ok) return found;
  if (found.job.script_released_at === null) {
    return refuseStation('NOT_LEASED', 'No script was released for this job');
  }
  const verdict = await parts.vault.cryptogram({ sealedPlan: found.sealedPlan, evidence });
  await parts.store.transaction(async (tx) => {
    await findOrder(tx, found.job.operation_id);
    await recordEvent(tx, {
      operationId: found.job.operation_id,
      jobId,
      at: parts.clock.now(),
      event: verdict.confirmed ? cryptogramConfirmedEvent : 'chip.cryptogram-refused',
      data: { atc: evidence.atc, cid: evidence.cid, reason: verdict.reason ?? null },
    });
  });
  return accept(verdict);
}
