/** What an operator sees of an order: its state, its jobs with their evidence, and the whole history. */
import { type OrderView, type TimelineEntry } from '@cardwright/protocol';
import { type Transaction } from '../store/store.ts';
import { type HistoryRow, type OrderRow } from '../store/tables.ts';

type Data = Record<string, unknown>;

function entryOf(row: HistoryRow): TimelineEntry {
  return {
    sequence: row.sequence,
    at: row.at,
    event: row.event,
    ...(row.job_id === null ? {} : { jobId: row.job_id }),
    data: JSON.parse(row.data) as Data,
  };
}

/** The order with everything that happened to it, or undefined when there is none. Holds masked data only. */
export async function viewOrder(tx: Transaction, operationId: string): Promise<OrderView | undefined> {
  const order = await tx.db
    .selectFrom('orders')
    .selectAll()
    .where('operation_id', '=', operationId)
    .executeTakeFirst();
  if (order === undefined) return undefined;
  const jobs = await tx.db
    .selectFrom('jobs')
    .selectAll()
    .where('operation_id', '=', operationId)
    .orderBy('attempt')
    .execute();
  const history = await tx.db
    .selectFrom('history')
    .selectAll()
    .where('operation_id', '=', operationId)
    .orderBy('sequence')
    .execute();
  return {
    operationId: order.operation_id,
    issuerId: order.issuer_id,
    cardId: order.card_id,
    stationId: order.station_id,
    productId: order.product_id,
    state: order.state,
    handOver: order.hand_over,
    maskedPan: order.masked_pan,
    errorCode: order.error_code,
    jobs: jobs.map((job) => ({
      jobId: job.job_id,
      state: job.state,
      epoch: job.epoch,
      outcomeEvidence: job.evidence === null ? null : (JSON.parse(job.evidence) as Data),
    })),
    timeline: history.map(entryOf),
  };
}

/** One line of the list of orders. */
export function summaryOf(order: OrderRow): Omit<OrderView, 'jobs' | 'timeline'> & {
  readonly createdAt: number;
  readonly endedAt: number | null;
} {
  return {
    operationId: order.operation_id,
    issuerId: order.issuer_id,
    cardId: order.card_id,
    stationId: order.station_id,
    productId: order.product_id,
    state: order.state,
    handOver: order.hand_over,
    maskedPan: order.masked_pan,
    errorCode: order.error_code,
    createdAt: order.created_at,
    endedAt: order.ended_at,
  };
}
