/** Chapters 3.7, 4.1, 5 and 11: what becomes of an order, as notifications and productionStatus tell it. */
import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { describe, it } from 'node:test';
import { assertRefused } from './assert-answer.ts';
import { cardDataFaults } from './card-data-faults.ts';
import { type ContractSystem, offlineStation } from './contract-system.ts';
import { cardData, encrypt, type Json, newCardId } from './d1-client.ts';
import { acceptedId } from './order-contract.ts';

/** Members that an item may have (5.2, 5.3, OD-5.6), from the documentation and from nowhere else. */
const allowed = ['operationId', 'operation', 'status', 'startTime', 'endTime', 'cardId', 'issuerRequestId'];
const onFailure = ['errorCode', 'error'];
const timestamp = /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z$/;

/** Checks one item against the documented shape and returns its two statuses. */
function assertShape(item: Json): readonly [status: unknown, detailsStatus: unknown] {
  const shown = JSON.stringify(item);
  const { status, details } = item as { status: string; details: Json };
  const isFailed = status === 'FAILED';
  const expected = isFailed ? [...allowed, ...onFailure] : allowed;
  for (const name of [...Object.keys(item)]) assert.ok([...expected, 'details'].includes(name), shown);
  for (const name of ['operationId', 'operation', 'status', 'startTime', 'cardId'])
    assert.ok(name in item, shown);
  assert.equal(item['operation'], 'PRODUCE', shown);
  assert.match(String(item['operationId']), /^[A-Za-z0-9_-]{1,64}$/, shown);
  assert.ok(['PENDING', 'SUCCESSFUL', 'FAILED'].includes(status), shown);
  assert.match(String(item['startTime']), timestamp, shown);
  assert.equal('endTime' in item, status !== 'PENDING', shown);
  if ('endTime' in item) {
    assert.match(String(item['endTime']), timestamp, shown);
    assert.ok(String(item['endTime']) >= String(item['startTime']), shown);
  }
  assert.deepEqual(Object.keys(details).sort(), isFailed ? ['reason', 'status'] : ['status'], shown);
  if (isFailed) {
    assert.match(String(item['errorCode']), /^[A-Z][A-Z0-9_]{0,63}$/, shown);
    assert.equal(item['error'], details['reason'], shown);
    assert.ok(String(item['error']).length <= 128, shown);
  }
  return [status, details['status']];
}

const story = (items: readonly Json[]): string[] =>
  items.map((item) => assertShape(item).map(String).join(' '));
const made = ['PENDING CARD_PROD_REQUESTED', 'PENDING CARD_PROD_READY', 'SUCCESSFUL CARD_PROD_DONE'];

function describeDataExceptions(of: () => ContractSystem): void {
  it(`is what ${String(cardDataFaults.length)} kinds of wrong card data end in, naming the member`, async () => {
    const { client, desk, canaries } = of();
    const placed = [];
    for (const fault of cardDataFaults) {
      const canary = `CNRY${randomBytes(5).toString('hex').toUpperCase()}`;
      const good = cardData();
      canaries.add(canary).add(String(good['pan']));
      const encryptedData = encrypt(client.issuer.recipientJwk, fault.plaintext(good, canary));
      const cardId = newCardId();
      const body = client.orderBody({ persoStation: offlineStation, encryptedData });
      placed.push({ fault, cardId, id: acceptedId(await client.order(cardId, body), fault.what) });
    }
    for (const { fault, cardId, id } of placed) {
      const told = await desk.untilFinal(id);
      const place = fault.member === '' ? 'encryptedData' : `encryptedData.${fault.member}`;
      assert.deepEqual(assertShape(told), ['FAILED', 'DATA_EXCEPTION'], fault.what);
      assert.equal(told['errorCode'], 'DATA_FIELD_INVALID', `${fault.what}: ${JSON.stringify(told)}`);
      const words = String(told['error']).split(' ');
      assert.equal(words.at(-1), place, fault.what);
      assert.doesNotMatch(String(told['error']), /CNRY|\d{5}/, fault.what);
      const { operations } = (await client.status(cardId)).body as { operations: Json[] };
      assert.deepEqual(operations, [told], fault.what);
      const items = desk.about(cardId).flatMap((notification) => notification.operations);
      assert.deepEqual(story(items), ['PENDING CARD_PROD_REQUESTED', 'FAILED DATA_EXCEPTION'], fault.what);
    }
  });

  it('names no member when the JWE cannot be opened, and the card may be ordered again', async () => {
    const { client, desk } = of();
    const cardId = newCardId();
    const good = encrypt(client.issuer.recipientJwk, cardData());
    const [head = '', key = '', iv = '', text = ''] = good.split('.');
    const encryptedData = [head, key, iv, text, randomBytes(16).toString('base64url')].join('.');
    const body = client.orderBody({ persoStation: offlineStation, encryptedData });
    const first = acceptedId(await client.order(cardId, body));
    const told = await desk.untilFinal(first);
    assert.deepEqual(assertShape(told), ['FAILED', 'DATA_EXCEPTION']);
    assert.equal(told['errorCode'], 'DATA_JWE_INVALID');
    assert.equal(
      acceptedId(await client.order(cardId, body)),
      first,
      'a replay of a failed order makes nothing',
    );
    const again = client.orderBody({ persoStation: offlineStation });
    const second = acceptedId(await client.order(cardId, again), 'a new order after a failure');
    assert.notEqual(second, first);
    const { operations } = (await client.status(cardId)).body as { operations: Json[] };
    assert.deepEqual(
      operations.map((one) => one['operationId']),
      [second, first],
    );
  });
}

function describeProduction(of: () => ContractSystem): void {
  it('ends well, told in order and in the documented shape, and follows the rules of ordering again', async () => {
    const { client, desk } = of();
    const cardId = newCardId();
    const body = client.orderBody();
    assertRefused(await client.status(cardId), 404, 'NOT_FOUND', /./, 'never ordered');
    const first = acceptedId(await client.order(cardId, body, { 'x-correlation-id': 'k-20250117-0001' }));
    const seen = await client.status(cardId);
    assert.equal(seen.status, 200, 'visible as soon as the 202 is sent');
    assert.deepEqual(Object.keys(seen.body), ['operations']);
    const told = await desk.untilFinal(first);

    const calls = desk.about(cardId);
    const items = calls.flatMap((call) => call.operations);
    assert.deepEqual(story(items), made);
    for (const item of items) {
      assert.deepEqual([item['operationId'], item['cardId']], [first, cardId]);
      assert.equal(item['issuerRequestId'], body['issuerRequestId']);
      assert.equal(item['startTime'], told['startTime']);
    }
    for (const { path, headers, body: sent } of calls) {
      assert.equal(path, '/notifications/d1/v2/issuers/ISS0000001/cards');
      assert.deepEqual(Object.keys(sent), ['operations']);
      assert.match(String(headers['content-type']), /^application\/json(; ?charset=utf-8)?$/i);
      assert.match(String(headers['x-correlation-id']), /^[A-Za-z0-9_-]{1,64}$/);
      assert.match(String(headers.authorization), /^Bearer \S+$/);
    }
    assert.ok(desk.tokenCalls.length >= 1);
    assert.equal(new URLSearchParams(desk.tokenCalls[0]?.form).get('grant_type'), 'client_credentials');
    assert.ok(desk.tokenCalls.length < desk.received.length, 'a token is used until it ends');

    const done = await client.status(cardId);
    assert.deepEqual(done.body['operations'], [told]);
    assert.equal(acceptedId(await client.order(cardId, body)), first, 'a replay after the end');
    const creation = client.orderBody();
    assertRefused(await client.order(cardId, creation), 409, 'CONFLICT', 'cardId', 'a second creation');
    const replacement = client.orderBody({ services: { issuance: 'REPLACEMENT' } });
    const second = acceptedId(await client.order(cardId, replacement), 'a replacement');
    assert.notEqual(second, first);
    assert.deepEqual(assertShape(await desk.untilFinal(second)), ['SUCCESSFUL', 'CARD_PROD_DONE']);
    const { operations } = (await client.status(cardId)).body as { operations: Json[] };
    assert.deepEqual(
      operations.map((one) => one['operationId']),
      [second, first],
      'newest first',
    );
    assert.equal(desk.about(cardId).length, 6);
  });

  it('is told again when the issuer could not take it, in order, and not after a 400', async () => {
    const { client, desk } = of();
    const cardId = newCardId();
    const soon = { 'retry-after': '0' };
    desk.answerCard(cardId, [
      { status: 503, headers: soon },
      { status: 429, headers: soon },
      { status: 400 },
    ]);
    const body = client.orderBody({ persoStation: offlineStation });
    acceptedId(await client.order(cardId, body));
    await of().sandbox.until('four calls', () =>
      Promise.resolve(desk.about(cardId).length >= 4 ? true : undefined),
    );
    const calls = desk.about(cardId);
    assert.deepEqual(
      calls.map((call) => [call.answered, (call.operations[0]?.['details'] as Json)['status']]),
      [
        [503, 'CARD_PROD_REQUESTED'],
        [429, 'CARD_PROD_REQUESTED'],
        [400, 'CARD_PROD_REQUESTED'],
        [204, 'CARD_PROD_READY'],
      ],
    );
    assert.deepEqual(calls[1]?.body, calls[0]?.body, 'the same words again');
  });
}

export function describeOutcomes(of: () => ContractSystem): void {
  describe('a data exception', () => {
    describeDataExceptions(of);
  });
  describe('a production', () => {
    describeProduction(of);
  });
}
