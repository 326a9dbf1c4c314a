/**
 * What an issuer knows about one order, built up from notifications and status answers. Pure.
 *
 * Invariants (d1-api contract, traps 5, 7, 8 and OD-5.8): the two levels of status are never mixed; a final
 * state stays, whatever comes late; values never seen before are kept and not refused.
 */
import { check, ReadableCardOperation } from '@cardwright/protocol';

/** One operation as the API reports it, in a notification or in `productionStatus`. */
export type CardOperation = ReadableCardOperation;

/** The state of one operation as far as it is known. */
export interface OrderState {
  readonly operationId: string;
  /** `PENDING`, `SUCCESSFUL`, `FAILED`, or a value of the future, which is treated as not final. */
  readonly status: string;
  /** `details.status`: `CARD_PROD_REQUESTED`, `CARD_PROD_READY`, `CARD_PROD_DONE`, …; empty when not told. */
  readonly detailsStatus: string;
  readonly errorCode: string | undefined;
  readonly endTime: string | undefined;
}

export function isFinalStatus(status: string): boolean {
  return status === 'SUCCESSFUL' || status === 'FAILED';
}

/** How far a pending operation is; unknown steps count as progress but never undo one. */
function progressOf(detailsStatus: string): number {
  if (detailsStatus === '') return 0;
  return detailsStatus === 'CARD_PROD_REQUESTED' ? 1 : 2;
}

function stateOf(operation: CardOperation): OrderState {
  return {
    operationId: operation.operationId,
    status: operation.status,
    detailsStatus: operation.details?.status ?? '',
    errorCode: operation.errorCode,
    endTime: operation.endTime,
  };
}

/**
 * The state after `operation` became known. Returns the same object when nothing changed: a repetition, a
 * message that comes late, or one of another operation.
 */
export function applyOperation(state: OrderState | undefined, operation: CardOperation): OrderState {
  const next = stateOf(operation);
  if (state === undefined) return next;
  if (state.operationId !== next.operationId || isFinalStatus(state.status)) return state;
  if (isFinalStatus(next.status)) return next;
  const repeated = state.status === next.status && state.detailsStatus === next.detailsStatus;
  return repeated || progressOf(next.detailsStatus) < progressOf(state.detailsStatus) ? state : next;
}

/** The key by which a repeated notification is known: `operationId` alone is too weak (trap 7). */
export function notificationKey(operation: CardOperation): string {
  return JSON.stringify([operation.operationId, operation.status, operation.details?.status ?? '']);
}

/** The issuer's request id, wherever it stands (trap 14). */
export function issuerRequestIdOf(operation: CardOperation): string | undefined {
  return operation.issuerRequestId ?? operation.details?.issuerRequestId;
}

export type ReadOperations =
  | { readonly ok: true; readonly operations: readonly CardOperation[] }
  | { readonly ok: false; readonly field: string };

/** Reads `{"operations":[…]}`. Unknown members and values are let through; `field` names what is missing. */
export function readOperations(body: unknown): ReadOperations {
  const list = (typeof body === 'object' && body !== null ? body : {}) as { operations?: unknown };
  if (!Array.isArray(list.operations)) return { ok: false, field: 'operations' };
  const operations: CardOperation[] = [];
  for (const [index, item] of (list.operations as unknown[]).entries()) {
    const read = check(ReadableCardOperation, item);
    const place = `operations[${String(index)}]`;
    if (!read.ok) return { ok: false, field: read.field === '' ? place : `${place}.${read.field}` };
    operations.push(read.value);
  }
  return { ok: true, operations };
}
