/**
 * Puts the issuer together and runs it: store, client, two listeners, and the loop that looks after open orders.
 */
import { readFileSync } from 'node:fs';
import { type AddressInfo } from 'node:net';
import { createIssuerClient } from '@cardwright/issuer-sdk';
import { type FastifyInstance } from 'fastify';
import { createCardApi } from './card-api.ts';
import { type IssuerConfig } from './config.ts';
import { type EventLog } from './event-log.ts';
import { createNotificationListener } from './notification-listener.ts';
import { createOrderService, type OrderService } from './order-service.ts';
import { openOrderStore } from './order-store.ts';

export interface RunningIssuer {
  readonly apiPort: number;
  readonly notificationPort: number;
  /** Stops listening, lets running orders settle, closes the store. */
  close(): Promise<void>;
}

const defaultReconcileIntervalMs = 15_000;

function portOf(server: FastifyInstance): number {
  return (server.server.address() as AddressInfo).port;
}

/**
 * Looks after open orders: at once after all of them, for a crash may have left them, then with a pause between
 * passes after those that were quiet for that long. Returns how to end it.
 */
function startReconcileLoop(orders: OrderService, intervalMs: number, log: EventLog): () => Promise<void> {
  let timer: NodeJS.Timeout | undefined;
  let stopped = false;
  let pass: Promise<void> = Promise.resolve();
  const runPass = async (idleMs: number): Promise<void> => {
    try {
      await orders.reconcile(idleMs);
    } catch (error) {
      log.fault('reconcile.failed', error);
    }
    if (!stopped) timer = setTimeout(next, intervalMs, intervalMs);
  };
  const next = (idleMs: number): void => {
    pass = runPass(idleMs);
  };
  next(0);
  return async () => {
    stopped = true;
    clearTimeout(timer);
    await pass;
  };
}

/** Starts everything. @throws when a file cannot be read, a port is taken or the store is in use */
export async function startIssuer(config: IssuerConfig, log: EventLog): Promise<RunningIssuer> {
  const { d1 } = config;
  const client = createIssuerClient({
    origin: d1.origin,
    issuerId: config.issuerId,
    tls: { ca: readFileSync(d1.caFile), cert: readFileSync(d1.certFile), key: readFileSync(d1.keyFile) },
    signing: { kid: d1.signingKid, privateKeyPem: readFileSync(d1.signingKeyFile, 'utf8') },
    recipientKey: d1.recipientJwk,
  });
  const store = openOrderStore(config.dataFolder);
  const reconcileIntervalMs = config.reconcileIntervalMs ?? defaultReconcileIntervalMs;
  const orders = createOrderService({ store, client, d1, log, now: Date.now });
  const notifications = createNotificationListener(config, store, log);
  const api = createCardApi(orders, store, log);
  let endLoop = (): Promise<void> => Promise.resolve();
  const close = async (): Promise<void> => {
    // First the client: what is being sent is stored, and its connection is all that could keep us.
    await client.close();
    await Promise.all([api.close(), notifications.close()]);
    await endLoop();
    await orders.settled();
    store.close();
  };
  try {
    const { notificationListener } = config;
    await notifications.listen({ host: notificationListener.host, port: notificationListener.port });
    await api.listen({ host: config.api.host, port: config.api.port });
  } catch (error) {
    await close();
    throw error;
  }
  endLoop = startReconcileLoop(orders, reconcileIntervalMs, log);
  return { apiPort: portOf(api), notificationPort: portOf(notifications), close };
}
