/**
 * Preparation: the vault turns an order's JWE into a sealed plan; the order becomes `ready` with a queued job, or
 * `data_failed`.
 *
 * Invariants: the vault is asked outside of any transaction and may be asked twice; only an order that is still
 * `requested` takes the answer. While the vault is away the order waits (I2); a request that the vault refuses for
 * good ends the order.
 */
import { type Clock, type Logger } from '@cardwright/runtime';
import { type Catalogue } from '../catalogue.ts';
import { defaultWaitLimitMs } from '../config.ts';
import { type Doorbell } from '../dispatch/doorbell.ts';
import { insertJob } from '../dispatch/job-record.ts';
import { completeWork, scheduleWork } from '../due-work/due-work.ts';
import { backOffMs, type WorkHandler } from '../due-work/work-loop.ts';
import { type Outbox } from '../notifications/outbox.ts';
import { type Store } from '../store/store.ts';
import { type OrderRow } from '../store/tables.ts';
import { type VaultLink, VaultRefusedError, VaultUnavailableError } from '../vault-link/vault-link.ts';
import { parseContent } from './order-content.ts';
import { findOrder, moveOrder, type OrderMove } from './order-record.ts';
import { spellKeyIndexes } from './order-request.ts';

export interface PreparationParts {
  readonly store: Store;
  readonly clock: Clock;
  readonly logger: Logger;
  readonly catalogue: Catalogue;
  readonly vault: VaultLink;
  readonly outbox: Outbox;
  readonly doorbell: Doorbell;
  readonly wakeWork: () => void;
}

type Prepared = Pick<OrderMove, 'to' | 'failure' | 'prepared' | 'fingerprint'>;

async function consultVault(
  parts: PreparationParts,
  order: OrderRow,
  encryptedData: string,
): Promise<Prepared> {
  const content = parseContent(order.content);
  const product = parts.catalogue.products.get(order.product_id);
  const answer = await parts.vault.prepare({
    issuerId: order.issuer_id,
    operationId: order.operation_id,
    cardId: order.card_id,
    productId: order.product_id,
    paymentApplication: spellKeyIndexes(content.paymentApplication, product),
    ...(content.cardDesign === undefined ? {} : { cardDesign: content.cardDesign }),
    encryptedData,
  });
  if (answer.result === 'prepared') return { to: 'ready', prepared: answer };
  const failure = { code: answer.errorCode, field: answer.field };
  if (answer.errorCode === 'DATA_JWE_INVALID') return { to: 'data_failed', failure };
  // The data opened but did not pass: its fingerprint is the last chance to recognize a replay later.
  const seen = await parts.vault.fingerprint({ issuerId: order.issuer_id, encryptedData });
  return { to: 'data_failed', failure, ...(seen.result === 'ok' ? { fingerprint: seen.fingerprint } : {}) };
}

async function askVault(parts: PreparationParts, order: OrderRow, encryptedData: string): Promise<Prepared> {
  try {
    return await consultVault(parts, order, encryptedData);
  } catch (error) {
    if (!(error instanceof VaultRefusedError)) throw error;
    parts.logger.fault('order.preparation-refused', error, { operationId: order.operation_id });
    return { to: 'data_failed', failure: { code: 'DATA_PREPARATION_FAILED' } };
  }
}

async function applyPreparation(
  parts: PreparationParts,
  operationId: string,
  prepared: Prepared,
): Promise<void> {
  await parts.store.transaction(async (tx) => {
    const order = await findOrder(tx, operationId);
    await completeWork(tx, 'prepare', operationId);
    if (order?.state !== 'requested') return;
    const at = parts.clock.now();
    await moveOrder(tx, parts.outbox, order, { ...prepared, at });
    if (prepared.to !== 'ready') return;
    await insertJob(tx, { order, attempt: 1, epoch: 0, at });
    const limitMs = parts.catalogue.stations.get(order.station_id)?.waitLimitMs ?? defaultWaitLimitMs;
    await scheduleWork(tx, 'wait_limit', operationId, at + limitMs);
    tx.onCommit(() => {
      parts.doorbell.ring(order.station_id);
    });
    tx.onCommit(parts.wakeWork);
  });
}

/** The work of preparing one order. */
export function createPreparation(parts: PreparationParts): WorkHandler {
  return {
    kind: 'prepare',
    maxConcurrent: 8,
    leaseMs: 120_000,
    run: async (work) => {
      const order = await parts.store.transaction((tx) => findOrder(tx, work.subjectId));
      if (order?.state !== 'requested' || order.encrypted_data === null) {
        await parts.store.transaction((tx) => completeWork(tx, 'prepare', work.subjectId));
        return undefined;
      }
      try {
        const prepared = await askVault(parts, order, order.encrypted_data);
        await applyPreparation(parts, order.operation_id, prepared);
        parts.logger.event('order.prepared', { operationId: order.operation_id, state: prepared.to });
        return undefined;
      } catch (error) {
        if (!(error instanceof VaultUnavailableError)) throw error;
        parts.logger.warn('order.preparation-waits', {
          operationId: order.operation_id,
          reason: error.reason,
        });
        return { retryAtMs: parts.clock.now() + backOffMs(work.attempts) };
      }
    },
  };
}
