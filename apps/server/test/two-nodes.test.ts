import assert from 'node:assert/strict';
import { randomUUID } from 'node:crypto';
import { after, afterEach, before, beforeEach, describe, it } from 'node:test';
import { stationPaths } from '@cardwright/protocol';
import { type ClientAnswer } from '@cardwright/runtime';
import { sharedCluster } from './support/engines.ts';
import { eventually } from './support/eventually.ts';
import {
  createWorld,
  encryptCard,
  getToken,
  grantType,
  makeCard,
  newCardId,
  orderBody,
  productionPath,
  type RunningServer,
  signAssertion,
  startServer,
  statusPath,
  type World,
} from './support/server-fixture.ts';
import { jsonOf, produced, startThread, type Thread } from './support/thread.ts';

const statuses = (answers: readonly ClientAnswer[]): number[] => answers.map((one) => one.status).sort();

describe('two server nodes on one PostgreSQL', () => {
  let world: World;
  let a: Thread;
  let b: Thread;
  before(async () => {
    world = await createWorld({ engine: 'postgresql' });
  });
  beforeEach(async () => {
    [a, b] = await Promise.all([startThread(world), startThread(world)]);
  });
  afterEach(async () => {
    await a.drain();
    await Promise.all([a.stop(), b.stop()]);
  });
  after(async () => {
    await world.close();
  });
  const onBoth = <T>(act: (thread: Thread, at: number) => Promise<T>, times = 8): Promise<T[]> =>
    Promise.all(Array.from({ length: times }, (_, at) => act(at % 2 === 0 ? a : b, at)));

  it('take one order of a card that is sent to both at once, and answer all with its operation', async () => {
    const cardId = newCardId();
    const json = await orderBody(world, { issuerRequestId: randomUUID() });
    const answers = await onBoth((thread) => thread.post(thread.issuer, productionPath(cardId), json));
    assert.deepEqual(statuses(answers), Array(8).fill(202));
    assert.equal(new Set(answers.map((one) => jsonOf(one)['operationId'])).size, 1);
    const listed = await a.get(a.issuer, statusPath(cardId));
    assert.equal((jsonOf(listed)['operations'] as unknown[]).length, 1);
  });

  it('take one of several different orders of a card, and refuse the others', async () => {
    const cardId = newCardId();
    const answers = await onBoth(async (thread) =>
      thread.post(
        thread.issuer,
        productionPath(cardId),
        await orderBody(world, { encryptedData: await encryptCard(world, makeCard()) }),
      ),
    );
    assert.deepEqual(statuses(answers), [202, ...Array<number>(7).fill(409)]);
  });

  it('accept an assertion once (I12)', async () => {
    const assertion = await signAssertion(world, { jti: randomUUID() });
    const answers = await onBoth((thread) =>
      thread.issuer.request({
        method: 'POST',
        path: '/authz/v1/oauth2/token',
        form: { grant_type: grantType, assertion },
      }),
    );
    assert.deepEqual(statuses(answers), [200, ...Array<number>(7).fill(400)]);
  });

  it('give a station one job under one epoch, whichever it asks', async () => {
    await a.order();
    await b.order();
    await a.claimJob();
    const jobs = await onBoth((thread) => thread.claim());
    assert.equal(new Set(jobs.map((job) => job?.jobId)).size, 1);
    assert.equal(
      new Set(jobs.map((job) => job?.epoch)).size,
      1,
      'a live lease is extended, not begun again (I5)',
    );
  });

  it('release a script to one of the chips that ask at once (I11)', async () => {
    await a.order();
    const job = await b.claimJob();
    assert.equal((await a.arm(job)).status, 200);
    const answers = await onBoth((thread, at) =>
      thread.post(thread.station, stationPaths.chipScript(job.jobId), {
        epoch: job.epoch,
        ticket: 'a-ticket',
        chip: { atr: '3B00', cplc: `0${String(at)}` },
        initializeUpdateResponse: '00112233445566778899AABB',
      }),
    );
    assert.deepEqual(statuses(answers), [200, ...Array<number>(7).fill(409)]);
  });

  it('take a report once, with a history that has every number once', async () => {
    const { operationId } = await a.order();
    const job = await b.claimJob();
    assert.equal((await a.arm(job)).status, 200);
    await a.stages(job, 'feed', 'chip');
    await b.prove(job);
    await b.stages(job, 'print', 'verify');
    const messageId = randomUUID();
    const answers = await onBoth((thread) => thread.report(job, produced, messageId));
    assert.deepEqual(statuses(answers), Array(8).fill(200));
    assert.equal(answers.filter((one) => jsonOf(one)['duplicate'] === false).length, 1);
    const { timeline } = await a.untilState(operationId, 'done');
    assert.deepEqual(
      timeline.map((entry) => entry.sequence),
      timeline.map((_, at) => at + 1),
    );
    assert.equal(timeline.filter((entry) => entry.event === 'job.produced').length, 1);
  });

  it('tell the issuer of one card in order, while both deliver', async () => {
    const orders = await onBoth((thread) => thread.order(), 6);
    for (let at = 0; at < orders.length; at++) {
      const node = at % 2 === 0 ? a : b;
      const job = await node.claimJob();
      await node.arm(job);
      await node.stages(job, 'feed', 'chip');
      await node.prove(job);
      await node.stages(job, 'print', 'verify');
      assert.equal((await node.report(job, produced)).status, 200);
    }
    for (const { cardId } of orders) {
      const told = await eventually('the issuer was told the end', () => {
        const all = world.issuer.deliveries.flatMap((one) => one.operations);
        const ofCard = all.filter((one) => one.cardId === cardId).map((one) => one.details.status);
        return ofCard.includes('CARD_PROD_DONE') ? ofCard : undefined;
      });
      const inOrder = ['CARD_PROD_REQUESTED', 'CARD_PROD_READY', 'CARD_PROD_DONE'];
      assert.deepEqual([...new Set<string>(told)], inOrder);
      assert.deepEqual(
        told,
        [...told].sort((x, y) => inOrder.indexOf(x) - inOrder.indexOf(y)),
      );
    }
  });

  it('ring a station that is connected to the other node', async () => {
    const stop = new AbortController();
    const rings: string[] = [];
    const stream = await b.station.stream(stationPaths.events, { signal: stop.signal });
    const following = (async () => {
      for await (const chunk of stream) {
        const lines = Buffer.from(chunk).toString('utf8').split('\n');
        rings.push(...lines.filter((line) => line === 'event: doorbell'));
      }
    })().catch(() => undefined);
    await eventually('the first look', () => rings.length === 1);
    // The node that the station is not connected to prepares it, or this one: in both cases it rings.
    await a.order();
    await eventually('the ring for the job', () => rings.length >= 2);
    stop.abort();
    await following;
  });

  it('answer 503 with Retry-After while the database is away, and go on by themselves', async () => {
    const cluster = await sharedCluster();
    const before = await a.order();
    await cluster.kill();
    const json = await orderBody(world);
    const cardId = newCardId();
    for (const thread of [a, b]) {
      const answer = await thread.post(thread.issuer, productionPath(cardId), json);
      assert.equal(answer.status, 503, answer.body);
      assert.ok(Number(answer.headers['retry-after']) > 0);
      assert.equal(jsonOf(answer)['errorCode'], 'SERVICE_UNAVAILABLE');
      const refused = await thread.post(thread.station, stationPaths.claim, {
        bootId: 'b',
        agentVersion: '1',
      });
      assert.equal(jsonOf(refused)['code'], 'STORE_UNAVAILABLE');
    }
    await cluster.start();
    const accepted = await eventually('the order is taken', async () => {
      const answer = await a.post(a.issuer, productionPath(cardId), json);
      return answer.status === 202 ? String(jsonOf(answer)['operationId']) : undefined;
    });
    await b.untilState(accepted, 'ready');
    await a.untilState(before.operationId, 'ready');
  });
});

describe('a node that is gone', () => {
  it('leaves its preparation to the other one at once, not after its lease', async () => {
    const world = await createWorld({ engine: 'postgresql' });
    const a: RunningServer = await startServer(world);
    const issuer = a.client('issuer', world.parties.issuerClient);
    world.vault.isUp = false;
    const token = await getToken(world, issuer);
    const answer = await issuer.request({
      method: 'POST',
      path: productionPath(newCardId()),
      json: await orderBody(world),
      headers: { authorization: `Bearer ${token}` },
    });
    assert.equal(answer.status, 202);
    await a.stop();
    world.vault.isUp = true;
    const b = await startThread(world);
    await b.untilState(String(jsonOf(answer)['operationId']), 'ready');
    await b.stop();
    await world.close();
  });
});
