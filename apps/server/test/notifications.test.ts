import assert from 'node:assert/strict';
import { after, afterEach, before, beforeEach, describe, it } from 'node:test';
import { notificationDelaysS } from '@cardwright/domain';
import { type CardOperation } from '@cardwright/protocol';
import { decideDelivery } from '../src/notifications/delivery.ts';
import { retryAfterMs, tokenLifeMs } from '../src/notifications/issuer-client.ts';
import { describeOnEachEngine } from './support/engines.ts';
import { eventually } from './support/eventually.ts';
import { type Delivery, type FakeAnswer } from './support/fake-issuer.ts';
import { createWorld, issuerId, type World } from './support/server-fixture.ts';
import { produced, startThread, type Thread } from './support/thread.ts';
import { createVirtualClock, type VirtualClock } from './support/virtual-clock.ts';

const statusesOf = (deliveries: readonly Delivery[]): string[] =>
  deliveries.map(({ operations }) => operations[0]?.details.status ?? '');

describeOnEachEngine('notifications', (engine) => {
  let world: World;
  let clock: VirtualClock;
  let thread: Thread;
  before(async () => {
    world = await createWorld({ engine, oauth: true });
  });
  beforeEach(async () => {
    clock = createVirtualClock(Date.now());
    world.issuer.deliveries.length = 0;
    world.issuer.tokenCalls.length = 0;
    world.issuer.answer = () => ({ status: 204 });
    world.issuer.tokenAnswer = { expires_in: '900' };
    thread = await startThread(world, { clock });
  });
  afterEach(async () => {
    world.issuer.answer = () => ({ status: 204 });
    await thread.drain();
    await thread.stop();
  });
  after(async () => {
    await world.close();
  });
  /** The calls about one operation. */
  const about = (operationId: string): Delivery[] =>
    world.issuer.deliveries.filter(({ operations }) => operations[0]?.operationId === operationId);
  const answerFor = (operationId: () => string, answers: (call: number) => FakeAnswer): void => {
    world.issuer.answer = (operations) =>
      operations[0]?.operationId === operationId() ? answers(about(operationId()).length) : { status: 204 };
  };
  const delivered = (operationId: string, count: number): Promise<Delivery[]> =>
    eventually(`${String(count)} deliveries`, () => {
      const found = about(operationId);
      return found.length >= count ? found : undefined;
    });
  /** Waits until the failed attempt number `attempt` is on record, which sets the time of the next one. */
  const failedAttempt = (operationId: string, attempt: number) =>
    eventually(`failed attempt ${String(attempt)}`, async () => {
      const { timeline } = await thread.view(operationId);
      return timeline.find(
        (entry) => entry.event === 'notification.attempt-failed' && entry.data['attempt'] === attempt,
      );
    });
  const produce = async (operationId: string): Promise<void> => {
    await thread.untilState(operationId, 'ready');
    const job = await thread.claimJob();
    assert.equal(job.operationId, operationId);
    await thread.arm(job);
    await thread.stages(job, 'feed', 'chip');
    await thread.prove(job);
    await thread.stages(job, 'print', 'verify');
    assert.equal((await thread.report(job, produced)).status, 200);
  };

  it('go to the documented path with a bearer token got by client credentials', async () => {
    const { operationId } = await thread.order({ issuerRequestId: `req-${String(clock.now())}` });
    await produce(operationId);
    const calls = await delivered(operationId, 3);
    assert.deepEqual(
      new Set(calls.map((call) => call.path)),
      new Set([`/notifications/d1/v2/issuers/${issuerId}/cards`]),
    );
    assert.deepEqual(new Set(calls.map((call) => call.authorization)), new Set(['Bearer token-1']));
    assert.equal(world.issuer.tokenCalls.length, 1);
    const [token] = world.issuer.tokenCalls;
    assert.equal(token?.authorization, `Basic ${Buffer.from('cardwright:a test secret').toString('base64')}`);
    assert.deepEqual(token.form, { grant_type: 'client_credentials' });
    assert.match(token.contentType ?? '', /^application\/x-www-form-urlencoded/);
  });

  it('renew the token a minute before it ends, whatever way its life is told', async () => {
    for (const [answer, lifeMs] of [
      [{ expires_in: '900' }, 900_000],
      [{ expires_in: 300 }, 300_000],
      [{ expires_at: new Date(clock.now() + 600_000).toISOString() }, 600_000],
      [{}, 900_000],
    ] as const) {
      assert.equal(tokenLifeMs({ access_token: 'x', token_type: 'Bearer', ...answer }, clock.now()), lifeMs);
    }
    world.issuer.tokenAnswer = { expires_in: 120 };
    await delivered((await thread.order()).operationId, 2);
    clock.advance(59_000);
    await delivered((await thread.order()).operationId, 2);
    assert.equal(world.issuer.tokenCalls.length, 1);
    clock.advance(1_001);
    await delivered((await thread.order()).operationId, 2);
    assert.equal(world.issuer.tokenCalls.length, 2);
  });

  it('refresh the token once on 401 and repeat at once; a second 401 waits like any failure', async () => {
    let id = '';
    answerFor(
      () => id,
      (call) => ({ status: call === 0 ? 401 : 204 }),
    );
    const first = await thread.order();
    id = first.operationId;
    await eventually('the repeat', () => world.issuer.deliveries.length >= 2);
    const seen = world.issuer.deliveries.slice(0, 2);
    if (seen[0]?.status === 401) {
      assert.deepEqual(
        seen.map((call) => call.authorization),
        ['Bearer token-1', 'Bearer token-2'],
      );
    }
    answerFor(
      () => id,
      () => ({ status: 401 }),
    );
    world.issuer.answer = () => ({ status: 401 });
    const second = await thread.order();
    const failure = await failedAttempt(second.operationId, 1);
    assert.deepEqual([failure.data['httpStatus'], failure.data['retryAt']], [401, clock.now() + 5_000]);
    assert.equal(about(second.operationId).length, 2);
  });

  it('of one card keep their order: a later one waits until the earlier one is accepted', async () => {
    let fail = true;
    world.issuer.answer = () => ({ status: fail ? 500 : 204 });
    const { operationId } = await thread.order();
    await failedAttempt(operationId, 1);
    await produce(operationId);
    fail = false;
    clock.advance(5_000);
    const calls = await delivered(operationId, 4);
    assert.deepEqual(statusesOf(calls), [
      'CARD_PROD_REQUESTED',
      'CARD_PROD_REQUESTED',
      'CARD_PROD_READY',
      'CARD_PROD_DONE',
    ]);
  });

  it('of different cards do not wait for each other', async () => {
    let blocked: string | undefined;
    world.issuer.answer = (operations) => {
      blocked ??= operations[0]?.operationId;
      return { status: operations[0]?.operationId === blocked ? 503 : 204 };
    };
    const first = await thread.order();
    await failedAttempt(first.operationId, 1);
    const second = await thread.order();
    assert.deepEqual(statusesOf(await delivered(second.operationId, 2)), [
      'CARD_PROD_REQUESTED',
      'CARD_PROD_READY',
    ]);
    assert.equal(about(first.operationId).length, 1);
  });

  it('are retried on the schedule of ten attempts and then parked, and the next one goes', async () => {
    world.issuer.answer = (operations) => ({
      status: operations[0]?.details.status === 'CARD_PROD_REQUESTED' ? 502 : 204,
    });
    const { operationId } = await thread.order();
    for (let attempt = 1; attempt < notificationDelaysS.length; attempt++) {
      const failure = await failedAttempt(operationId, attempt);
      const delayMs = (notificationDelaysS[attempt] ?? 0) * 1_000;
      assert.equal(failure.data['retryAt'], clock.now() + delayMs);
      clock.advance(delayMs - 1);
      assert.equal(about(operationId).length, attempt);
      clock.advance(1);
    }
    await eventually('the last attempt is parked and the next notification goes', async () => {
      const events = (await thread.view(operationId)).timeline.map((entry) => entry.event);
      return events.includes('notification.parked') && events.includes('notification.delivered');
    });
    assert.equal(about(operationId).filter((call) => call.status === 502).length, notificationDelaysS.length);
  });

  it('that the issuer answers with 400 are final, and the next one goes', async () => {
    world.issuer.answer = (operations) => ({
      status: operations[0]?.details.status === 'CARD_PROD_REQUESTED' ? 400 : 200,
    });
    const { operationId } = await thread.order();
    const calls = await delivered(operationId, 2);
    assert.deepEqual(
      calls.map((call) => call.status),
      [400, 200],
    );
    const { timeline } = await thread.view(operationId);
    assert.ok(timeline.some((entry) => entry.event === 'notification.refused'));
  });

  it('wait as long as Retry-After says on 429 and 503', async () => {
    for (const [status, header, waitMs] of [
      [429, '120', 120_000],
      [503, '7', 7_000],
      [500, '120', 5_000],
    ] as const) {
      world.issuer.answer = () => ({ status, headers: { 'retry-after': header } });
      const { operationId } = await thread.order();
      const failure = await failedAttempt(operationId, 1);
      assert.equal(failure.data['retryAt'], clock.now() + waitMs);
    }
    const now = Date.parse('2026-11-23T10:00:00Z');
    assert.equal(retryAfterMs('Mon, 23 Nov 2026 10:01:00 GMT', now), 60_000);
    assert.equal(retryAfterMs('999999999', now), 86_400_000);
    for (const senseless of ['-5', 'soon', 'Mon, 23 Nov 2020 10:00:00 GMT', undefined]) {
      assert.equal(retryAfterMs(senseless, now), undefined);
    }
  });

  it('do not follow redirects', async () => {
    world.issuer.answer = (_operations, call) =>
      call === 0
        ? { status: 307, headers: { location: `${world.issuer.origin}/elsewhere` } }
        : { status: 204 };
    const { operationId } = await thread.order();
    await eventually('a first call', () => world.issuer.deliveries.length >= 1);
    const failed = world.issuer.deliveries[0]?.operations[0]?.operationId ?? operationId;
    assert.equal((await failedAttempt(failed, 1)).data['httpStatus'], 307);
    assert.ok(world.issuer.deliveries.every((call) => call.path.startsWith('/notifications/')));
  });

  it('that wait survive a restart of the server', async () => {
    world.issuer.answer = () => ({ status: 500 });
    const { operationId } = await thread.order();
    await failedAttempt(operationId, 1);
    await thread.stop();
    world.issuer.answer = () => ({ status: 204 });
    thread = await startThread(world, { clock });
    clock.advance(5_000);
    const calls = await delivered(operationId, 2);
    const operation = calls[1]?.operations[0] as CardOperation;
    assert.deepEqual([operation.operationId, operation.details.status], [operationId, 'CARD_PROD_REQUESTED']);
  });
});

describe('what follows a delivery answer', () => {
  const status = (httpStatus: number) => decideDelivery({ answer: 'status', httpStatus }, 0, 0.5).decision;

  it('is success on any 2xx, final refusal on 400, a retry on everything else', () => {
    for (const code of [200, 201, 202, 204, 299]) assert.equal(status(code), 'delivered');
    assert.equal(status(400), 'refused');
    for (const code of [301, 302, 307, 401, 403, 404, 408, 410, 422, 429, 500, 502, 503, 504]) {
      assert.equal(status(code), 'retry');
    }
    assert.equal(decideDelivery({ answer: 'none', reason: 'ECONNREFUSED' }, 0, 0.5).decision, 'retry');
  });

  it('is parked after the tenth attempt', () => {
    assert.equal(decideDelivery({ answer: 'none', reason: 'x' }, 8, 0.5).decision, 'retry');
    assert.equal(decideDelivery({ answer: 'none', reason: 'x' }, 9, 0.5).decision, 'parked');
  });

  it('has a jitter of a fifth to both sides', () => {
    const delay = (random: number) => {
      const decision = decideDelivery({ answer: 'none', reason: 'x' }, 1, random);
      return decision.decision === 'retry' ? decision.delayMs : undefined;
    };
    assert.deepEqual([delay(0), delay(0.5), delay(1)], [240_000, 300_000, 360_000]);
  });
});
