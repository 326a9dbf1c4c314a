/** The operator API: what consoles and the command line read. Its own listener and its own CA. */
import { handOverStates, jobStates, orderStates } from '@cardwright/domain';
import { type Static, Type } from 'typebox';

const literals = <const T extends readonly string[]>(values: T) =>
  Type.Enum(values as unknown as [T[number], ...T[number][]]);

export const TimelineEntry = Type.Object({
  sequence: Type.Integer(),
  /** epoch milliseconds, server clock */
  at: Type.Integer(),
  /** e.g. `order.requested`, `job.leased`, `stage.chip.completed`, `notification.delivered` */
  event: Type.String(),
  jobId: Type.Optional(Type.String()),
  data: Type.Record(Type.String(), Type.Unknown()),
});
export type TimelineEntry = Static<typeof TimelineEntry>;

export const OrderView = Type.Object({
  operationId: Type.String(),
  issuerId: Type.String(),
  cardId: Type.String(),
  stationId: Type.String(),
  productId: Type.String(),
  state: literals(orderStates),
  handOver: literals(handOverStates),
  maskedPan: Type.Union([Type.String(), Type.Null()]),
  errorCode: Type.Union([Type.String(), Type.Null()]),
  jobs: Type.Array(
    Type.Object({
      jobId: Type.String(),
      state: literals(jobStates),
      epoch: Type.Integer(),
      outcomeEvidence: Type.Union([Type.Record(Type.String(), Type.Unknown()), Type.Null()]),
    }),
  ),
  timeline: Type.Array(TimelineEntry),
});
export type OrderView = Static<typeof OrderView>;

export const operatorPaths = {
  order: (operationId: string) => `/operator/v1/orders/${operationId}`,
  orders: '/operator/v1/orders',
  stations: '/operator/v1/stations',
} as const;
