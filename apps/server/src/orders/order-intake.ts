/**
 * Taking an order in: replay, conflict, re-order, or a new operation (OD-3.10, OD-3.11).
 *
 * Invariants: one live operation per card; a replay makes nothing and gets the operation of the first request
 * for ever; order, first history row, outbox and preparation work are one commit. Different ciphertexts are
 * compared by the vault, outside of any transaction; the content of a stored order never changes, so its
 * verdict stays true.
 */
import { createHash } from 'node:crypto';
import { d1StatusOf } from '@cardwright/domain';
import { type FingerprintAnswer } from '@cardwright/protocol';
import { type Clock, crashPoint, newId } from '@cardwright/runtime';
import { sql } from 'kysely';
import { scheduleWork } from '../due-work/due-work.ts';
import { lockCard, type Outbox } from '../notifications/outbox.ts';
import { recordChange } from '../store/history.ts';
import { type Store, type Transaction } from '../store/store.ts';
import { type OrderRow } from '../store/tables.ts';
import { type VaultLink, VaultRefusedError } from '../vault-link/vault-link.ts';
import { canonicalContent, type OrderContent } from './order-content.ts';

export interface OrderArrival {
  readonly issuerId: string;
  readonly cardId: string;
  readonly content: OrderContent;
  readonly encryptedData: string;
  readonly correlationId: string;
}

export type IntakeResult =
  | { readonly result: 'accepted' | 'replayed'; readonly operationId: string }
  | { readonly result: 'conflict'; readonly field: 'issuerRequestId' | 'cardId' }
  | { readonly result: 'invalid-data'; readonly field: string };

type ReplayDecision =
  | { readonly decision: 'new' }
  | { readonly decision: 'same' | 'compare'; readonly stored: OrderRow }
  | { readonly decision: 'conflict' };

/** Whether the order repeats a stored one that has its `issuerRequestId`. Pure. */
export function decideReplay(
  stored: OrderRow | undefined,
  content: string,
  encryptedDataSha256: string,
): ReplayDecision {
  if (stored === undefined) return { decision: 'new' };
  if (stored.content !== content) return { decision: 'conflict' };
  if (stored.encrypted_data_sha256 === encryptedDataSha256) return { decision: 'same', stored };
  // Neither its data nor a fingerprint is left only when the data could not be opened: no other text is the same.
  if (stored.fingerprint === null && stored.encrypted_data === null) return { decision: 'conflict' };
  return { decision: 'compare', stored };
}

/** Whether a card whose newest operation is `newest` may be ordered (again). Pure. */
export function mayOrderAgain(
  newest: OrderRow | undefined,
  issuance: OrderContent['services']['issuance'],
): boolean {
  if (newest === undefined) return true;
  switch (d1StatusOf[newest.state].status) {
    case 'FAILED':
      return true;
    case 'PENDING':
      return false;
    case 'SUCCESSFUL':
      return issuance !== 'CREATION';
  }
}

export interface IntakeParts {
  readonly store: Store;
  readonly clock: Clock;
  readonly vault: VaultLink;
  readonly outbox: Outbox;
  readonly wakeWork: () => void;
}

async function findReplayed(tx: Transaction, arrival: OrderArrival): Promise<OrderRow | undefined> {
  const { issuerRequestId } = arrival.content;
  if (issuerRequestId === undefined) return undefined;
  return tx.db
    .selectFrom('orders')
    .selectAll()
    .where('issuer_id', '=', arrival.issuerId)
    .where('card_id', '=', arrival.cardId)
    .where('issuer_request_id', '=', issuerRequestId)
    .executeTakeFirst();
}

async function findNewest(tx: Transaction, arrival: OrderArrival): Promise<OrderRow | undefined> {
  return (
    tx.db
      .selectFrom('orders')
      .selectAll()
      .where('issuer_id', '=', arrival.issuerId)
      .where('card_id', '=', arrival.cardId)
      // A live order is the newest one whatever the clock did.
      .orderBy(sql`case when ended_at is null then 0 else 1 end`)
      .orderBy('created_at', 'desc')
      .limit(1)
      .executeTakeFirst()
  );
}

async function insertOrder(
  parts: IntakeParts,
  tx: Transaction,
  arrival: OrderArrival,
  content: string,
  encryptedDataSha256: string,
): Promise<string> {
  const operationId = newId();
  const at = parts.clock.now();
  const { persoStation, cardProductId, issuerRequestId, services } = arrival.content;
  const stateNumber = await recordChange(tx, {
    operationId,
    at,
    event: 'order.requested',
    machine: 'order',
    subjectId: operationId,
    from: undefined,
    to: 'requested',
    data: {
      stationId: persoStation,
      productId: cardProductId,
      ...services,
      correlationId: arrival.correlationId,
    },
  });
  const handOverNumber = await recordChange(tx, {
    operationId,
    at,
    event: 'hand_over.none',
    machine: 'hand_over',
    subjectId: operationId,
    from: undefined,
    to: 'none',
  });
  const order = await tx.db
    .insertInto('orders')
    .values({
      operation_id: operationId,
      issuer_id: arrival.issuerId,
      card_id: arrival.cardId,
      issuer_request_id: issuerRequestId ?? null,
      station_id: persoStation,
      product_id: cardProductId,
      content,
      encrypted_data: arrival.encryptedData,
      encrypted_data_sha256: encryptedDataSha256,
      fingerprint: null,
      sealed_plan: null,
      masked_pan: null,
      pan_token: null,
      state: 'requested',
      state_number: stateNumber,
      hand_over: 'none',
      hand_over_number: handOverNumber,
      error_code: null,
      error_text: null,
      correlation_id: arrival.correlationId,
      created_at: at,
      ended_at: null,
    })
    .returningAll()
    .executeTakeFirstOrThrow();
  await parts.outbox.enqueue(tx, order, at);
  await scheduleWork(tx, 'prepare', operationId, at);
  tx.onCommit(parts.wakeWork);
  crashPoint('server.order.before-commit');
  return operationId;
}

/** A ciphertext's fingerprint. What the vault refuses to look at is as unreadable as what it cannot open. */
async function fingerprintOf(
  vault: VaultLink,
  issuerId: string,
  encryptedData: string,
  comparedWith: string | null = null,
): Promise<FingerprintAnswer> {
  try {
    return await vault.fingerprint({
      issuerId,
      encryptedData,
      ...(comparedWith !== null && { comparedWith }),
    });
  } catch (error) {
    if (!(error instanceof VaultRefusedError)) throw error;
    return { result: 'rejected', field: 'encryptedData' };
  }
}

/** Asks the vault whether two ciphertexts hold the same card data. @throws VaultUnavailableError */
async function compareByVault(
  vault: VaultLink,
  stored: OrderRow,
  arrival: OrderArrival,
): Promise<IntakeResult> {
  const { issuerId } = arrival;
  const given = await fingerprintOf(vault, issuerId, arrival.encryptedData, stored.fingerprint);
  if (given.result === 'rejected') return { result: 'invalid-data', field: given.field };
  let fingerprint = stored.fingerprint;
  if (fingerprint === null && stored.encrypted_data !== null) {
    const first = await fingerprintOf(vault, issuerId, stored.encrypted_data);
    fingerprint = first.result === 'ok' ? first.fingerprint : null;
  }
  return given.fingerprint === fingerprint
    ? { result: 'replayed', operationId: stored.operation_id }
    : { result: 'conflict', field: 'issuerRequestId' };
}

/** Looks only for a replay: an order that repeats a stored one is answered whatever the catalogue says today. */
export async function findReplay(
  parts: IntakeParts,
  arrival: OrderArrival,
): Promise<IntakeResult | undefined> {
  const content = canonicalContent(arrival.content);
  const sha256 = createHash('sha256').update(arrival.encryptedData).digest('base64url');
  const replay = await parts.store.transaction(async (tx) =>
    decideReplay(await findReplayed(tx, arrival), content, sha256),
  );
  switch (replay.decision) {
    case 'new':
      return undefined;
    case 'same':
      return { result: 'replayed', operationId: replay.stored.operation_id };
    case 'conflict':
      return { result: 'conflict', field: 'issuerRequestId' };
    case 'compare':
      return compareByVault(parts.vault, replay.stored, arrival);
  }
}

/** Takes a checked order in. @throws VaultUnavailableError when two ciphertexts cannot be compared now */
export async function takeOrder(parts: IntakeParts, arrival: OrderArrival): Promise<IntakeResult> {
  const content = canonicalContent(arrival.content);
  const sha256 = createHash('sha256').update(arrival.encryptedData).digest('base64url');
  const taken = await parts.store.transaction<
    IntakeResult | { readonly result: 'compare'; stored: OrderRow }
  >(async (tx) => {
    // There may be no row of this card yet: two first orders of it meet here.
    await lockCard(tx, arrival.issuerId, arrival.cardId);
    const replay = decideReplay(await findReplayed(tx, arrival), content, sha256);
    switch (replay.decision) {
      case 'same':
        return { result: 'replayed', operationId: replay.stored.operation_id };
      case 'conflict':
        return { result: 'conflict', field: 'issuerRequestId' };
      case 'compare':
        return { result: 'compare', stored: replay.stored };
      case 'new':
    }
    const newest = await findNewest(tx, arrival);
    if (!mayOrderAgain(newest, arrival.content.services.issuance)) {
      return { result: 'conflict', field: 'cardId' };
    }
    return { result: 'accepted', operationId: await insertOrder(parts, tx, arrival, content, sha256) };
  });
  if (taken.result === 'compare') return compareByVault(parts.vault, taken.stored, arrival);
  if (taken.result === 'accepted') crashPoint('server.order.after-commit');
  return taken;
}
