/**
 * The order's row: the only place that changes its state.
 *
 * Invariants: state, history and outbox change in one transaction (I9); the move is legal in the domain's table
 * and again in the database's; card data leaves the row when the order ends (I7).
 */
import {
  type FaultCode,
  faults,
  type HandOverState,
  handOverTransitions,
  invariant,
  isNotified,
  isTerminal,
  move,
  type OrderState,
  orderTransitions,
} from '@cardwright/domain';
import { type Outbox } from '../notifications/outbox.ts';
import { type HistoryData, recordChange } from '../store/history.ts';
import { type Transaction } from '../store/store.ts';
import { type OrderRow } from '../store/tables.ts';

export interface PreparedData {
  readonly sealedPlan: string;
  readonly maskedPan: string;
  readonly panToken: string;
  readonly fingerprint: string;
}

export interface OrderMove {
  readonly to: OrderState;
  readonly at: number;
  readonly jobId?: string;
  readonly data?: HistoryData;
  /** Required for the failed states. `field` is a dotted field name, never a value. */
  readonly failure?: { readonly code: FaultCode; readonly field?: string };
  readonly prepared?: PreparedData;
  readonly fingerprint?: string;
}

/** The sentence of OD-5.10: at most 128 characters, a field name at most, no card data. */
export function failureText(code: FaultCode, field?: string): string {
  const { sentence } = faults[code];
  return field === undefined || field === '' ? sentence : `${sentence}: ${field}`.slice(0, 128);
}

/**
 * The order, locked until the transaction ends: what is read of it, its jobs and its history afterwards stays true.
 * A transaction locks its station before and the card or due work after it.
 */
export async function findOrder(tx: Transaction, operationId: string): Promise<OrderRow | undefined> {
  const query = tx.db.selectFrom('orders').selectAll().where('operation_id', '=', operationId);
  return tx.locked(query).executeTakeFirst();
}

/** Moves an order to its next state. @throws IllegalTransitionError */
export async function moveOrder(
  tx: Transaction,
  outbox: Outbox,
  order: OrderRow,
  change: OrderMove,
): Promise<OrderRow> {
  const to = move('order', orderTransitions, order.state, change.to);
  const isEnd = isTerminal(orderTransitions, to);
  const number = await recordChange(tx, {
    operationId: order.operation_id,
    at: change.at,
    event: `order.${to}`,
    machine: 'order',
    subjectId: order.operation_id,
    from: { state: order.state, number: order.state_number },
    to,
    ...(change.jobId === undefined ? {} : { jobId: change.jobId }),
    data: { ...change.data, ...(change.failure === undefined ? {} : { fault: change.failure.code }) },
  });
  const updated = await tx.db
    .updateTable('orders')
    .set({
      state: to,
      state_number: number,
      ended_at: isEnd ? change.at : null,
      error_code: change.failure?.code ?? null,
      error_text:
        change.failure === undefined ? null : failureText(change.failure.code, change.failure.field),
      encrypted_data: null,
      sealed_plan: isEnd ? null : (change.prepared?.sealedPlan ?? order.sealed_plan),
      masked_pan: change.prepared?.maskedPan ?? order.masked_pan,
      pan_token: change.prepared?.panToken ?? order.pan_token,
      fingerprint: change.prepared?.fingerprint ?? change.fingerprint ?? order.fingerprint,
    })
    .where('operation_id', '=', order.operation_id)
    .where('state_number', '=', order.state_number)
    .returningAll()
    .executeTakeFirst();
  invariant(updated !== undefined, 'I9', 'an order moved under its own transaction');
  if (isNotified(order.state, to)) await outbox.enqueue(tx, updated, change.at);
  return updated;
}

/** Moves the hand-over axis of an order. @throws IllegalTransitionError */
export async function moveHandOver(
  tx: Transaction,
  order: OrderRow,
  to: HandOverState,
  at: number,
  jobId: string,
): Promise<void> {
  move('hand_over', handOverTransitions, order.hand_over, to);
  const number = await recordChange(tx, {
    operationId: order.operation_id,
    jobId,
    at,
    event: `hand_over.${to}`,
    machine: 'hand_over',
    subjectId: order.operation_id,
    from: { state: order.hand_over, number: order.hand_over_number },
    to,
  });
  await tx.db
    .updateTable('orders')
    .set({ hand_over: to, hand_over_number: number })
    .where('operation_id', '=', order.operation_id)
    .execute();
}
