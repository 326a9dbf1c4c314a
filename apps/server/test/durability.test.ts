import assert from 'node:assert/strict';
import { after, before, describe, it } from 'node:test';
import { createLogger, systemClock } from '@cardwright/runtime';
import { type PostgresCluster } from '@cardwright/testkit';
import { findConfigFaults, type PostgresConfig, type ServerConfig } from '../src/config.ts';
import { createHealthListener } from '../src/health/health-listener.ts';
import { findDurabilityFaults } from '../src/store/durability-check.ts';
import { openStore } from '../src/store/open-store.ts';
import { type Store } from '../src/store/store.ts';
import { freshSchema, sharedCluster } from './support/engines.ts';
import { eventually } from './support/eventually.ts';
import { createWorld, type World } from './support/server-fixture.ts';

const logger = createLogger('server', { level: 'silent' });
const open = (database: PostgresConfig, environment: 'sandbox' | 'production'): Promise<Store> =>
  openStore({ database, environment, dataFolder: '/nonexistent' }, { clock: systemClock, logger });

describe('what a database must keep', () => {
  const good = {
    fsync: 'on',
    fullPageWrites: 'on',
    synchronousCommit: 'on',
    synchronousStandbyNames: 'FIRST 1 (standby)',
    versionNumber: 150_018,
  };

  it('is kept by a server that syncs and has a synchronous standby', () => {
    assert.deepEqual(findDurabilityFaults(good, true), []);
    assert.deepEqual(findDurabilityFaults({ ...good, synchronousCommit: 'remote_apply' }, true), []);
    assert.deepEqual(findDurabilityFaults({ ...good, synchronousStandbyNames: '' }, false), []);
  });

  it('is refused by the name of each setting that can lose it', () => {
    for (const [change, named] of [
      [{ fsync: 'off' }, 'fsync'],
      [{ fullPageWrites: 'off' }, 'full_page_writes'],
      [{ synchronousCommit: 'off' }, 'synchronous_commit'],
      [{ synchronousCommit: 'local' }, 'synchronous_commit'],
      [{ synchronousCommit: 'remote_write' }, 'synchronous_commit'],
      [{ synchronousStandbyNames: '' }, 'synchronous_standby_names'],
      [{ synchronousStandbyNames: '', synchronousCommit: 'off' }, 'synchronous_commit'],
      [{ versionNumber: 140_012 }, 'PostgreSQL 15'],
    ] as const) {
      const faults = findDurabilityFaults({ ...good, ...change }, true);
      assert.ok(faults[0]?.includes(named), `${named}: ${faults.join()}`);
    }
  });

  it('is asked of the real server at start: production needs a standby unless it says otherwise', async () => {
    const config = freshSchema(await sharedCluster());
    await assert.rejects(open(config, 'production'), { code: 'STORE_NOT_DURABLE' });
    await assert.rejects(open({ ...config, synchronousStandby: 'required' }, 'sandbox'), {
      code: 'STORE_NOT_DURABLE',
    });
    await (await open({ ...config, synchronousStandby: 'optional' }, 'production')).close();
  });
});

describe('the configuration of the database', () => {
  let world: World;
  before(async () => {
    world = await createWorld();
  });
  after(async () => {
    await world.close();
  });
  const faultsOf = (changes: Partial<ServerConfig>): string[] =>
    findConfigFaults({ ...world.config, environment: 'production', ...changes });
  const url = 'postgres://cardwright@db.bank.example:5432/cardwright';
  const tls = { caFile: '/ca.pem' };

  it('may be absent: the embedded engine, for one node', () => {
    assert.deepEqual(faultsOf({ nodes: 1 }), []);
    assert.match(faultsOf({ nodes: 3 }).join(), /several nodes need postgresql/);
    assert.deepEqual(faultsOf({ nodes: 3, database: { engine: 'postgresql', url, tls } }), []);
  });

  it('needs TLS in production, but not on a local socket', () => {
    assert.match(faultsOf({ database: { engine: 'postgresql', url } }).join(), /database\.tls/);
    assert.deepEqual(faultsOf({ database: { engine: 'postgresql', host: '/run/postgresql' } }), []);
  });

  it('is refused without showing a password', () => {
    const secret = 'hunter-two-hunter';
    const withPassword = url.replace('cardwright@', `cardwright:${secret}@`);
    for (const database of [
      { engine: 'postgresql', url: withPassword, tls },
      { engine: 'postgresql', url: withPassword, host: 'db', passwordFile: '/p', tls },
      { engine: 'postgresql', url: `postgres://cardwright:${secret}@:bad:/x`, tls },
      { engine: 'postgresql', url: `${withPassword}?sslmode=disable`, tls },
      { engine: 'postgresql' },
    ] as const) {
      const faults = faultsOf({ database });
      assert.ok(faults.length > 0);
      assert.equal(faults.join().includes(secret), false);
    }
  });

  it('does not show the password in any failure to connect', async () => {
    const cluster = await sharedCluster();
    for (const [address, code] of [
      [cluster.url.replace(cluster.password, 'a-wrong-password'), '28P01'],
      [cluster.url.replace(String(cluster.port), '1'), 'ECONNREFUSED'],
      [cluster.url.replace(/\/postgres$/, '/nowhere'), '3D000'],
    ] as const) {
      await assert.rejects(open({ engine: 'postgresql', url: address }, 'sandbox'), (error: Error) => {
        const shown = `${error.message} ${error.stack ?? ''} ${JSON.stringify(error)}`;
        assert.equal(shown.includes(cluster.password) || shown.includes('a-wrong-password'), false);
        return error.message.includes(code);
      });
    }
  });
});

describe('health', () => {
  let cluster: PostgresCluster;
  let store: Store;
  before(async () => {
    cluster = await sharedCluster();
    store = await open(freshSchema(cluster), 'sandbox');
  });
  after(async () => {
    await store.close();
  });

  it('is alive always, and ready only with the database and before the stop', async () => {
    const health = createHealthListener({ store, clock: systemClock });
    await new Promise<void>((resolve) => health.server.listen(0, '127.0.0.1', resolve));
    const { port } = health.server.address() as { port: number };
    const ask = async (path: string): Promise<number> =>
      (await fetch(`http://127.0.0.1:${String(port)}${path}`)).status;
    assert.deepEqual([await ask('/healthz'), await ask('/readyz'), await ask('/other')], [200, 200, 404]);
    await cluster.kill();
    assert.deepEqual([await ask('/healthz'), await ask('/readyz')], [200, 503]);
    await cluster.start();
    await eventually('ready again', async () => (await ask('/readyz')) === 200);
    health.beginStopping();
    assert.deepEqual([await ask('/healthz'), await ask('/readyz')], [200, 503]);
    health.server.closeAllConnections();
    await new Promise((resolve) => health.server.close(resolve));
  });
});
