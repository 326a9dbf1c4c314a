import assert from 'node:assert/strict';
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { writeFileSync } from 'node:fs';
import { createServer, type AddressInfo } from 'node:net';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { after, afterEach, before, describe, it } from 'node:test';
import { fileURLToPath } from 'node:url';
import { type CardOperation, operatorPaths, type OrderView, stationPaths } from '@cardwright/protocol';
import { type MtlsClient } from '@cardwright/runtime';
import { eventually } from './support/eventually.ts';
import {
  createWorld,
  getToken,
  newCardId,
  orderBody,
  type Party,
  productionPath,
  statusPath,
  type World,
} from './support/server-fixture.ts';
import { type ClaimedJob, jsonOf, produced, proofOf } from './support/thread.ts';

const main = fileURLToPath(new URL('../src/main.ts', import.meta.url));

async function freePort(): Promise<number> {
  const server = createServer();
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const { port } = server.address() as AddressInfo;
  await new Promise((resolve) => server.close(resolve));
  return port;
}

type ListenerName = 'issuer' | 'station' | 'operator';

interface ServerProcess {
  readonly child: ChildProcess;
  readonly logged: Record<string, unknown>[];
  readonly exited: Promise<{ code: number | null; signal: string | null }>;
  readonly listening: Promise<unknown>;
}

describe('the server process', () => {
  let world: World;
  let configFile: string;
  const ports = {} as Record<ListenerName, number>;
  const running = new Set<ServerProcess>();
  const clients: MtlsClient[] = [];
  before(async () => {
    world = await createWorld();
    for (const name of ['issuer', 'station', 'operator'] as const) ports[name] = await freePort();
    const { config } = world;
    configFile = join(world.folder, 'server.json');
    const text = JSON.stringify({
      ...config,
      dataFolder: 'process-data',
      issuerListener: { ...config.issuerListener, port: ports.issuer },
      stationListener: { ...config.stationListener, port: ports.station },
      operatorListener: { ...config.operatorListener, port: ports.operator },
    });
    writeFileSync(configFile, text);
  });
  afterEach(async () => {
    for (const one of running) {
      one.child.kill('SIGKILL');
      await one.exited;
    }
    running.clear();
    await Promise.all(clients.splice(0).map((client) => client.close()));
  });
  after(async () => {
    await world.close();
  });

  const launch = (crashAt?: string, file = configFile): ServerProcess => {
    const child = spawn(process.execPath, [main, '--config', file], {
      stdio: ['ignore', 'pipe', 'pipe'],
      env: { ...process.env, ...(crashAt === undefined ? {} : { CARDWRIGHT_CRASH_AT: crashAt }) },
    });
    const logged: Record<string, unknown>[] = [];
    const lines = createInterface({ input: child.stdout });
    lines.on('line', (line) => logged.push(JSON.parse(line) as Record<string, unknown>));
    const one: ServerProcess = {
      child,
      logged,
      exited: once(child, 'exit').then(([code, signal]) => ({
        code: code as number | null,
        signal: signal as string | null,
      })),
      listening: eventually(
        'server.listening',
        () => logged.find((line) => line['event'] === 'server.listening'),
        20_000,
      ),
    };
    running.add(one);
    return one;
  };
  const start = async (crashAt?: string): Promise<ServerProcess> => {
    const one = launch(crashAt);
    await one.listening;
    return one;
  };
  const client = (listener: ListenerName, party: Party): MtlsClient => {
    const made = world.client(`https://localhost:${String(ports[listener])}`, party);
    clients.push(made);
    return made;
  };
  const send = async (path: string, json: unknown): Promise<number | 'no answer'> => {
    const issuer = client('issuer', world.parties.issuerClient);
    const headers = { authorization: `Bearer ${await getToken(world, issuer)}` };
    try {
      return (await issuer.request({ method: 'POST', path, json, headers })).status;
    } catch {
      return 'no answer';
    }
  };
  const status = async (cardId: string): Promise<CardOperation[]> => {
    const issuer = client('issuer', world.parties.issuerClient);
    const headers = { authorization: `Bearer ${await getToken(world, issuer)}` };
    const answer = await issuer.request({ method: 'GET', path: statusPath(cardId), headers });
    return answer.status === 404 ? [] : (jsonOf(answer)['operations'] as CardOperation[]);
  };
  const view = async (operationId: string): Promise<OrderView> => {
    const operator = client('operator', world.parties.operator);
    return jsonOf(
      await operator.request({ method: 'GET', path: operatorPaths.order(operationId) }),
    ) as unknown as OrderView;
  };
  const tell = async (path: string, json: unknown): Promise<unknown> => {
    const station = client('station', world.parties.station);
    try {
      const answer = await station.request({ method: 'POST', path, json });
      return answer.status === 200 ? jsonOf(answer) : answer.status;
    } catch {
      return 'no answer';
    }
  };
  const claim = (): Promise<ClaimedJob> =>
    eventually('a job', async () => {
      const answer = await tell(stationPaths.claim, { bootId: 'boot-1', agentVersion: '0.1.0' });
      return (answer as { job?: ClaimedJob | null }).job ?? undefined;
    });
  const report = (job: ClaimedJob, messageId: string, content: unknown): Promise<unknown> =>
    tell(stationPaths.reports(job.jobId), { messageId, epoch: job.epoch, at: Date.now(), report: content });
  /** Ends the job that a test leaves behind, so that the next test finds an empty station. */
  const finish = async (job: ClaimedJob): Promise<void> => {
    await tell(stationPaths.arm(job.jobId), { epoch: job.epoch });
    for (const stage of ['feed', 'chip', 'print', 'verify']) {
      await report(job, `${job.jobId.slice(0, 20)}-${stage}`, { kind: 'stage', stage, status: 'started' });
      if (stage !== 'chip') continue;
      for (const [path, body] of proofOf(job.jobId)) await tell(path, { epoch: job.epoch, ...body });
    }
    await report(job, `${job.jobId.slice(0, 20)}-end`, produced);
  };

  it('says when it listens, and ends in order on SIGTERM with code 0', async () => {
    const one = await start();
    one.child.kill('SIGTERM');
    assert.deepEqual(await one.exited, { code: 0, signal: null });
  });

  it('refuses a configuration with all its faults and none of its values', async () => {
    const file = world.file(
      'bad.json',
      JSON.stringify({ environment: 'party', surprise: 'a-secret-value', issuers: 3 }),
    );
    const one = launch(undefined, file);
    one.listening.catch(() => undefined);
    let text = '';
    one.child.stderr?.on('data', (chunk: Buffer) => (text += chunk.toString()));
    assert.equal((await one.exited).code, 78);
    for (const name of ['environment', 'surprise', 'issuers', 'dataFolder', 'stations'])
      assert.match(text, new RegExp(name));
    assert.doesNotMatch(text, /a-secret-value/);
  });

  // First of the kills: notifications that another test left would meet the crash point before the order does.
  it('killed between sending a notification and noting it sends it again, in order, to the end', async () => {
    world.issuer.deliveries.length = 0;
    const doomed = await start('server.notification.after-send');
    const cardId = newCardId();
    await send(productionPath(cardId), await orderBody(world));
    await doomed.exited;
    await start();
    await finish(await claim());
    const sent = await eventually('the final notification', () => {
      const statuses = world.issuer.deliveries
        .flatMap(({ operations }) => operations)
        .filter((operation) => operation.cardId === cardId)
        .map((operation) => operation.details.status);
      return statuses.at(-1) === 'CARD_PROD_DONE' ? statuses : undefined;
    });
    assert.deepEqual(sent, [
      'CARD_PROD_REQUESTED',
      'CARD_PROD_REQUESTED',
      'CARD_PROD_READY',
      'CARD_PROD_DONE',
    ]);
  });

  it('killed before the commit of an order has nothing of it; the repeat is the first', async () => {
    const doomed = await start('server.order.before-commit');
    const cardId = newCardId();
    const body = await orderBody(world, { issuerRequestId: 'req-1' });
    assert.equal(await send(productionPath(cardId), body), 'no answer');
    assert.equal((await doomed.exited).signal, 'SIGKILL');
    await start();
    assert.deepEqual(await status(cardId), []);
    assert.equal(await send(productionPath(cardId), body), 202);
    const job = await claim();
    await finish(job);
    assert.equal((await view(job.operationId)).state, 'done');
  });

  it('killed after the commit of an order has it, prepares it, and the repeat finds it', async () => {
    const doomed = await start('server.order.after-commit');
    const cardId = newCardId();
    const body = await orderBody(world, { issuerRequestId: 'req-2' });
    assert.equal(await send(productionPath(cardId), body), 'no answer');
    await doomed.exited;
    await start();
    assert.equal(await send(productionPath(cardId), body), 202);
    const operations = await status(cardId);
    assert.equal(operations.length, 1);
    const job = await claim();
    assert.equal(job.operationId, operations[0]?.operationId);
    await finish(job);
  });

  it('killed after the commit of arm keeps the job armed; the station arms again and goes on', async () => {
    const doomed = await start('server.arm.after-commit');
    assert.equal(await send(productionPath(newCardId()), await orderBody(world)), 202);
    const job = await claim();
    assert.equal(await tell(stationPaths.arm(job.jobId), { epoch: job.epoch }), 'no answer');
    await doomed.exited;
    await start();
    const again = await claim();
    assert.deepEqual([again.jobId, again.epoch, again.armed], [job.jobId, job.epoch, true]);
    assert.deepEqual(await tell(stationPaths.arm(job.jobId), { epoch: job.epoch }), { armed: true });
    await finish(job);
    assert.equal((await view(job.operationId)).state, 'done');
  });

  it('killed after the commit of a report acknowledges the repeat as a duplicate', async () => {
    const doomed = await start('server.report.after-commit');
    assert.equal(await send(productionPath(newCardId()), await orderBody(world)), 202);
    const job = await claim();
    await tell(stationPaths.arm(job.jobId), { epoch: job.epoch });
    const feed = { kind: 'stage', stage: 'feed', status: 'started' };
    assert.equal(await report(job, 'message-1', feed), 'no answer');
    await doomed.exited;
    await start();
    assert.deepEqual(await report(job, 'message-1', feed), { acknowledged: true, duplicate: true });
    await finish(job);
    const { state, timeline } = await view(job.operationId);
    assert.equal(state, 'done');
    assert.equal(timeline.filter((entry) => entry.event === 'order.done').length, 1);
  });
});
