/**
 * The two production calls of the D1 dialect: order a card, read the status of its orders.
 *
 * Invariant: a request is judged in the order form, replay, references, re-order rules; whatever comes in, the
 * answer is a documented one.
 */
import {
  type CardOperations,
  check,
  type ProductionAccepted,
  ProductionPath,
  scopes,
} from '@cardwright/protocol';
import { type Logger } from '@cardwright/runtime';
import { sql } from 'kysely';
import { type Catalogue } from '../catalogue.ts';
import {
  findReplay,
  type IntakeParts,
  type IntakeResult,
  type OrderArrival,
  takeOrder,
} from '../orders/order-intake.ts';
import { operationOf } from '../orders/operation-view.ts';
import { contentOf, findUnknownReference, readOrder } from '../orders/order-request.ts';
import { type Store } from '../store/store.ts';
import { type RecipientKeys } from '../vault-link/recipient-keys.ts';
import { VaultUnavailableError } from '../vault-link/vault-link.ts';
import { type Access } from './access-token.ts';
import {
  type D1Refusal,
  refuseConflict,
  refuseForbidden,
  refuseFormat,
  refuseNotFound,
  refuseUnavailable,
  refuseValue,
} from './d1-refusal.ts';

export interface ProductionParts {
  readonly intake: IntakeParts;
  readonly store: Store;
  readonly logger: Logger;
  readonly catalogue: Catalogue;
  readonly recipientKeys: RecipientKeys;
}

export type Answer<T> = { readonly ok: true; readonly value: T } | D1Refusal;

const maxOperations = 100;
const retryAfterS = 5;

/** Checks the path and whether the token may act for it with one of `allowed` scopes. */
function authorize(path: unknown, access: Access, allowed: readonly string[]): Answer<ProductionPath> {
  const checked = check(ProductionPath, path);
  if (!checked.ok) return refuseFormat(checked.field);
  if (checked.value.issuerId !== access.issuer.issuerId) return refuseForbidden;
  if (!allowed.some((scope) => access.scopes.includes(scope))) return refuseForbidden;
  return checked;
}

function answerOf(result: IntakeResult): Answer<ProductionAccepted> {
  switch (result.result) {
    case 'accepted':
    case 'replayed':
      return { ok: true, value: { operationId: result.operationId } };
    case 'conflict':
      return refuseConflict(result.field);
    case 'invalid-data':
      return refuseValue(
        /^encryptedData(\.[A-Za-z0-9.]+)?$/.test(result.field) ? result.field : 'encryptedData',
      );
  }
}

async function judgeOrder(
  parts: ProductionParts,
  access: Access,
  cardId: string,
  body: unknown,
  correlationId: string,
): Promise<Answer<ProductionAccepted>> {
  const read = readOrder(body);
  if (!read.ok) return read;
  const { issuer } = access;
  const content = contentOf(read.body, issuer);
  const arrival: OrderArrival = {
    issuerId: issuer.issuerId,
    cardId,
    content,
    encryptedData: read.body.encryptedData,
    correlationId,
  };
  const replay = await findReplay(parts.intake, arrival);
  if (replay !== undefined) return answerOf(replay);
  const unknown = findUnknownReference(content, issuer, parts.catalogue.products, parts.catalogue.stations);
  if (unknown !== undefined) return unknown;
  const kid = await parts.recipientKeys.verdict(issuer.issuerId, read.kid);
  if (kid === 'unknown') return refuseValue('encryptedData');
  const result = await takeOrder(parts.intake, arrival);
  if (result.result === 'accepted') {
    const { operationId } = result;
    parts.logger.event('order.accepted', { operationId, issuerId: issuer.issuerId, correlationId });
  }
  return answerOf(result);
}

/** POST …/operations:production */
export async function orderProduction(
  parts: ProductionParts,
  access: Access,
  path: unknown,
  body: unknown,
  correlationId: string,
): Promise<Answer<ProductionAccepted>> {
  const place = authorize(path, access, [scopes.full]);
  if (!place.ok) return place;
  try {
    return await judgeOrder(parts, access, place.value.cardId, body, correlationId);
  } catch (error) {
    if (!(error instanceof VaultUnavailableError)) throw error;
    parts.logger.warn('order.comparison-waits', { reason: error.reason });
    return refuseUnavailable(retryAfterS);
  }
}

/** GET …/productionStatus: newest first, at most 100 (OD-4.3). */
export async function readProductionStatus(
  parts: ProductionParts,
  access: Access,
  path: unknown,
): Promise<Answer<CardOperations>> {
  const place = authorize(path, access, [scopes.full, scopes.read]);
  if (!place.ok) return place;
  const { issuerId, cardId } = place.value;
  const orders = await parts.store.transaction((tx) =>
    tx.db
      .selectFrom('orders')
      .selectAll()
      .where('issuer_id', '=', issuerId)
      .where('card_id', '=', cardId)
      // A live order is the newest one whatever the clock did.
      .orderBy(sql`case when ended_at is null then 0 else 1 end`)
      .orderBy('created_at', 'desc')
      .limit(maxOperations)
      .execute(),
  );
  if (orders.length === 0) return refuseNotFound;
  return { ok: true, value: { operations: orders.map(operationOf) } };
}
