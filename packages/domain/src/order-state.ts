/**
 * The life of an order: what the issuer asked for (one D1 operation).
 *
 * `in_doubt` means that a card may or may not exist. It never times out: only evidence, or two people,
 * move it on (I2).
 */
import { type TransitionTable } from './transition.ts';

export const orderStates = [
  'requested',
  'ready',
  'in_production',
  'in_doubt',
  'done',
  'production_failed',
  'data_failed',
  'canceled',
] as const;
export type OrderState = (typeof orderStates)[number];

export const orderTransitions: TransitionTable<OrderState> = {
  requested: ['ready', 'data_failed', 'canceled'],
  ready: ['in_production', 'production_failed', 'canceled'],
  in_production: ['done', 'production_failed', 'in_doubt', 'ready'],
  in_doubt: ['done', 'production_failed'],
  done: [],
  production_failed: [],
  data_failed: [],
  canceled: [],
};

export type OperationStatus = 'PENDING' | 'SUCCESSFUL' | 'FAILED';
export type ProductionStatus =
  | 'CARD_PROD_REQUESTED'
  | 'CARD_PROD_READY'
  | 'CARD_PROD_DONE'
  | 'DATA_EXCEPTION'
  | 'CARD_PROD_EXCEPTION'
  | 'CARD_PROD_CANCELED';

/** How each order state reads on the D1 wire: `details.status` and the operation's `status`. */
export const d1StatusOf: Readonly<
  Record<OrderState, { readonly details: ProductionStatus; readonly status: OperationStatus }>
> = {
  requested: { details: 'CARD_PROD_REQUESTED', status: 'PENDING' },
  ready: { details: 'CARD_PROD_READY', status: 'PENDING' },
  in_production: { details: 'CARD_PROD_READY', status: 'PENDING' },
  in_doubt: { details: 'CARD_PROD_READY', status: 'PENDING' },
  done: { details: 'CARD_PROD_DONE', status: 'SUCCESSFUL' },
  production_failed: { details: 'CARD_PROD_EXCEPTION', status: 'FAILED' },
  data_failed: { details: 'DATA_EXCEPTION', status: 'FAILED' },
  canceled: { details: 'CARD_PROD_CANCELED', status: 'FAILED' },
};

/**
 * Whether entering `to` from `from` is told to the issuer: only when what D1 shows changes. A remake takes
 * an order from `in_production` back to `ready`, which the issuer must not see twice.
 */
export function isNotified(from: OrderState | undefined, to: OrderState): boolean {
  return from === undefined || d1StatusOf[from].details !== d1StatusOf[to].details;
}
