import assert from 'node:assert/strict';
import { after, afterEach, before, it } from 'node:test';
import { type ClientAnswer } from '@cardwright/runtime';
import { describeOnEachEngine } from './support/engines.ts';
import { eventually } from './support/eventually.ts';
import {
  createWorld,
  encryptCard,
  makeCard,
  newCardId,
  orderBody,
  productionPath,
  statusPath,
  type World,
} from './support/server-fixture.ts';
import { jsonOf, produced, startThread, type Thread } from './support/thread.ts';

type Body = Record<string, unknown>;

describeOnEachEngine('ordering again', (engine) => {
  let world: World;
  let thread: Thread;
  before(async () => {
    world = await createWorld({ engine });
    thread = await startThread(world);
  });
  afterEach(() => {
    world.vault.isUp = true;
    world.vault.refusal = undefined;
  });
  after(async () => {
    await thread.stop();
    await world.close();
  });
  const send = (cardId: string, body: Body): Promise<ClientAnswer> =>
    thread.post(thread.issuer, productionPath(cardId), body);
  const operationId = (answer: ClientAnswer): string => {
    assert.equal(answer.status, 202, answer.body);
    return String(jsonOf(answer)['operationId']);
  };
  const assertConflict = (answer: ClientAnswer, field: string): void => {
    assert.equal(answer.status, 409, answer.body);
    assert.deepEqual(jsonOf(answer), { errorCode: 'CONFLICT', error: field });
  };
  const countOperations = async (cardId: string): Promise<number> =>
    (jsonOf(await thread.get(thread.issuer, statusPath(cardId)))['operations'] as unknown[]).length;
  /** Plays the station until the order has its outcome. */
  const finish = async (id: string, outcome: Body): Promise<void> => {
    const job = await thread.claimJob();
    assert.equal(job.operationId, id);
    await thread.arm(job);
    await thread.stages(job, 'feed', 'chip');
    if (outcome === produced) await thread.prove(job);
    await thread.stages(job, 'print', 'verify');
    assert.equal((await thread.report(job, outcome)).status, 200);
  };

  it('the same request gives the same operation, and nothing new is made', async () => {
    const cardId = newCardId();
    const body = await orderBody(world, { issuerRequestId: 'req-1' });
    const first = operationId(await send(cardId, body));
    assert.equal(operationId(await send(cardId, body)), first);
    const { services, paymentApplication, ...rest } = body;
    const reordered = {
      paymentApplication: { ...(paymentApplication as Body), odaKeyIndex: 1 },
      services,
      ...rest,
    };
    assert.equal(operationId(await send(cardId, reordered)), first);
    assert.equal(await countOperations(cardId), 1);
    await thread.untilState(first, 'ready');
    await finish(first, produced);
    assert.equal(operationId(await send(cardId, body)), first);
    assert.equal(await countOperations(cardId), 1);
  });

  it('32 racing repeats make one operation', async () => {
    const cardId = newCardId();
    const body = await orderBody(world, { issuerRequestId: 'req-race' });
    const ids = (await Promise.all(Array.from({ length: 32 }, () => send(cardId, body)))).map(operationId);
    assert.equal(new Set(ids).size, 1);
    assert.equal(await countOperations(cardId), 1);
    await thread.untilState(ids[0] ?? '', 'ready');
    await finish(ids[0] ?? '', produced);
  });

  it('other ciphertext of the same card data is the same request, before and after preparation', async () => {
    const cardId = newCardId();
    const card = makeCard();
    const body = await orderBody(world, {
      issuerRequestId: 'req-2',
      encryptedData: await encryptCard(world, card),
    });
    const first = operationId(await send(cardId, body));
    const early = { ...body, encryptedData: await encryptCard(world, card) };
    assert.equal(operationId(await send(cardId, early)), first);
    await thread.untilState(first, 'ready');
    const late = { ...body, encryptedData: await encryptCard(world, card) };
    assert.equal(operationId(await send(cardId, late)), first);
    await finish(first, produced);
  });

  it('other card data or other content under one request id is a conflict', async () => {
    const cardId = newCardId();
    const body = await orderBody(world, { issuerRequestId: 'req-3' });
    const first = operationId(await send(cardId, body));
    const otherData = { ...body, encryptedData: await encryptCard(world, makeCard()) };
    assertConflict(await send(cardId, otherData), 'issuerRequestId');
    await thread.untilState(first, 'ready');
    assertConflict(await send(cardId, otherData), 'issuerRequestId');
    assertConflict(await send(cardId, { ...body, consumerId: 'cons-2' }), 'issuerRequestId');
    assertConflict(
      await send(cardId, { ...body, cardDesign: { customLines: ['OTHER'] } }),
      'issuerRequestId',
    );
    await finish(first, produced);
  });

  it('answers 503 with Retry-After while card data cannot be compared, and never a wrong 409', async () => {
    const cardId = newCardId();
    const card = makeCard();
    const body = await orderBody(world, {
      issuerRequestId: 'req-4',
      encryptedData: await encryptCard(world, card),
    });
    const first = operationId(await send(cardId, body));
    await thread.untilState(first, 'ready');
    world.vault.isUp = false;
    const repeat = { ...body, encryptedData: await encryptCard(world, card) };
    const answer = await send(cardId, repeat);
    assert.equal(answer.status, 503);
    assert.equal(jsonOf(answer)['errorCode'], 'SERVICE_UNAVAILABLE');
    assert.match(String(answer.headers['retry-after']), /^\d+$/);
    assert.equal(operationId(await send(cardId, body)), first);
    world.vault.isUp = true;
    assert.equal(operationId(await send(cardId, repeat)), first);
    await finish(first, produced);
  });

  it('a repeat whose card data cannot be opened names encryptedData', async () => {
    const cardId = newCardId();
    const body = await orderBody(world, { issuerRequestId: 'req-5' });
    const first = operationId(await send(cardId, body));
    const jwe = String(body['encryptedData']);
    const parts = jwe.split('.');
    const ciphertext = parts[3] ?? '';
    parts[3] = (ciphertext.startsWith('A') ? 'B' : 'A') + ciphertext.slice(1);
    const answer = await send(cardId, { ...body, encryptedData: parts.join('.') });
    assert.deepEqual([answer.status, jsonOf(answer)['error']], [400, 'encryptedData']);
    await thread.untilState(first, 'ready');
    await finish(first, produced);
  });

  it('one request id may be used for two cards', async () => {
    for (const cardId of [newCardId(), newCardId()]) {
      const id = operationId(await send(cardId, await orderBody(world, { issuerRequestId: 'req-6' })));
      await thread.untilState(id, 'ready');
      await finish(id, produced);
    }
  });

  it('a card has one live order, whatever the new one says', async () => {
    const cardId = newCardId();
    const id = operationId(await send(cardId, await orderBody(world)));
    for (const issuance of ['CREATION', 'RENEWAL', 'REPLACEMENT']) {
      for (const issuerRequestId of [undefined, `req-${issuance}`]) {
        const body = await orderBody(world, { services: { issuance }, issuerRequestId });
        assertConflict(await send(cardId, body), 'cardId');
      }
    }
    await thread.untilState(id, 'ready');
    await finish(id, produced);
  });

  it('a produced card may be renewed or replaced but not created again', async () => {
    const cardId = newCardId();
    const first = operationId(await send(cardId, await orderBody(world)));
    await thread.untilState(first, 'ready');
    await finish(first, produced);
    assertConflict(await send(cardId, await orderBody(world, { issuerRequestId: 'again' })), 'cardId');
    for (const issuance of ['RENEWAL', 'REPLACEMENT']) {
      const id = operationId(await send(cardId, await orderBody(world, { services: { issuance } })));
      assert.notEqual(id, first);
      await thread.untilState(id, 'ready');
      await finish(id, produced);
    }
    assert.equal(await countOperations(cardId), 3);
  });

  it('after a failure a new order is a new operation, listed first', async () => {
    const cardId = newCardId();
    const bad = { encryptedData: await encryptCard(world, { ...makeCard(), exp: '0000' }) };
    const first = operationId(await send(cardId, await orderBody(world, bad)));
    const failed = await thread.untilState(first, 'data_failed');
    assert.equal(failed.errorCode, 'DATA_FIELD_INVALID');
    const second = operationId(await send(cardId, await orderBody(world)));
    await thread.untilState(second, 'ready');
    const status = await thread.get(thread.issuer, statusPath(cardId));
    const operations = jsonOf(status)['operations'] as { operationId: string; error?: string }[];
    assert.deepEqual(
      operations.map((one) => one.operationId),
      [second, first],
    );
    assert.match(operations[1]?.error ?? '', /encryptedData\.exp$/);
    await finish(second, produced);
  });

  it('an order that the vault refuses for good ends as a data exception, with its preparation', async () => {
    const cardId = newCardId();
    world.vault.refusal = { status: 400, code: 'BAD_MESSAGE' };
    const id = operationId(await send(cardId, await orderBody(world, { issuerRequestId: 'req-refused' })));
    const view = await thread.untilState(id, 'data_failed');
    assert.equal(view.errorCode, 'DATA_PREPARATION_FAILED');
    world.vault.refusal = undefined;
  });

  it('an order waits while the vault is away and goes on when it is back', async () => {
    world.vault.isUp = false;
    const id = operationId(await send(newCardId(), await orderBody(world)));
    await eventually('a failed preparation', async () => {
      const view = await thread.view(id);
      return view.state === 'requested';
    });
    world.vault.isUp = true;
    await thread.untilState(id, 'ready');
    await finish(id, produced);
  });

  it('keeps the JWE until the data is prepared and the plan until the order ends, and neither after', async () => {
    const id = operationId(await send(newCardId(), await orderBody(world)));
    const kept = () =>
      thread.server.app.store.transaction(async (tx) => {
        const row = await tx.db
          .selectFrom('orders')
          .selectAll()
          .where('operation_id', '=', id)
          .executeTakeFirstOrThrow();
        return [row.encrypted_data !== null, row.sealed_plan !== null];
      });
    await thread.untilState(id, 'ready');
    assert.deepEqual(await kept(), [false, true]);
    await finish(id, produced);
    assert.deepEqual(await kept(), [false, false]);
  });
});
