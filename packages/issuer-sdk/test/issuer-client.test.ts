/** The client against a real TLS server: tokens, encryption, repetition, errors. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { check, CardRequestInstant } from '@cardwright/protocol';
import { createTestAuthority } from '@cardwright/testkit';
import {
  createIssuerClient,
  D1ApiError,
  D1TokenError,
  D1ConnectionError,
  D1UnreadableAnswerError,
  makeTestPan,
  type PreparedOrder,
} from '../src/index.ts';
import { cardOrder, startD1TestServer } from './d1-test-server.ts';

const accepted = { status: 202, body: { operationId: 'op-1' } };

test('an order reaches the API as the contract says, with the card data encrypted', async (t) => {
  const d1 = await startD1TestServer(t);
  const order = cardOrder(makeTestPan());
  assert.deepEqual(await d1.client.orderCard(order), { operationId: 'op-1' });

  const [request] = d1.requests;
  assert.ok(request !== undefined);
  assert.equal(request.path, '/banking/v1/issuers/ISS0000001/physicalCards/card-1/operations:production');
  const body = check(CardRequestInstant, JSON.parse(request.body));
  assert.ok(body.ok);
  assert.ok(!request.body.includes(order.card.pan));
  const { header, plaintext } = await d1.decrypt(body.value.encryptedData);
  assert.deepEqual(plaintext, order.card);
  assert.deepEqual(Object.keys(header).sort(), ['alg', 'enc', 'epk', 'kid']);
  assert.deepEqual([header['alg'], header['enc'], header['kid']], ['ECDH-ES', 'A256GCM', 'recipient-1']);
});

test('one token serves many calls, also when they start together', async (t) => {
  const d1 = await startD1TestServer(t);
  const order = cardOrder(makeTestPan());
  await Promise.all([1, 2, 3].map(() => d1.client.orderCard(order)));
  await d1.client.orderCard(order);
  assert.equal(d1.tokenRequests.length, 1);
  const [token] = d1.tokenRequests;
  assert.equal(token?.header['kid'], 'iss-key-1');
  assert.ok(typeof token.claims['jti'] === 'string');
});

test('a token is renewed a minute before it ends, whether its life comes as number or as text', async (t) => {
  let now = Date.now();
  const d1 = await startD1TestServer(t, { now: () => now });
  const order = cardOrder(makeTestPan());
  d1.tokenLife = '900';
  await d1.client.orderCard(order);
  now += 839_000;
  await d1.client.orderCard(order);
  assert.equal(d1.tokenRequests.length, 1);
  now += 2_000;
  await d1.client.orderCard(order);
  assert.equal(d1.tokenRequests.length, 2);
});

test('a token that is refused is replaced once and the call goes on', async (t) => {
  const d1 = await startD1TestServer(t);
  const order = cardOrder(makeTestPan());
  await d1.client.orderCard(order);
  d1.revokeTokens();
  assert.deepEqual(await d1.client.orderCard(order), { operationId: 'op-1' });
  assert.equal(d1.tokenRequests.length, 2);
});

test('a token that is refused twice ends the call with 401', async (t) => {
  const d1 = await startD1TestServer(t);
  d1.script = [{ status: 401, body: { errorCode: 'AUTHORIZER_UNAUTHORIZED', error: 'no' } }];
  await assert.rejects(
    d1.client.orderCard(cardOrder(makeTestPan())),
    (error: unknown) => error instanceof D1ApiError && error.status === 401 && !error.retryable,
  );
  assert.equal(d1.requests.length, 2);
});

test('a token that is not given is an error of its own: the order was never sent', async (t) => {
  const d1 = await startD1TestServer(t);
  d1.givesTokens = false;
  await assert.rejects(
    d1.client.orderCard(cardOrder(makeTestPan())),
    (error: unknown) => error instanceof D1TokenError && error.status === 400 && !error.retryable,
  );
  assert.equal(d1.requests.length, 0);
  d1.givesTokens = true;
  assert.deepEqual(await d1.client.orderCard(cardOrder(makeTestPan())), { operationId: 'op-1' });
});

test('a cut connection, 500, 429 and 503 are met by the same bytes again until the order is taken', async (t) => {
  const d1 = await startD1TestServer(t);
  d1.script = [
    { status: 0, cut: true },
    { status: 500, body: { errorCode: 'INTERNAL_ERROR', error: 'x' } },
    { status: 429, body: { errorCode: 'TOO_MANY_REQUESTS', error: 'x' }, headers: { 'retry-after': '0' } },
    { status: 503 },
    accepted,
  ];
  assert.deepEqual(await d1.client.orderCard(cardOrder(makeTestPan())), { operationId: 'op-1' });
  assert.equal(d1.requests.length, 5);
  assert.equal(new Set(d1.requests.map(({ body }) => body)).size, 1, 'issuerRequestId and JWE stay the same');
});

test('attempts are bounded and the last error is told', async (t) => {
  const d1 = await startD1TestServer(t, { retry: { attempts: 3, firstDelayMs: 1 } });
  d1.script = [{ status: 503, body: { errorCode: 'SERVICE_UNAVAILABLE', error: 'x' } }];
  await assert.rejects(
    d1.client.orderCard(cardOrder(makeTestPan())),
    (error: unknown) => error instanceof D1ApiError && error.status === 503 && error.retryable,
  );
  assert.equal(d1.requests.length, 3);
});

test('a wait longer than the policy allows is left to the caller', async (t) => {
  const d1 = await startD1TestServer(t);
  d1.script = [{ status: 503, headers: { 'retry-after': '3600' } }];
  await assert.rejects(
    d1.client.orderCard(cardOrder(makeTestPan())),
    (error: unknown) => error instanceof D1ApiError && error.retryAfterMs === 3_600_000,
  );
  assert.equal(d1.requests.length, 1);
});

test('a refusal names code and field, is not repeated and shows no secret', async (t) => {
  const d1 = await startD1TestServer(t);
  const pan = makeTestPan();
  d1.script = [
    { status: 400, body: { errorCode: 'FIELD_INVALID_VALUE', error: 'persoStation', extra: pan } },
  ];
  await assert.rejects(d1.client.orderCard(cardOrder(pan)), (error: unknown) => {
    assert.ok(error instanceof D1ApiError);
    assert.deepEqual(
      [error.status, error.errorCode, error.field, error.retryable],
      [400, 'FIELD_INVALID_VALUE', 'persoStation', false],
    );
    const shown = `${error.message} ${JSON.stringify(error)} ${String(error.stack)}`;
    assert.ok(!shown.includes(pan) && !shown.includes('token-'));
    return true;
  });
  assert.equal(d1.requests.length, 1);
});

test('words of the other side that are no code and no field name are not repeated in errors', async (t) => {
  const d1 = await startD1TestServer(t);
  const pan = makeTestPan();
  d1.script = [{ status: 400, body: { errorCode: 'FIELD_INVALID_VALUE', error: `bad pan ${pan}` } }];
  await assert.rejects(
    d1.client.orderCard(cardOrder(pan)),
    (error: unknown) =>
      error instanceof D1ApiError && error.field === undefined && !error.message.includes(pan),
  );
});

test('an order that the contract forbids is refused before anything is sent', async (t) => {
  const d1 = await startD1TestServer(t);
  await assert.rejects(
    d1.client.orderCard({ ...cardOrder(makeTestPan()), persoStation: 'not a station' }),
    (error: unknown) => error instanceof D1ApiError && error.field === 'persoStation',
  );
  assert.equal(d1.requests.length + d1.tokenRequests.length, 0);
});

test('a server of another authority is not talked to', async (t) => {
  const d1 = await startD1TestServer(t);
  const other = await createTestAuthority('Other CA');
  const client = createIssuerClient({
    ...d1.options,
    tls: { ...d1.options.tls, ca: other.ca },
    retry: { attempts: 1 },
  });
  t.after(() => client.close());
  await assert.rejects(client.getProductionStatus('card-1'), D1ConnectionError);
  assert.equal(d1.tokenRequests.length, 0);
});

test('a client certificate of another authority is refused by the server', async (t) => {
  const d1 = await startD1TestServer(t);
  const other = await createTestAuthority('Other CA');
  const client = createIssuerClient({
    ...d1.options,
    tls: { ca: d1.authority.ca, ...(await other.issue('x', 'client')) },
    retry: { attempts: 1 },
  });
  t.after(() => client.close());
  await assert.rejects(client.getProductionStatus('card-1'), D1ConnectionError);
});

test('a plain HTTP origin is refused', async (t) => {
  const d1 = await startD1TestServer(t);
  assert.throws(() => createIssuerClient({ ...d1.options, origin: 'http://localhost:1' }), TypeError);
});

test('the production status is read liberally and comes newest first as sent', async (t) => {
  const d1 = await startD1TestServer(t);
  d1.script = [
    {
      status: 200,
      body: {
        operations: [
          {
            operationId: 'op-2',
            operation: 'SOMETHING_NEW',
            status: 'PENDING',
            startTime: '2025-01-17T06:28:02+09:00',
            cardId: 'card-1',
            newMember: { a: 1 },
            details: { status: 'NEW_STATUS', other: true },
          },
        ],
        page: 1,
      },
    },
  ];
  const operations = await d1.client.getProductionStatus('card-1');
  assert.deepEqual(
    operations.map(({ operationId, details }) => [operationId, details?.status]),
    [['op-2', 'NEW_STATUS']],
  );
  assert.equal(d1.requests[0]?.path, '/banking/v1/issuers/ISS0000001/physicalCards/card-1/productionStatus');
});

test('a card that was never ordered has no operations', async (t) => {
  const d1 = await startD1TestServer(t);
  d1.script = [{ status: 404, body: { errorCode: 'NOT_FOUND', error: 'no such card' } }];
  assert.deepEqual(await d1.client.getProductionStatus('card-1'), []);
});

test('a success that cannot be read is an error of its own and is not repeated', async (t) => {
  const d1 = await startD1TestServer(t);
  d1.script = [{ status: 202, body: {} }];
  await assert.rejects(
    d1.client.orderCard(cardOrder(makeTestPan())),
    (error: unknown) => error instanceof D1UnreadableAnswerError && error.field === 'operationId',
  );
  d1.script = [{ status: 200, body: { operations: [{ operationId: 'x' }] } }];
  await assert.rejects(
    d1.client.getProductionStatus('card-1'),
    (error: unknown) => error instanceof D1UnreadableAnswerError && error.field.startsWith('operations[0].'),
  );
  assert.equal(d1.requests.length, 2);
});

test('a prepared order holds no clear card data, survives as JSON and is sent by another client as it is', async (t) => {
  const d1 = await startD1TestServer(t);
  const pan = makeTestPan();
  const stored = JSON.stringify(await d1.client.prepareOrder(cardOrder(pan)));
  assert.ok(!stored.includes(pan) && !stored.includes('HANAKO'));
  assert.equal(d1.requests.length, 0);
  const restarted = createIssuerClient(d1.options);
  t.after(() => restarted.close());
  const prepared = JSON.parse(stored) as PreparedOrder;
  assert.deepEqual(await restarted.sendOrder(prepared), { operationId: 'op-1' });
  assert.deepEqual(JSON.parse(d1.requests[0]?.body ?? ''), prepared.request);
});
