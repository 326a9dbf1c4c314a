/**
 * The whole flow on PostgreSQL with two server nodes: the issuer speaks to one, the station to the other. Nodes and
 * database are killed with orders in flight; each order still ends, and its card exists once or not at all.
 */
import assert from 'node:assert/strict';
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { readFileSync, writeFileSync } from 'node:fs';
import { after, before, test } from 'node:test';
import { createInterface } from 'node:readline';
import { fileURLToPath } from 'node:url';
import { join } from 'node:path';
import { type PostgresCluster, startPostgresCluster } from '@cardwright/testkit';
import { type SandboxLayout } from '../../apps/cli/src/sandbox/layout.ts';
import { freePorts } from '../../apps/cli/src/sandbox/free-ports.ts';
import { type IssuedCard } from '../../apps/cli/src/sandbox/sandbox.ts';
import { awaitFinished, type Fixture, physicalCards, startFixture } from './sandbox-fixture.ts';

type Json = Record<string, unknown>;

const serverMain = fileURLToPath(new URL('../../apps/server/src/main.ts', import.meta.url));
const readJson = (file: string): Json => JSON.parse(readFileSync(file, 'utf8')) as Json;

/** The second node of a sandbox: same identity, same database, other ports. */
async function startSecondNode(layout: SandboxLayout): Promise<ChildProcess> {
  const config = readJson(layout.configFile('server'));
  const { issuerApi, station, operator } = await freePorts();
  const move = (name: string, port: number): Json => ({ ...(config[name] as Json), port });
  const file = join(layout.component('server'), 'second.json');
  const second = {
    ...config,
    issuerListener: move('issuerListener', issuerApi),
    stationListener: move('stationListener', station),
    operatorListener: move('operatorListener', operator),
  };
  writeFileSync(file, JSON.stringify(second));
  const agentFile = layout.configFile('agent');
  const agent = readJson(agentFile);
  const { origin, ...server } = agent['server'] as Json;
  const origins = [`https://localhost:${String(station)}`, origin];
  writeFileSync(
    agentFile,
    JSON.stringify({ ...agent, server: { ...server, origins }, pollIntervalMs: 2_000 }),
  );
  const child = spawn(process.execPath, [serverMain, '--config', file], {
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  await new Promise<void>((resolve, reject) => {
    child.once('exit', () => {
      reject(new Error('the second node did not start'));
    });
    createInterface({ input: child.stdout }).on('line', (line) => {
      if (line.includes('"server.listening"')) resolve();
    });
  });
  return child;
}

async function kill(child: ChildProcess | undefined): Promise<void> {
  if (child === undefined || child.exitCode !== null || child.signalCode !== null) return;
  const exited = once(child, 'exit');
  child.kill('SIGKILL');
  await exited;
}

let cluster: PostgresCluster;
before(async () => {
  cluster = await startPostgresCluster();
});
after(async () => {
  await cluster.close();
});

/** Waits for every order's end, and compares what the issuers were told with what physically happened. */
async function assertAllEndOnce(fixture: Fixture, cards: readonly IssuedCard[]): Promise<string[]> {
  const finished = await Promise.all(cards.map((card) => awaitFinished(fixture.sandbox, card, 150_000)));
  const told = finished.map((one) => one.issuer.status);
  const taken = physicalCards(fixture).filter((card) => card.position === 'taken').length;
  assert.equal(taken, told.filter((status) => status === 'SUCCESSFUL').length, told.join(' '));
  for (const { order } of finished) {
    assert.ok(order.jobs.filter((job) => job.state === 'produced').length <= 1, 'one good card at most (I1)');
  }
  return told;
}

async function order(fixture: Fixture, count: number): Promise<IssuedCard[]> {
  return Promise.all(Array.from({ length: count }, () => fixture.sandbox.issueCard({ name: 'TARO YAMADA' })));
}

async function twoNodes(): Promise<{ readonly fixture: Fixture; readonly second: ChildProcess }> {
  const started: { second?: ChildProcess } = {};
  const fixture = await startFixture({
    databaseUrl: cluster.url,
    prepare: async (layout) => {
      started.second = await startSecondNode(layout);
    },
  }).catch(async (error: unknown) => {
    await kill(started.second);
    throw error;
  });
  assert.ok(started.second);
  return { fixture, second: started.second };
}

test('a node killed with orders in flight: the station moves to the other node and every order is made once', async () => {
  const { fixture, second } = await twoNodes();
  await using _ = fixture;
  try {
    const { sandbox } = fixture;
    const cards = await order(fixture, 3);
    const [firstCard] = cards;
    assert.ok(firstCard);
    await sandbox.until('a job is under way', async () => {
      const view = await sandbox.orderView(firstCard.operationId);
      return view.jobs.some((job) => job.state !== 'queued') ? true : undefined;
    });
    await kill(second);
    cards.push(...(await order(fixture, 1)));
    const told = await assertAllEndOnce(fixture, cards);
    assert.deepEqual(told, ['SUCCESSFUL', 'SUCCESSFUL', 'SUCCESSFUL', 'SUCCESSFUL']);
    const agentLog = readFileSync(join(sandbox.layout.component('agent'), 'agent.log'), 'utf8');
    assert.match(agentLog, /"agent\.server-changed"/);
  } finally {
    await kill(second);
  }
});

test('PostgreSQL killed with orders in flight: both nodes live on and every acknowledged order ends', async () => {
  const { fixture, second } = await twoNodes();
  await using _ = fixture;
  try {
    const { sandbox } = fixture;
    const pid = sandbox.supervisor.pidOf('server');
    const cards = await order(fixture, 3);
    await cluster.kill();
    // Ordered while the database is away: the issuer keeps it and asks again.
    const late = order(fixture, 1);
    await cluster.start();
    cards.push(...(await late));
    const told = await assertAllEndOnce(fixture, cards);
    assert.equal(told.includes('PENDING'), false);
    assert.equal(sandbox.supervisor.pidOf('server'), pid, 'the node survived');
    assert.equal(second.exitCode, null, 'the other node survived');
    const passwordShown = [...(['server', 'agent', 'issuer'] as const)].some((name) =>
      readFileSync(join(sandbox.layout.component(name), `${name}.log`), 'utf8').includes(cluster.password),
    );
    assert.equal(passwordShown, false, 'no log holds the password');
    assert.equal(readFileSync(sandbox.layout.configFile('server'), 'utf8').includes(cluster.password), false);
  } finally {
    await kill(second);
  }
});
