/** What the API calls at the issuer, over real mutual TLS, and how missed news are made up for. */
import assert from 'node:assert/strict';
import { test, type TestContext } from 'node:test';
import { createTestAuthority } from '@cardwright/testkit';
import {
  type Answer,
  callApi,
  clientSecret,
  createCaller,
  issuerId,
  operation,
  prepareIssuer,
  startInProcess,
  startProcess,
  until,
} from './issuer-under-test.ts';

const tokenPath = '/authz/d1/v1/oauth2/token';
const formType = 'application/x-www-form-urlencoded';

async function orderedCard(t: TestContext) {
  const issuer = await prepareIssuer(t);
  // Nothing new from the status endpoint unless a test says so.
  issuer.d1.handler = ({ method }) =>
    method === 'GET' ? { status: 200, body: { operations: [] } } : undefined;
  const ports = await startInProcess(t, issuer);
  await callApi(ports, '/api/cards', { name: 'HANAKO KOTORI', cardId: 'card-a' });
  const caller = await createCaller(issuer, ports);
  const view = (): Promise<Answer> => callApi(ports, '/api/cards/card-a');
  return { issuer, ports, caller, view };
}

test('a token is given for the right secret in either base64 alphabet, as the contract prints it', async (t) => {
  const { caller } = await orderedCard(t);
  for (const alphabet of ['base64', 'base64url'] as const) {
    const basic = Buffer.from(`cardwright:${clientSecret}`).toString(alphabet);
    const answer = await caller.post(
      tokenPath,
      { authorization: `Basic ${basic}`, 'content-type': formType },
      'grant_type=client_credentials&scope=any',
    );
    assert.equal(answer.status, 200);
    assert.equal(answer.body['token_type'], 'Bearer');
    assert.equal(answer.body['expires_in'], '900');
  }
});

test('a wrong secret, a wrong grant and a wrong body get no token', async (t) => {
  const { caller } = await orderedCard(t);
  const wrong = `Basic ${Buffer.from('cardwright:guess').toString('base64')}`;
  const right = `Basic ${Buffer.from(`cardwright:${clientSecret}`).toString('base64')}`;
  const grant = 'grant_type=client_credentials';
  const ask = async (authorization: string, type: string, body: string) => {
    const answer = await caller.post(tokenPath, { authorization, 'content-type': type }, body);
    return [answer.status, answer.body['error']];
  };
  assert.deepEqual(await ask(wrong, formType, grant), [401, 'invalid_client']);
  assert.deepEqual(await ask('', formType, grant), [401, 'invalid_client']);
  assert.deepEqual(await ask(right, formType, 'grant_type=password'), [400, 'unsupported_grant_type']);
  assert.deepEqual(await ask(right, 'application/json', '{}'), [400, 'invalid_request']);
});

test('a notification is stored and moves the order', async (t) => {
  const { caller, view } = await orderedCard(t);
  const sent = [
    operation('card-a', 'PENDING', 'CARD_PROD_REQUESTED'),
    operation('card-a', 'PENDING', 'CARD_PROD_READY', { futureMember: { x: 1 } }),
  ];
  assert.equal((await caller.notify(sent)).status, 204);
  const { body } = await view();
  assert.deepEqual([body['status'], body['detailsStatus']], ['PENDING', 'CARD_PROD_READY']);
  assert.equal((body['notifications'] as unknown[]).length, 2);
});

test('repeated and late notifications are accepted, stored once, and never undo a final state', async (t) => {
  const { caller, view } = await orderedCard(t);
  const failed = operation('card-a', 'FAILED', 'CARD_PROD_EXCEPTION', {
    errorCode: 'CARD_JAM',
    error: 'jam',
  });
  const late = operation('card-a', 'PENDING', 'CARD_PROD_READY');
  for (const batch of [[failed], [late], [failed, late]])
    assert.equal((await caller.notify(batch)).status, 204);
  const { body } = await view();
  assert.deepEqual(
    [body['status'], body['detailsStatus'], body['errorCode']],
    ['FAILED', 'CARD_PROD_EXCEPTION', 'CARD_JAM'],
  );
  assert.equal((body['notifications'] as unknown[]).length, 2);
});

test('a notification that overtakes the answer to the order counts', async (t) => {
  const issuer = await prepareIssuer(t);
  issuer.d1.script = [{ status: 0, hold: true }];
  const running = await startProcess(t, issuer);
  const open = callApi(running, '/api/cards', { name: 'A', cardId: 'card-a' }).catch(() => undefined);
  const request = await until('the order at the API', () => issuer.d1.requests[0]);
  const { issuerRequestId } = JSON.parse(request.body) as { issuerRequestId: string };
  const caller = await createCaller(issuer, running);
  const early = operation('card-a', 'PENDING', 'CARD_PROD_REQUESTED', { issuerRequestId });
  assert.equal((await caller.notify([early])).status, 204);
  const { body } = await callApi(running, '/api/cards/card-a');
  assert.deepEqual([body['operationId'], body['detailsStatus']], ['op-1', 'CARD_PROD_REQUESTED']);
  await running.kill('SIGKILL');
  await open;
});

test('a notification of an order that is not ours is accepted and changes nothing', async (t) => {
  const { caller, view } = await orderedCard(t);
  const before = await view();
  const strange = operation('card-a', 'FAILED', 'CARD_PROD_EXCEPTION', { operationId: 'op-other' });
  assert.equal((await caller.notify([strange, operation('card-z', 'PENDING', 'X')])).status, 204);
  assert.equal((await view()).body['status'], before.body['status']);
});

test('a malformed notification is answered 400 and nothing of the call is stored', async (t) => {
  const { caller, view } = await orderedCard(t);
  const good = operation('card-a', 'PENDING', 'CARD_PROD_READY');
  for (const operations of [undefined, {}, [good, { operationId: 'op-1' }], [null]]) {
    assert.equal((await caller.notify(operations)).status, 400);
  }
  const headers = { authorization: `Bearer ${await caller.token()}`, 'content-type': 'application/json' };
  const path = `/notifications/d1/v2/issuers/${issuerId}/cards`;
  assert.equal((await caller.post(path, headers, '{"operations":')).status, 400);
  assert.equal(((await view()).body['notifications'] as unknown[]).length, 0);
});

test('a notification without a live token, or for another issuer, is refused', async (t) => {
  const { issuer, ports, caller } = await orderedCard(t);
  const sent = [operation('card-a', 'SUCCESSFUL', 'CARD_PROD_DONE')];
  assert.equal((await caller.notify(sent, 'made-up')).status, 401);
  const stolen = await caller.token();
  const thief = await createCaller(issuer, ports);
  assert.equal((await thief.notify(sent, stolen)).status, 401, 'a token is bound to its certificate');
  const headers = { authorization: `Bearer ${stolen}`, 'content-type': 'application/json' };
  const other = await caller.post(
    '/notifications/d1/v2/issuers/ISS0000002/cards',
    headers,
    '{"operations":[]}',
  );
  assert.equal(other.status, 404);
});

test('a caller without a certificate of the right authority cannot even connect', async (t) => {
  const { issuer, ports } = await orderedCard(t);
  const stranger = await createCaller(issuer, ports, await createTestAuthority('Strangers'));
  await assert.rejects(stranger.notify([]));
});

test('what notifications missed is learned from the status endpoint, and asking ends with the order', async (t) => {
  const { issuer, ports, view } = await orderedCard(t);
  const done = operation('card-a', 'SUCCESSFUL', 'CARD_PROD_DONE', { endTime: '2025-01-17T06:29:00.000Z' });
  const isAbout = (path: string, cardId: string): boolean => path.includes(`/${cardId}/productionStatus`);
  const asked = (cardId: string): number =>
    issuer.d1.requests.filter(({ path }) => isAbout(path, cardId)).length;
  issuer.d1.handler = ({ method, path }) => {
    if (method !== 'GET') return { status: 202, body: { operationId: 'op-b' } };
    return { status: 200, body: { operations: isAbout(path, 'card-a') ? [done] : [] } };
  };
  const body = await until('the final state', async () => {
    const answer = await view();
    return answer.body['status'] === 'SUCCESSFUL' ? answer.body : undefined;
  });
  assert.deepEqual([body['detailsStatus'], body['notifications']], ['CARD_PROD_DONE', []]);

  const before = asked('card-a');
  await callApi(ports, '/api/cards', { name: 'A', cardId: 'card-b' });
  await until('the open order to be asked about twice', () => (asked('card-b') >= 2 ? true : undefined));
  assert.equal(asked('card-a'), before);
});

test('a restart remembers what it was told and drops its repetition', async (t) => {
  const issuer = await prepareIssuer(t);
  issuer.d1.handler = ({ method }) =>
    method === 'GET' ? { status: 200, body: { operations: [] } } : undefined;
  const killed = await startProcess(t, issuer);
  await callApi(killed, '/api/cards', { name: 'A', cardId: 'card-a' });
  const done = operation('card-a', 'SUCCESSFUL', 'CARD_PROD_DONE');
  assert.equal((await (await createCaller(issuer, killed)).notify([done])).status, 204);
  await killed.kill('SIGKILL');

  const restarted = await startProcess(t, issuer);
  assert.equal((await (await createCaller(issuer, restarted)).notify([done])).status, 204);
  const { body } = await callApi(restarted, '/api/cards/card-a');
  assert.deepEqual([body['status'], (body['notifications'] as unknown[]).length], ['SUCCESSFUL', 1]);
});
