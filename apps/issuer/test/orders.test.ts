/** Ordering through the issuer: input, what is stored and sent, refusals, crashes. */
import assert from 'node:assert/strict';
import { readdirSync, readFileSync } from 'node:fs';
import { request as httpRequest } from 'node:http';
import { join } from 'node:path';
import { test } from 'node:test';
import { makeTestPan } from '@cardwright/issuer-sdk';
import {
  callApi,
  createCaller,
  operation,
  prepareIssuer,
  startInProcess,
  startProcess,
  until,
} from './issuer-under-test.ts';

interface SentOrder {
  readonly issuerRequestId: string;
  readonly persoStation: string;
  readonly encryptedData: string;
  readonly cardDesign?: unknown;
}

function filesText(folder: string): string {
  return readdirSync(folder)
    .map((name) => readFileSync(join(folder, name), 'latin1'))
    .join('\n');
}

test('a card is ordered with a test number, four years of validity and a fresh security code', async (t) => {
  const issuer = await prepareIssuer(t);
  const ports = await startInProcess(t, issuer);
  const answer = await callApi(ports, '/api/cards', { name: 'HANAKO KOTORI', customLines: ['DEBIT'] });
  assert.equal(answer.status, 202);
  assert.equal(answer.body['operationId'], 'op-1');
  const cardId = String(answer.body['cardId']);

  const sent = JSON.parse(issuer.d1.requests[0]?.body ?? '') as SentOrder;
  assert.equal(sent.persoStation, 'KIOSK-PS-101');
  assert.deepEqual(sent.cardDesign, { customLines: ['DEBIT'] });
  const { plaintext } = await issuer.d1.decrypt(sent.encryptedData);
  const card = plaintext as { pan: string; exp: string; name: string; cvv2: string };
  assert.match(card.pan, /^999900\d{10}$/);
  assert.match(card.cvv2, /^\d{3}$/);
  assert.equal(card.name, 'HANAKO KOTORI');
  const year = (new Date().getUTCFullYear() + 4) % 100;
  assert.equal(card.exp.slice(0, 2), String(year).padStart(2, '0'));

  const view = await callApi(ports, `/api/cards/${cardId}`);
  assert.deepEqual(view.body, {
    cardId,
    operationId: 'op-1',
    station: 'KIOSK-PS-101',
    maskedPan: `999900••••••${card.pan.slice(-4)}`,
    status: 'PENDING',
    detailsStatus: '',
    notifications: [],
  });
});

test('neither number, security code, name nor the encrypted request stay on disk after the order is taken', async (t) => {
  const issuer = await prepareIssuer(t);
  const running = await startInProcess(t, issuer);
  const pan = makeTestPan();
  assert.equal((await callApi(running, '/api/cards', { name: 'HANAKO KOTORI', pan })).status, 202);
  const sent = JSON.parse(issuer.d1.requests[0]?.body ?? '') as SentOrder;
  await running.close();
  const stored = filesText(issuer.config.dataFolder);
  assert.ok(stored.includes(sent.issuerRequestId), 'the order itself is there');
  for (const secret of [pan, 'HANAKO', sent.encryptedData.slice(-40)]) assert.ok(!stored.includes(secret));
});

const refusals: [title: string, body: unknown, field: string, errorCode: string][] = [
  ['no name', {}, 'name', 'FIELD_INVALID_FORMAT'],
  ['a blank name', { name: ' ' }, 'name', 'FIELD_INVALID_VALUE'],
  ['an unknown member', { name: 'A', colour: 'red' }, 'colour', 'FIELD_INVALID_FORMAT'],
  ['a station with a space', { name: 'A', persoStation: 'A B' }, 'persoStation', 'FIELD_INVALID_FORMAT'],
  ['a number outside the test prefix', { name: 'A', pan: '4000000000000002' }, 'pan', 'FIELD_INVALID_VALUE'],
  ['a number with a wrong check digit', { name: 'A', pan: '9999000000000000' }, 'pan', 'FIELD_INVALID_VALUE'],
  ['a card number as card id', { name: 'A', cardId: 'c-999900123456' }, 'cardId', 'FIELD_INVALID_VALUE'],
  ['a line that is no text', { name: 'A', customLines: ['x', 1] }, 'customLines[1]', 'FIELD_INVALID_FORMAT'],
  ['a list', [], 'body', 'FIELD_INVALID_FORMAT'],
];

for (const [title, body, field, errorCode] of refusals) {
  test(`an order with ${title} is refused, names ${field} and sends nothing`, async (t) => {
    const issuer = await prepareIssuer(t);
    const ports = await startInProcess(t, issuer);
    assert.deepEqual(await callApi(ports, '/api/cards', body), { status: 400, body: { errorCode, field } });
    assert.equal(issuer.d1.requests.length, 0);
  });
}

test('a refusal by the API is told with its field and ends the order', async (t) => {
  const issuer = await prepareIssuer(t);
  const ports = await startInProcess(t, issuer);
  issuer.d1.script = [{ status: 400, body: { errorCode: 'FIELD_INVALID_VALUE', error: 'persoStation' } }];
  const answer = await callApi(ports, '/api/cards', { name: 'A', cardId: 'card-a', persoStation: 'NOWHERE' });
  assert.deepEqual(answer, {
    status: 400,
    body: { errorCode: 'FIELD_INVALID_VALUE', field: 'persoStation', cardId: 'card-a' },
  });
  const { body } = await callApi(ports, '/api/cards/card-a');
  assert.deepEqual(
    [body['status'], body['errorCode'], body['field']],
    ['FAILED', 'FIELD_INVALID_VALUE', 'persoStation'],
  );
});

test('the same card id with the same request is the same order, with another request a conflict', async (t) => {
  const issuer = await prepareIssuer(t);
  const ports = await startInProcess(t, issuer);
  const order = { cardId: 'card-a', name: 'HANAKO KOTORI' };
  const [one, other] = await Promise.all([
    callApi(ports, '/api/cards', order),
    callApi(ports, '/api/cards', order),
  ]);
  assert.deepEqual(one, { status: 202, body: { cardId: 'card-a', operationId: 'op-1' } });
  assert.deepEqual(other, one);
  assert.equal(issuer.d1.requests.length, 1);
  const conflict = await callApi(ports, '/api/cards', { ...order, name: 'TARO KOTORI' });
  assert.deepEqual(conflict, { status: 409, body: { errorCode: 'CONFLICT', field: 'cardId' } });
});

test('an order that the API cannot take now is kept and goes out as the same request later', async (t) => {
  const issuer = await prepareIssuer(t);
  const ports = await startInProcess(t, issuer);
  // A wait so long that the client leaves it to the issuer.
  issuer.d1.script = [{ status: 503, headers: { 'retry-after': '3600' } }];
  const answer = await callApi(ports, '/api/cards', { name: 'A', cardId: 'card-a' });
  assert.deepEqual(answer, { status: 202, body: { cardId: 'card-a', operationId: null } });
  issuer.d1.script = [{ status: 202, body: { operationId: 'op-9' } }];
  await until('the order to go out', async () => {
    const { body } = await callApi(ports, '/api/cards/card-a');
    return body['operationId'] === 'op-9' ? true : undefined;
  });
  const orders = issuer.d1.requests.filter(({ method }) => method === 'POST');
  assert.equal(new Set(orders.map(({ body }) => body)).size, 1);
});

test('an order outlives a token that is refused or not given: neither says anything about it', async (t) => {
  const issuer = await prepareIssuer(t);
  const ports = await startInProcess(t, issuer);
  const isTaken = (cardId: string) => async () => {
    const { body } = await callApi(ports, `/api/cards/${cardId}`);
    return body['operationId'] === null ? undefined : true;
  };
  issuer.d1.script = [{ status: 401, body: { errorCode: 'AUTHORIZER_UNAUTHORIZED', error: 'no' } }];
  const refused = await callApi(ports, '/api/cards', { name: 'A', cardId: 'card-a' });
  assert.deepEqual(refused, { status: 202, body: { cardId: 'card-a', operationId: null } });
  issuer.d1.givesTokens = false;
  issuer.d1.revokeTokens();
  const untold = await callApi(ports, '/api/cards', { name: 'B', cardId: 'card-b' });
  assert.deepEqual(untold, { status: 202, body: { cardId: 'card-b', operationId: null } });
  issuer.d1.handler = ({ path }) => ({ status: 202, body: { operationId: `op-${path.includes('card-a')}` } });
  issuer.d1.givesTokens = true;
  await until('both orders to go out', isTaken('card-a'));
  await until('both orders to go out', isTaken('card-b'));
});

test('after kill -9 in the middle of an order the same request is sent again, byte for byte', async (t) => {
  const issuer = await prepareIssuer(t);
  issuer.d1.script = [{ status: 0, hold: true }];
  const killed = await startProcess(t, issuer);
  const lost = callApi(killed, '/api/cards', { name: 'HANAKO KOTORI', cardId: 'card-a' }).catch(
    () => undefined,
  );
  await until('the order at the API', () => (issuer.d1.requests.length > 0 ? true : undefined));
  await killed.kill('SIGKILL');
  await lost;

  issuer.d1.script = [{ status: 202, body: { operationId: 'op-1' } }];
  const restarted = await startProcess(t, issuer);
  await until('the order to be taken', async () => {
    const { body } = await callApi(restarted, '/api/cards/card-a');
    return body['operationId'] === 'op-1' ? true : undefined;
  });
  const [first, second] = issuer.d1.requests.filter(({ method }) => method === 'POST');
  assert.equal(second?.body, first?.body);
  await restarted.kill('SIGTERM');
  assert.equal(restarted.child.exitCode, 0);
});

test('the log tells ids and codes and no card data', async (t) => {
  const issuer = await prepareIssuer(t);
  const running = await startProcess(t, issuer);
  const pan = makeTestPan();
  await callApi(running, '/api/cards', { name: 'HANAKO KOTORI', pan, cardId: 'card-a' });
  await (await createCaller(issuer, running)).notify([operation('card-a', 'SUCCESSFUL', 'CARD_PROD_DONE')]);
  const text = await until('the notification in the log', () => {
    const all = running.lines.join('\n');
    return all.includes('notification.received') ? all : undefined;
  });
  assert.ok(text.includes('"event":"order.accepted"'));
  for (const secret of [pan, 'HANAKO', 'Bearer']) assert.ok(!text.includes(secret));
});

test('a second process on the same folder does not start', async (t) => {
  const issuer = await prepareIssuer(t);
  await startInProcess(t, issuer);
  await assert.rejects(startInProcess(t, issuer), /locked/);
});

test('another host name than loopback gets no answer from the card API', async (t) => {
  const issuer = await prepareIssuer(t);
  const ports = await startInProcess(t, issuer);
  const status = await new Promise<number | undefined>((resolve, reject) => {
    httpRequest({
      host: '127.0.0.1',
      port: ports.apiPort,
      path: '/api/cards/x',
      headers: { host: 'evil.test' },
    })
      .on('response', (response) => {
        response.resume();
        resolve(response.statusCode);
      })
      .on('error', reject)
      .end();
  });
  assert.equal(status, 403);
});

test('a card that nobody ordered is not found', async (t) => {
  const issuer = await prepareIssuer(t);
  const ports = await startInProcess(t, issuer);
  assert.equal((await callApi(ports, '/api/cards/none')).status, 404);
});
