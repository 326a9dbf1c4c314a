/** How an order reads on the D1 wire: the `operations` item of notifications and productionStatus (OD-5.6). */
import { d1StatusOf } from '@cardwright/domain';
import { type CardOperation } from '@cardwright/protocol';
import { type OrderRow } from '../store/tables.ts';

const timestamp = (atMs: number): string => new Date(atMs).toISOString();

/** The order's current state as D1 shows it. Holds no card data. */
export function operationOf(order: OrderRow): CardOperation {
  const { status, details } = d1StatusOf[order.state];
  const failure =
    order.error_code === null ? undefined : { errorCode: order.error_code, error: order.error_text ?? '' };
  return {
    operationId: order.operation_id,
    operation: 'PRODUCE',
    status,
    startTime: timestamp(order.created_at),
    ...(order.ended_at === null ? {} : { endTime: timestamp(order.ended_at) }),
    cardId: order.card_id,
    ...(order.issuer_request_id === null ? {} : { issuerRequestId: order.issuer_request_id }),
    ...failure,
    details: { status: details, ...(failure === undefined ? {} : { reason: failure.error }) },
  };
}
