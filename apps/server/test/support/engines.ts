/** The two storage engines, so that one suite runs on both. A PostgreSQL is shared by the tests of one file. */
import { randomBytes } from 'node:crypto';
import { after, describe } from 'node:test';
import { type PostgresCluster, startPostgresCluster } from '@cardwright/testkit';
import { type DatabaseConfig, type PostgresConfig } from '../../src/config.ts';

export const engines = ['sqlite', 'postgresql'] as const;
export type Engine = (typeof engines)[number];

const shared: { cluster?: Promise<PostgresCluster> } = {};

/** The PostgreSQL of this test file, started at the first call. */
export function sharedCluster(): Promise<PostgresCluster> {
  shared.cluster ??= startPostgresCluster();
  return shared.cluster;
}

after(async () => {
  await (await shared.cluster)?.close();
});

/** How to reach a cluster, with an empty schema of its own. */
export function freshSchema(cluster: PostgresCluster): PostgresConfig {
  return { engine: 'postgresql', url: cluster.url, schema: `t_${randomBytes(6).toString('hex')}` };
}

/** One suite, run on both engines. */
export function describeOnEachEngine(title: string, body: (engine: Engine) => void): void {
  for (const engine of engines) {
    describe(`${title} (${engine})`, () => {
      body(engine);
    });
  }
}

/** An empty database on the given engine. */
export async function freshDatabase(engine: Engine): Promise<DatabaseConfig> {
  return engine === 'sqlite' ? { engine } : freshSchema(await sharedCluster());
}
