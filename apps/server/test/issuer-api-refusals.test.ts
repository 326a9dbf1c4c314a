import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { after, before, describe, it } from 'node:test';
import {
  createWorld,
  encryptCard,
  grantType,
  issuerId,
  makeCard,
  newCardId,
  orderBody,
  otherIssuerId,
  productionPath,
  signAssertion,
  statusPath,
  type World,
} from './support/server-fixture.ts';
import { rawHttp, rawRequest } from './support/raw-http.ts';
import {
  assertRefused,
  format,
  payment,
  refusedJwes,
  refusedOrders,
  value,
} from './support/refused-orders.ts';
import { jsonOf, startThread, type Thread } from './support/thread.ts';

type Body = Record<string, unknown>;

describe('the issuer API refuses', () => {
  let world: World;
  let thread: Thread;
  before(async () => {
    world = await createWorld();
    thread = await startThread(world);
  });
  after(async () => {
    await thread.stop();
    await world.close();
  });
  const orderRaw = (body: string, headers: Record<string, string> = {}, path = productionPath(newCardId())) =>
    rawRequest(world, thread, 'POST', path, body, { 'content-type': 'application/json', ...headers });

  for (const [what, changes, errorCode, field] of refusedOrders) {
    it(`an order with ${what}, naming ${field}`, async () => {
      const cardId = newCardId();
      const answer = await thread.post(
        thread.issuer,
        productionPath(cardId),
        await orderBody(world, changes),
      );
      assertRefused(answer, 400, errorCode, field);
      assertRefused(await thread.get(thread.issuer, statusPath(cardId)), 404, 'NOT_FOUND');
    });
  }

  for (const [what, change] of refusedJwes) {
    it(`a JWE with ${what}, naming encryptedData and never showing it`, async () => {
      const jwe = change(await encryptCard(world, makeCard()));
      const body = await orderBody(world, { encryptedData: jwe });
      const answer = await thread.post(thread.issuer, productionPath(newCardId()), body);
      assertRefused(answer, 400, value, 'encryptedData');
    });
  }

  it('bodies that are not strict JSON, naming a duplicate member', async () => {
    for (const body of [
      '',
      '{',
      '[1,]',
      'null',
      '"x"',
      '[]',
      '{"a":1}//x',
      '\u{feff}{}',
      `${'['.repeat(20)}${']'.repeat(20)}`,
    ]) {
      assertRefused(await orderRaw(body), 400, format, 'body');
    }
    const text = JSON.stringify(await orderBody(world));
    const twice = text.replace('{', '{"persoStation":"KIOSK-PS-101",');
    assertRefused(await orderRaw(twice), 400, format, 'persoStation');
    const nested = text.replace('"issuance":', '"issuance":"RENEWAL","issuance":');
    assertRefused(await orderRaw(nested), 400, format, 'services.issuance');
  });

  it('bodies of another type or without a type with 415, and large ones with 413', async () => {
    for (const type of [
      'text/plain',
      'application/xml',
      'application/x-www-form-urlencoded',
      'application/json; charset=utf-16',
    ]) {
      assertRefused(await orderRaw('{}', { 'content-type': type }), 415, 'UNSUPPORTED_MEDIA_TYPE');
    }
    assertRefused(await orderRaw(`{"a":"${'x'.repeat(70_000)}"}`), 413, 'PAYLOAD_TOO_LARGE');
  });

  it('malformed path parameters, naming them', async () => {
    const body = await orderBody(world);
    for (const cardId of ['a'.repeat(49), 'a.b', 'a%20b', 'a%2Fb', '%C3%A9', 'a'.repeat(1_000)]) {
      assertRefused(await thread.post(thread.issuer, productionPath(cardId), body), 400, format, 'cardId');
      assertRefused(await thread.get(thread.issuer, statusPath(cardId)), 400, format, 'cardId');
    }
    for (const id of ['ISS', 'ISS00000011', 'ISS 000001']) {
      const path = productionPath(newCardId(), encodeURIComponent(id));
      assertRefused(await thread.post(thread.issuer, path, body), 400, format, 'issuerId');
    }
    assertRefused(
      await thread.get(thread.issuer, '/banking/v1/issuers/%zz/physicalCards/a/productionStatus'),
      400,
      format,
    );
  });

  it('paths and methods it does not have with 404', async () => {
    for (const path of [
      '/',
      '/banking/v1',
      productionPath('a').replace('production', 'cancelAll'),
      `${statusPath('a')}/x`,
    ]) {
      assertRefused(await thread.get(thread.issuer, path), 404, 'NOT_FOUND');
    }
    assertRefused(await thread.get(thread.issuer, productionPath('a')), 404, 'NOT_FOUND');
    for (const spelling of ['PhysicalCards', 'PHYSICALCARDS']) {
      const path = statusPath('a').replace('physicalCards', spelling);
      assertRefused(await thread.get(thread.issuer, path), 404, 'NOT_FOUND');
    }
  });

  it("another issuer's path with 403 and callers without a good token with 401", async () => {
    const body = await orderBody(world);
    assertRefused(
      await thread.post(thread.issuer, productionPath(newCardId(), otherIssuerId), body),
      403,
      'FORBIDDEN',
    );
    const path = productionPath(newCardId());
    for (const authorization of [
      '',
      'Bearer',
      'Bearer x',
      `Basic ${thread.token}`,
      `Bearer ${thread.token}x`,
    ]) {
      const answer = await thread.issuer.request({
        method: 'POST',
        path,
        json: body,
        headers: { authorization },
      });
      assertRefused(answer, 401, 'AUTHORIZER_UNAUTHORIZED');
    }
  });

  it('a token that is shown with another certificate', async () => {
    const thief = thread.server.client('issuer', world.parties.otherIssuerClient);
    assertRefused(await thread.get(thief, statusPath(newCardId())), 401, 'AUTHORIZER_UNAUTHORIZED');
  });

  it('an order under a token that may only read', async () => {
    const answer = await thread.issuer.request({
      method: 'POST',
      path: '/authz/v1/oauth2/token',
      form: await readOnlyRequest(world),
    });
    const headers = { authorization: `Bearer ${String(jsonOf(answer)['access_token'])}` };
    const json = await orderBody(world);
    const path = productionPath(newCardId());
    assertRefused(await thread.issuer.request({ method: 'POST', path, json, headers }), 403, 'FORBIDDEN');
    const status = await thread.issuer.request({ method: 'GET', path: statusPath(newCardId()), headers });
    assertRefused(status, 404, 'NOT_FOUND');
  });

  it('headers that are too long with 400, without an internal error', async () => {
    const text = await rawHttp(
      world,
      thread,
      `GET / HTTP/1.1\r\nhost: x\r\nx-long: ${'x'.repeat(17_000)}\r\n\r\n`,
    );
    assert.match(text, /^HTTP\/1\.1 400 /);
    assert.match(text, /"errorCode":"FIELD_INVALID_FORMAT"/);
    assert.match(await rawHttp(world, thread, 'NONSENSE\r\n\r\n'), /^HTTP\/1\.1 400 /);
  });

  it('a malformed correlation id silently: it is replaced, a good one comes back', async () => {
    const ask = (id: string) =>
      thread.issuer.request({
        method: 'GET',
        path: statusPath(newCardId()),
        headers: { 'x-correlation-id': id },
      });
    assert.equal((await ask('k-20250117-0001')).headers['x-correlation-id'], 'k-20250117-0001');
    for (const id of ['has space', 'a'.repeat(65), 'a.b']) {
      const given = (await ask(id)).headers['x-correlation-id'];
      assert.notEqual(given, id);
      assert.match(String(given), /^[A-Za-z0-9_-]{1,64}$/);
    }
  });

  it('a client without a certificate, and one of another CA, before any request', async () => {
    for (const party of [undefined, world.parties.station]) {
      const files =
        party === undefined ? {} : { cert: readFileSync(party.certFile), key: readFileSync(party.keyFile) };
      await assert.rejects(rawHttp(world, thread, `GET /openapi.json HTTP/1.1\r\nhost: x\r\n\r\n`, files));
    }
  });
});

describe('the issuer API accepts', () => {
  let world: World;
  let thread: Thread;
  before(async () => {
    world = await createWorld();
    thread = await startThread(world);
  });
  after(async () => {
    await thread.stop();
    await world.close();
  });

  it('both spellings of every path and an escaped colon', async () => {
    const id = newCardId();
    const first = await thread.post(
      thread.issuer,
      productionPath(id).replace('operations:', 'operations%3A'),
      await orderBody(world),
    );
    assert.equal(first.status, 202, first.body);
    for (const card of ['physicalCards', 'physicalcards']) {
      for (const last of ['productionStatus', 'productionstatus']) {
        const path = statusPath(id).replace('physicalCards', card).replace('productionStatus', last);
        assert.equal((await thread.get(thread.issuer, path)).status, 200, path);
      }
      const path = productionPath(newCardId()).replace('physicalCards', card).replace(':', '%3a');
      assert.equal((await thread.post(thread.issuer, path, await orderBody(world))).status, 202, path);
    }
  });

  it('key indexes as numbers, design members by slot, defaults spelled out, and the default product', async () => {
    const accepted: Body[] = [
      { paymentApplication: { ...payment, odaKeyIndex: 1, derivationKeyIndex: '1', cvKeyIndex: '001' } },
      { cardDesign: { customLines: { top: 'A' }, images: { logo: 'img_1' } } },
      {
        services: {
          issuance: 'CREATION',
          delivery: 'NO_SHIPMENT',
          cardCarrier: 'NO_CARRIER',
          packaging: 'NO_PACK',
          pinMailer: false,
        },
      },
      { services: { issuance: 'CREATION', alphaCard: true, priority: 'HIGH' } },
      { cardProductId: undefined, consumerId: undefined, cardDesign: undefined },
    ];
    for (const changes of accepted) {
      const { operationId } = await thread.order(changes);
      assert.match(operationId, /^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$/);
    }
  });

  it('an order whose card data cannot be opened, which then ends as a data exception', async () => {
    const jwe = await encryptCard(world, makeCard());
    const flip = (text: string): string => (text.startsWith('A') ? 'B' : 'A') + text.slice(1);
    const broken = jwe
      .split('.')
      .map((part, at) => (at === 3 ? flip(part) : part))
      .join('.');
    const { cardId, operationId } = await thread.order({ encryptedData: broken });
    await thread.untilState(operationId, 'data_failed');
    const status = await thread.get(thread.issuer, statusPath(cardId));
    const [operation] = jsonOf(status)['operations'] as Body[];
    assert.deepEqual([operation?.['status'], operation?.['errorCode']], ['FAILED', 'DATA_JWE_INVALID']);
    assert.ok(String(operation?.['error']).length <= 128);
    assert.ok(operation?.['endTime']);
    assert.equal((operation['details'] as Body)['status'], 'DATA_EXCEPTION');
  });

  it('a card that was never ordered with 404 only', async () => {
    assertRefused(await thread.get(thread.issuer, statusPath(newCardId())), 404, 'NOT_FOUND');
  });
});

async function readOnlyRequest(world: World): Promise<Record<string, string>> {
  return {
    grant_type: grantType,
    assertion: await signAssertion(world, { iss: issuerId }),
    scope: 'd1-api:physical-card:read',
  };
}
