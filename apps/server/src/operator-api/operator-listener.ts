/**
 * The operator listener: HTTPS with client certificates of the operator CA, read-only in this release.
 *
 * Invariant: shows states, codes and masked numbers; no call of it changes anything.
 */
import { type OrderState, orderStates } from '@cardwright/domain';
import { operatorPaths } from '@cardwright/protocol';
import { type Logger, mtlsServerOptions, peerThumbprint } from '@cardwright/runtime';
import Fastify, { type FastifyInstance, type FastifyReply } from 'fastify';
import { type ListenerConfig, type ServerConfig } from '../config.ts';
import { type Doorbell } from '../dispatch/doorbell.ts';
import { isUnavailable } from '../store/store-error.ts';
import { type Store } from '../store/store.ts';
import { summaryOf, viewOrder } from './order-view.ts';

export interface OperatorParts {
  readonly store: Store;
  readonly logger: Logger;
  readonly doorbell: Doorbell;
}

const maxOrders = 200;
const idPattern = /^[A-Za-z0-9_-]{1,64}$/;

interface OrderFilter {
  readonly limit: number;
  readonly state: OrderState | undefined;
  readonly stationId: string | undefined;
}

/** Reads the list's filter; undefined when a member is not one we know or has no good value. */
function readFilter(query: unknown): OrderFilter | undefined {
  const given = new Map(Object.entries(query as Record<string, unknown>));
  const limit = given.get('limit') ?? '50';
  const state = given.get('state');
  const stationId = given.get('stationId');
  if ([...given.keys()].some((name) => !['limit', 'state', 'stationId'].includes(name))) return undefined;
  if (typeof limit !== 'string' || !/^\d{1,4}$/.test(limit)) return undefined;
  const known = state === undefined ? undefined : orderStates.find((one) => one === state);
  if (state !== undefined && known === undefined) return undefined;
  if (stationId !== undefined && (typeof stationId !== 'string' || !idPattern.test(stationId)))
    return undefined;
  return { limit: Math.min(Math.max(Number(limit), 1), maxOrders), state: known, stationId };
}

function sendJson(reply: FastifyReply, httpStatus: number, body: unknown): FastifyReply {
  return reply
    .code(httpStatus)
    .header('cache-control', 'no-store')
    .type('application/json; charset=utf-8')
    .send(JSON.stringify(body));
}

const sendError = (reply: FastifyReply, httpStatus: number, code: string, message: string): FastifyReply =>
  sendJson(reply, httpStatus, { code, message });

async function listOrders(store: Store, filter: OrderFilter): Promise<unknown> {
  const orders = await store.transaction((tx) => {
    let query = tx.db.selectFrom('orders').selectAll();
    if (filter.state !== undefined) query = query.where('state', '=', filter.state);
    if (filter.stationId !== undefined) query = query.where('station_id', '=', filter.stationId);
    return query.orderBy('created_at', 'desc').limit(filter.limit).execute();
  });
  return { orders: orders.map(summaryOf) };
}

async function listStations(parts: OperatorParts): Promise<unknown> {
  const stations = await parts.store.transaction((tx) =>
    tx.db
      .selectFrom('stations')
      .select((eb) => [
        'station_id',
        'is_active',
        'agent_version',
        'last_seen_at',
        eb
          .selectFrom('jobs')
          .select((count) => count.fn.countAll<number>().as('n'))
          .whereRef('jobs.station_id', '=', 'stations.station_id')
          .where('jobs.state', '=', 'queued')
          .as('queued'),
      ])
      .orderBy('station_id')
      .execute(),
  );
  return {
    stations: stations.map((station) => ({
      stationId: station.station_id,
      isActive: station.is_active === 1,
      isConnected: parts.doorbell.isConnected(station.station_id),
      agentVersion: station.agent_version,
      lastSeenAt: station.last_seen_at,
      queuedJobs: station.queued ?? 0,
    })),
  };
}

/** Builds the listener; `app.listen` starts it. */
export function createOperatorListener(
  config: ServerConfig,
  listener: ListenerConfig,
  parts: OperatorParts,
): FastifyInstance {
  const app = Fastify({
    https: mtlsServerOptions({ ...config.tls, clientCaFile: listener.clientCaFile }),
    exposeHeadRoutes: false,
    forceCloseConnections: true,
    routerOptions: { maxParamLength: 256 },
    frameworkErrors: (_error, _request, reply) => {
      void sendError(reply, 400, 'BAD_REQUEST', 'The address cannot be read');
    },
  }) as unknown as FastifyInstance;
  app.addHook('onRequest', async (request, reply) => {
    if (peerThumbprint(request.raw.socket) !== undefined) return undefined;
    return sendError(reply, 401, 'OPERATOR_UNKNOWN', 'A client certificate is needed');
  });
  app.setErrorHandler((error, _request, reply) => {
    parts.logger.fault('operator-api.request-failed', error);
    if (isUnavailable(error)) {
      void reply.header('retry-after', '2');
      return sendError(reply, 503, 'STORE_UNAVAILABLE', 'The database does not answer');
    }
    return sendError(reply, 500, 'INTERNAL_ERROR', 'An internal error');
  });
  app.setNotFoundHandler((_request, reply) => sendError(reply, 404, 'NOT_FOUND', 'There is nothing here'));

  app.get(operatorPaths.orders, async (request, reply) => {
    const filter = readFilter(request.query);
    if (filter === undefined) return sendError(reply, 400, 'BAD_REQUEST', 'The filter is not known');
    return sendJson(reply, 200, await listOrders(parts.store, filter));
  });
  app.get<{ Params: { operationId: string } }>(
    operatorPaths.order(':operationId'),
    async (request, reply) => {
      const { operationId } = request.params;
      const view = idPattern.test(operationId)
        ? await parts.store.transaction((tx) => viewOrder(tx, operationId))
        : undefined;
      return view === undefined
        ? sendError(reply, 404, 'NOT_FOUND', 'There is no such order')
        : sendJson(reply, 200, view);
    },
  );
  app.get(operatorPaths.stations, async (_request, reply) => sendJson(reply, 200, await listStations(parts)));
  return app;
}
