/**
 * The server put together: store, vault link, work loop and three listeners, each with what it needs and no more.
 *
 * Invariants: listeners open only after the store is at the newest schema and knows the configured names; the end
 * comes in reverse order, and what was acknowledged is durable whatever comes next.
 */
import { createPrivateKey } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { type Server } from 'node:http';
import { type AddressInfo } from 'node:net';
import { type Clock, createMtlsClient, type Logger } from '@cardwright/runtime';
import { type FastifyInstance } from 'fastify';
import { createCatalogue, saveCatalogue } from './catalogue.ts';
import { type HealthListenerConfig, type ListenerConfig, type ServerConfig } from './config.ts';
import { createLeaseExpiry, createWaitLimit } from './dispatch/deadlines.ts';
import { defaultDispatchTimes, type DispatchParts, type DispatchTimes } from './dispatch/dispatch-parts.ts';
import { createDoorbell } from './dispatch/doorbell.ts';
import { createWorkLoop, type WorkLoop } from './due-work/work-loop.ts';
import { createHealthListener } from './health/health-listener.ts';
import { createAssertionPurge, schedulePurge } from './issuer-api/assertion-purge.ts';
import { createIssuerListener } from './issuer-api/issuer-listener.ts';
import { createDelivery } from './notifications/delivery.ts';
import { createIssuerClient, type IssuerClient } from './notifications/issuer-client.ts';
import { createOutbox } from './notifications/outbox.ts';
import { createOperatorListener } from './operator-api/operator-listener.ts';
import { createPreparation } from './orders/preparation.ts';
import { createStationListener } from './station-api/station-listener.ts';
import { openStore } from './store/open-store.ts';
import { type Store } from './store/store.ts';
import { createRecipientKeys } from './vault-link/recipient-keys.ts';
import { createVaultLink } from './vault-link/vault-link.ts';

export interface ServerAppParts {
  readonly clock: Clock;
  readonly logger: Logger;
  /** 0 up to 1: the jitter of retry delays. */
  readonly random: () => number;
  readonly times?: DispatchTimes;
}

export interface ServerApp {
  readonly store: Store;
  readonly listeners: Readonly<Record<'issuer' | 'station' | 'operator', FastifyInstance>>;
  /** Opens the listeners and begins with due work. Returns where they listen. */
  start(): Promise<Readonly<Record<'issuer' | 'station' | 'operator', AddressInfo>>>;
  stop(): Promise<void>;
}

const pollMs = 1_000;

async function listen(app: FastifyInstance, listener: ListenerConfig): Promise<AddressInfo> {
  await app.listen({ host: listener.host, port: listener.port });
  const address = app.server.address();
  if (address === null || typeof address === 'string') throw new Error('a listener has no address');
  return address;
}

async function listenPlain(server: Server, { host, port }: HealthListenerConfig): Promise<void> {
  await new Promise<void>((resolve, reject) => {
    server.once('error', reject);
    server.listen(port, host, resolve);
  });
}

async function closePlain(server: Server): Promise<void> {
  server.closeAllConnections();
  await new Promise((resolve) => server.close(resolve));
}

function createClients(config: ServerConfig, clock: Clock): Map<string, IssuerClient> {
  const clients = new Map<string, IssuerClient>();
  for (const issuer of config.issuers) {
    if (issuer.notification !== undefined) {
      clients.set(issuer.issuerId, createIssuerClient(issuer.notification, clock));
    }
  }
  return clients;
}

/** Opens the store and builds everything; nothing listens before `start`. @throws StoreError */
export async function createServerApp(config: ServerConfig, parts: ServerAppParts): Promise<ServerApp> {
  const { clock, logger } = parts;
  const catalogue = createCatalogue(config);
  const tokenSigningKey = createPrivateKey(readFileSync(config.tokenSigningKeyFile));
  const vaultClient = createMtlsClient(config.vault);
  const vault = createVaultLink(vaultClient);
  const clients = createClients(config, clock);
  const store = await openStore(config, { clock, logger });
  await saveCatalogue(store, catalogue, clock);
  await store.releaseLostWork();
  await schedulePurge(store, clock);

  const doorbell = createDoorbell(store.wakeups);
  // The loop does what the outbox adds, and the outbox wakes the loop: one of the two must come first.
  const waker: { loop?: WorkLoop } = {};
  const wakeWork = (): void => {
    waker.loop?.wake();
    store.wakeups.publish({ about: 'work' });
  };
  store.wakeups.subscribe((wakeup) => {
    if (wakeup.about !== 'station') waker.loop?.wake();
  });
  const outbox = createOutbox(catalogue, wakeWork);
  const dispatch: DispatchParts = {
    ...{ store, clock, logger, catalogue, vault, outbox, doorbell, wakeWork },
    times: parts.times ?? defaultDispatchTimes,
  };
  const work = createWorkLoop({
    store,
    clock,
    logger,
    pollMs,
    handlers: [
      createPreparation(dispatch),
      createDelivery({ store, clock, logger, clients, wakeWork, random: parts.random }),
      createLeaseExpiry(dispatch),
      createWaitLimit(dispatch),
      createAssertionPurge(store, clock),
    ],
  });
  waker.loop = work;
  const intake = { store, clock, vault, outbox, wakeWork };
  const recipientKeys = createRecipientKeys(vault, clock, logger);
  const listeners = {
    issuer: createIssuerListener(config, config.issuerListener, {
      ...{ store, clock, logger, catalogue, intake, recipientKeys, tokenSigningKey },
    }),
    station: createStationListener(config, config.stationListener, dispatch),
    operator: createOperatorListener(config, config.operatorListener, { store, logger, doorbell }),
  };
  const health = createHealthListener({ store, clock });
  return {
    store,
    listeners,
    start: async () => {
      work.start();
      if (config.healthListener !== undefined) await listenPlain(health.server, config.healthListener);
      return {
        issuer: await listen(listeners.issuer, config.issuerListener),
        station: await listen(listeners.station, config.stationListener),
        operator: await listen(listeners.operator, config.operatorListener),
      };
    },
    stop: async () => {
      health.beginStopping();
      doorbell.closeAll();
      await Promise.all(Object.values(listeners).map((listener) => listener.close()));
      await Promise.all([...clients.values()].map((client) => client.close()));
      await vaultClient.close();
      await work.stop();
      await store.close();
      await closePlain(health.server);
    },
  };
}
