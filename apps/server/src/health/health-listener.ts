/**
 * Health over plain HTTP, for load balancers and orchestrators that have no client certificate: `/healthz` says that
 * the process answers, `/readyz` that it can take orders because its database can be written to.
 *
 * Invariants: it tells nothing but that, takes nothing in, and is not ready while the server stops. A database that
 * hangs counts as away.
 */
import { createServer, type Server, type ServerResponse } from 'node:http';
import { type Clock } from '@cardwright/runtime';
import { type Store } from '../store/store.ts';

export interface HealthParts {
  readonly store: Pick<Store, 'check'>;
  readonly clock: Clock;
}

export interface HealthListener {
  readonly server: Server;
  /** From now on the node is not ready: a load balancer sends it nothing more. */
  beginStopping(): void;
}

const checkLimitMs = 2_000;

function answer(response: ServerResponse, httpStatus: number, body: Readonly<Record<string, string>>): void {
  response
    .writeHead(httpStatus, { 'content-type': 'application/json; charset=utf-8', 'cache-control': 'no-store' })
    .end(JSON.stringify(body));
}

export function createHealthListener(parts: HealthParts): HealthListener {
  let isStopping = false;
  let checking: Promise<boolean> | undefined;
  /** One look at a time, however many ask. */
  const isDatabaseUp = async (): Promise<boolean> => {
    checking ??= parts.store
      .check()
      .then(
        () => true,
        () => false,
      )
      .finally(() => {
        checking = undefined;
      });
    let giveUp: (isUp: boolean) => void = () => undefined;
    const limit = new Promise<boolean>((resolve) => {
      giveUp = resolve;
    });
    const timer = parts.clock.setTimeout(() => giveUp(false), checkLimitMs);
    try {
      return await Promise.race([checking, limit]);
    } finally {
      timer.cancel();
    }
  };
  const server = createServer((request, response) => {
    if (request.method !== 'GET') answer(response, 405, { status: 'method-not-allowed' });
    else if (request.url === '/healthz') answer(response, 200, { status: 'alive' });
    else if (request.url !== '/readyz') answer(response, 404, { status: 'not-found' });
    else if (isStopping) answer(response, 503, { status: 'stopping' });
    else {
      void isDatabaseUp().then((isUp) => {
        answer(response, isUp ? 200 : 503, { status: isUp ? 'ready' : 'database-away' });
      });
    }
  });
  return {
    server,
    beginStopping: () => {
      isStopping = true;
    },
  };
}
