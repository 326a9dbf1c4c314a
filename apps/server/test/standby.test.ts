import assert from 'node:assert/strict';
import { after, before, describe, it } from 'node:test';
import { createLogger, systemClock } from '@cardwright/runtime';
import { type PostgresCluster, startPostgresCluster } from '@cardwright/testkit';
import { type PostgresConfig } from '../src/config.ts';
import { scheduleWork } from '../src/due-work/due-work.ts';
import { openStore } from '../src/store/open-store.ts';
import { isUnavailable } from '../src/store/store-error.ts';
import { type Store } from '../src/store/store.ts';
import { freshSchema } from './support/engines.ts';
import { eventually } from './support/eventually.ts';

const parts = { clock: systemClock, logger: createLogger('server', { level: 'silent' }) };
const open = (database: PostgresConfig): Promise<Store> =>
  openStore({ database, environment: 'production', dataFolder: '/nonexistent' }, parts);

describe('a primary with a synchronous standby', () => {
  let primary: PostgresCluster;
  let standby: PostgresCluster;
  before(async () => {
    primary = await startPostgresCluster({ settings: ['hot_standby=on'] });
    standby = await startPostgresCluster({
      password: primary.password,
      fill: (dataFolder, run) => {
        const source = `host=${primary.socketFolder} port=${String(primary.port)} user=${primary.user} application_name=standby`;
        run('pg_basebackup', ['-D', dataFolder, '-R', '-X', 'stream', '-c', 'fast', '-d', source]);
      },
    });
    primary.sql("ALTER SYSTEM SET synchronous_standby_names = 'FIRST 1 (standby)'");
    primary.sql('SELECT pg_reload_conf()');
    await eventually('the standby is synchronous', () =>
      primary.sql('SELECT sync_state FROM pg_stat_replication').includes('sync'),
    );
  });
  after(async () => {
    await standby.close();
    await primary.close();
  });

  it('is accepted in production, and loses nothing acknowledged when it is killed and the standby promoted', async () => {
    const config = freshSchema(primary);
    const store = await open(config);
    const acknowledged: string[] = [];
    let isOver = false;
    const writers = ['a', 'b', 'c', 'd'].map(async (name) => {
      for (let at = 0; !isOver; at++) {
        const id = `${name}-${String(at)}`;
        try {
          await store.transaction((tx) => scheduleWork(tx, 'notify', id, 0));
          acknowledged.push(id);
        } catch (error) {
          if (!isUnavailable(error)) throw error;
          isOver = true;
        }
      }
    });
    await eventually('enough is written', () => acknowledged.length > 100);
    await primary.kill();
    await Promise.all(writers);
    await store.close();

    const reader: PostgresConfig = { ...config, url: standby.url, synchronousStandby: 'optional' };
    await assert.rejects(open(reader), isUnavailable, 'a standby only reads');
    standby.sql('SELECT pg_promote()');
    await eventually('the standby is promoted', () =>
      standby.sql('SELECT pg_is_in_recovery()').includes('f'),
    );
    const after = await open(reader);
    const found = await after.transaction((tx) =>
      tx.db.selectFrom('due_work').select('subject_id').execute(),
    );
    const kept = new Set(found.map((row) => row.subject_id));
    assert.deepEqual(
      acknowledged.filter((id) => !kept.has(id)),
      [],
    );
    await after.close();
  });
});
