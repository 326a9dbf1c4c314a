/**
 * The issuer's own API for its front ends: order a card, see how it is doing. Plain HTTP on loopback.
 *
 * Invariants: only loopback names are answered, so that no web page can reach it under another name; an answer
 * never holds a full card number or a security code.
 */
import { fastify, type FastifyInstance } from 'fastify';
import { readCardRequest } from './card-request.ts';
import { type EventLog } from './event-log.ts';
import { type OrderService } from './order-service.ts';
import { type OrderStore, type StoredOrder } from './order-store.ts';

export interface CardView {
  readonly cardId: string;
  /** Null until the API has taken the order. */
  readonly operationId: string | null;
  readonly station: string;
  readonly maskedPan: string;
  readonly status: string;
  readonly detailsStatus: string;
  readonly errorCode?: string;
  readonly field?: string;
  readonly notifications: readonly Readonly<Record<string, unknown>>[];
}

function isLoopback(host: string): boolean {
  return /^(127\.0\.0\.1|localhost|\[::1\])(:\d+)?$/.test(host);
}

function cardView(order: StoredOrder, store: OrderStore): CardView {
  return {
    cardId: order.cardId,
    operationId: order.operationId,
    station: order.station,
    maskedPan: order.maskedPan,
    status: order.status,
    detailsStatus: order.detailsStatus,
    ...(order.errorCode === null ? {} : { errorCode: order.errorCode }),
    ...(order.errorField === null ? {} : { field: order.errorField }),
    notifications: store
      .notifications(order.cardId)
      .map(({ receivedAt, operation }) => ({ receivedAt: new Date(receivedAt).toISOString(), ...operation })),
  };
}

/** The answer to a refused order: the API's own verdict, with the status that a caller can act on. */
function refusalStatus(errorCode: string | null): number {
  if (errorCode === 'FIELD_INVALID_FORMAT' || errorCode === 'FIELD_INVALID_VALUE') return 400;
  return errorCode === 'CONFLICT' ? 409 : 502;
}

/** Builds the API; the caller opens and closes it. */
export function createCardApi(orders: OrderService, store: OrderStore, log: EventLog): FastifyInstance {
  const server = fastify({ bodyLimit: 65_536, logger: false });
  server.addHook('onRequest', async (request, reply) => {
    if (!isLoopback(request.headers.host ?? '')) {
      await reply.code(403).send({ errorCode: 'FORBIDDEN', field: 'host' });
    }
  });
  server.setErrorHandler((error: { statusCode?: number }, _request, reply) => {
    const status = error.statusCode ?? 500;
    if (status >= 500) log.fault('api.failed', error);
    return reply
      .code(status)
      .send(
        status >= 500
          ? { errorCode: 'INTERNAL_ERROR' }
          : { errorCode: 'FIELD_INVALID_FORMAT', field: 'body' },
      );
  });
  server.setNotFoundHandler((_request, reply) => reply.code(404).send({ errorCode: 'NOT_FOUND' }));

  server.post('/api/cards', async (request, reply) => {
    const read = readCardRequest(request.body, orders.productIds);
    if (!read.ok) return reply.code(400).send({ errorCode: read.errorCode, field: read.field });
    const placed = await orders.place(read.request);
    if (placed.kind === 'conflict') return reply.code(409).send({ errorCode: 'CONFLICT', field: 'cardId' });
    const { cardId, operationId, sendState, errorCode, errorField } = placed.order;
    if (sendState === 'refused') {
      return reply.code(refusalStatus(errorCode)).send({ errorCode, field: errorField, cardId });
    }
    return reply.code(202).send({ cardId, operationId });
  });
  server.get<{ Params: { cardId: string } }>('/api/cards/:cardId', (request, reply) => {
    const order = store.find(request.params.cardId);
    if (order === undefined) return reply.code(404).send({ errorCode: 'NOT_FOUND', field: 'cardId' });
    return reply.send(cardView(order, store));
  });
  return server;
}
