import assert from 'node:assert/strict';
import { connect } from 'node:tls';
import { readFileSync } from 'node:fs';
import { after, before, describe, it } from 'node:test';
import { check, D1Error } from '@cardwright/protocol';
import { type ClientAnswer } from '@cardwright/runtime';
import {
  createWorld,
  encryptCard,
  foreignStationId,
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
import { jsonOf, startThread, type Thread } from './support/thread.ts';

type Body = Record<string, unknown>;

function assertRefused(answer: ClientAnswer, status: number, errorCode: string, error?: string): void {
  const body = jsonOf(answer);
  assert.deepEqual([answer.status, body['errorCode']], [status, errorCode], answer.body);
  if (error !== undefined) assert.equal(body['error'], error);
  assert.equal(check(D1Error, body).ok, true);
  assert.deepEqual(Object.keys(body).sort(), ['error', 'errorCode']);
  assert.match(String(answer.headers['content-type']), /^application\/json/);
  assert.match(String(answer.headers['x-correlation-id']), /^[A-Za-z0-9_-]{1,64}$/);
}

/** Changes one part of a compact JWE's header. */
function withHeader(jwe: string, change: (header: Body) => Body): string {
  const [head = '', ...rest] = jwe.split('.');
  const header = JSON.parse(Buffer.from(head, 'base64url').toString()) as Body;
  return [Buffer.from(JSON.stringify(change(header))).toString('base64url'), ...rest].join('.');
}

const payment = { config: 'CCD_3DES_01', odaKeyIndex: '01', derivationKeyIndex: '01' };
const format = 'FIELD_INVALID_FORMAT';
const value = 'FIELD_INVALID_VALUE';

/** What is changed in a valid order, and the refusal it earns. */
const refusedOrders: readonly (readonly [string, Body, string, string])[] = [
  ['channel THALES', { distributionChannel: 'THALES' }, value, 'distributionChannel'],
  ['channel CENTRAL', { distributionChannel: 'CENTRAL' }, value, 'distributionChannel'],
  ['a channel of the wrong type', { distributionChannel: 1 }, format, 'distributionChannel'],
  ['no channel', { distributionChannel: undefined }, format, 'distributionChannel'],
  ['a shipment', { shipment: {} }, value, 'shipment'],
  ['a carrier configuration', { cardCarrierConfig: {} }, value, 'cardCarrierConfig'],
  ['clear track data', { trackData: { track2: 'x' } }, value, 'trackData'],
  ['a clear PIN', { pin: '1234' }, format, 'pin'],
  ['an unknown member', { surprise: true }, format, 'surprise'],
  ['an unknown nested member', { services: { issuance: 'CREATION', extra: 1 } }, format, 'services.extra'],
  ['no services', { services: undefined }, format, 'services'],
  ['services without issuance', { services: {} }, format, 'services.issuance'],
  ['an unknown issuance', { services: { issuance: 'GIFT' } }, value, 'services.issuance'],
  ['a PIN mailer', { services: { issuance: 'CREATION', pinMailer: true } }, value, 'services.pinMailer'],
  [
    'a PIN mailer of the wrong type',
    { services: { issuance: 'CREATION', pinMailer: 1 } },
    format,
    'services.pinMailer',
  ],
  ['a delivery', { services: { issuance: 'CREATION', delivery: 'EXPRESS' } }, value, 'services.delivery'],
  ['a carrier', { services: { issuance: 'CREATION', cardCarrier: 'A4' } }, value, 'services.cardCarrier'],
  ['a packaging', { services: { issuance: 'CREATION', packaging: 'BOX' } }, value, 'services.packaging'],
  [
    'a priority that is too long',
    { services: { issuance: 'CREATION', priority: 'x'.repeat(65) } },
    format,
    'services.priority',
  ],
  ['no station', { persoStation: undefined }, format, 'persoStation'],
  ['a malformed station', { persoStation: 'KIOSK 1' }, format, 'persoStation'],
  ['an unknown station', { persoStation: 'KIOSK-PS-999' }, value, 'persoStation'],
  ['a station in other case', { persoStation: 'kiosk-ps-101' }, value, 'persoStation'],
  ["another issuer's station", { persoStation: foreignStationId }, value, 'persoStation'],
  ['an unknown product', { cardProductId: 'GOLD' }, value, 'cardProductId'],
  ['a malformed product', { cardProductId: 'DEBIT STD' }, format, 'cardProductId'],
  ['a malformed consumer', { consumerId: 'a b' }, format, 'consumerId'],
  ['a malformed request id', { issuerRequestId: 'a/b' }, format, 'issuerRequestId'],
  ['a request id that is too long', { issuerRequestId: 'a'.repeat(65) }, format, 'issuerRequestId'],
  ['no payment application', { paymentApplication: undefined }, format, 'paymentApplication'],
  [
    'no configuration',
    { paymentApplication: { odaKeyIndex: '01', derivationKeyIndex: '01' } },
    format,
    'paymentApplication.config',
  ],
  [
    'no ODA key',
    { paymentApplication: { config: 'CCD_3DES_01', derivationKeyIndex: '01' } },
    format,
    'paymentApplication.odaKeyIndex',
  ],
  [
    'an unknown configuration',
    { paymentApplication: { ...payment, config: 'OTHER' } },
    value,
    'paymentApplication.config',
  ],
  [
    'an unknown ODA key',
    { paymentApplication: { ...payment, odaKeyIndex: '02' } },
    value,
    'paymentApplication.odaKeyIndex',
  ],
  [
    'an unknown derivation key',
    { paymentApplication: { ...payment, derivationKeyIndex: 7 } },
    value,
    'paymentApplication.derivationKeyIndex',
  ],
  [
    'an unknown CVK',
    { paymentApplication: { ...payment, cvKeyIndex: '9' } },
    value,
    'paymentApplication.cvKeyIndex',
  ],
  [
    'an unknown PVK',
    { paymentApplication: { ...payment, pvKeyIndex: '01' } },
    value,
    'paymentApplication.pvKeyIndex',
  ],
  [
    'a malformed key index',
    { paymentApplication: { ...payment, odaKeyIndex: '0 1' } },
    format,
    'paymentApplication.odaKeyIndex',
  ],
  [
    'a fractional key index',
    { paymentApplication: { ...payment, odaKeyIndex: 1.5 } },
    format,
    'paymentApplication.odaKeyIndex',
  ],
  ['a design of the wrong type', { cardDesign: [] }, format, 'cardDesign'],
  ['too many lines', { cardDesign: { customLines: Array(9).fill('x') } }, format, 'cardDesign.customLines'],
  [
    'a member id that is too long',
    { cardDesign: { memberId: 'x'.repeat(65) } },
    format,
    'cardDesign.memberId',
  ],
  ['a malformed image', { cardDesign: { cardImage: '../../etc' } }, format, 'cardDesign.cardImage'],
  ['no encrypted data', { encryptedData: undefined }, format, 'encryptedData'],
  ['encrypted data that is no string', { encryptedData: { a: 1 } }, format, 'encryptedData'],
  ['empty encrypted data', { encryptedData: '' }, value, 'encryptedData'],
  ['encrypted data that is too long', { encryptedData: 'a'.repeat(8193) }, value, 'encryptedData'],
  ['four parts', { encryptedData: 'a.b.c.d' }, value, 'encryptedData'],
];

const refusedJwes: readonly (readonly [string, (jwe: string) => string])[] = [
  ['six parts', (jwe) => `${jwe}.AAAA`],
  ['an encrypted key', (jwe) => jwe.replace('..', '.AAAA.')],
  [
    'a short IV',
    (jwe) =>
      jwe
        .split('.')
        .map((part, at) => (at === 2 ? part.slice(0, 8) : part))
        .join('.'),
  ],
  ['a short tag', (jwe) => jwe.slice(0, -4)],
  [
    'an empty ciphertext',
    (jwe) =>
      jwe
        .split('.')
        .map((part, at) => (at === 3 ? '' : part))
        .join('.'),
  ],
  ['foreign characters', (jwe) => `${jwe.slice(0, -1)}=`],
  ['no header', (jwe) => jwe.slice(jwe.indexOf('.'))],
  ['a header that is no JSON', (jwe) => `AAAA${jwe.slice(jwe.indexOf('.'))}`],
  ['another algorithm', (jwe) => withHeader(jwe, (header) => ({ ...header, alg: 'dir' }))],
  ['another encryption', (jwe) => withHeader(jwe, (header) => ({ ...header, enc: 'A128GCM' }))],
  ['compression', (jwe) => withHeader(jwe, (header) => ({ ...header, zip: 'DEF' }))],
  ['crit', (jwe) => withHeader(jwe, (header) => ({ ...header, crit: ['exp'] }))],
  ['a key by address', (jwe) => withHeader(jwe, (header) => ({ ...header, jku: 'https://x' }))],
  ['no kid', (jwe) => withHeader(jwe, (header) => ({ ...header, kid: undefined }))],
  ['a kid that is a path', (jwe) => withHeader(jwe, (header) => ({ ...header, kid: '../key' }))],
  ['an unknown kid', (jwe) => withHeader(jwe, (header) => ({ ...header, kid: 'recipient-9' }))],
  ['no ephemeral key', (jwe) => withHeader(jwe, (header) => ({ ...header, epk: undefined }))],
  [
    'another curve',
    (jwe) => withHeader(jwe, (header) => ({ ...header, epk: { ...(header['epk'] as Body), crv: 'P-384' } })),
  ],
  [
    'a point beside the curve',
    (jwe) =>
      withHeader(jwe, (header) => ({
        ...header,
        epk: { ...(header['epk'] as Body), y: Buffer.alloc(32, 7).toString('base64url') },
      })),
  ],
  [
    'an ephemeral private key',
    (jwe) => withHeader(jwe, (header) => ({ ...header, epk: { ...(header['epk'] as Body), d: 'AA' } })),
  ],
];

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

/** Sends bytes as they are over the issuer client's TLS and reads until the server closes or answers once. */
async function rawHttp(
  world: World,
  thread: Thread,
  text: string,
  files?: { readonly cert?: Buffer; readonly key?: Buffer },
): Promise<string> {
  const { issuerClient } = world.parties;
  const identity = files ?? {
    cert: readFileSync(issuerClient.certFile),
    key: readFileSync(issuerClient.keyFile),
  };
  const port = Number(new URL(thread.server.origins.issuer).port);
  return new Promise((resolve, reject) => {
    const socket = connect({
      ...identity,
      port,
      host: '127.0.0.1',
      servername: 'localhost',
      ca: readFileSync(`${world.folder}/server-ca.pem`),
    });
    let received = '';
    socket.on('secureConnect', () => socket.write(text));
    socket.on('data', (chunk: Buffer) => {
      received += chunk.toString('utf8');
      const end = received.indexOf('\r\n\r\n');
      const length = /content-length: (\d+)/i.exec(received)?.[1];
      if (end !== -1 && length !== undefined && received.length >= end + 4 + Number(length)) {
        socket.destroy();
        resolve(received);
      }
    });
    socket.on('error', reject);
    socket.on('close', () => {
      if (received === '') reject(new Error('closed without an answer'));
      else resolve(received);
    });
  });
}

/** A request with a body as it is, whatever it is. */
async function rawRequest(
  world: World,
  thread: Thread,
  method: string,
  path: string,
  body: string,
  headers: Record<string, string>,
): Promise<ClientAnswer> {
  const head = Object.entries({
    host: 'localhost',
    authorization: `Bearer ${thread.token}`,
    'content-length': String(Buffer.byteLength(body)),
    ...headers,
  }).map(([name, content]) => `${name}: ${content}\r\n`);
  const text = await rawHttp(world, thread, `${method} ${path} HTTP/1.1\r\n${head.join('')}\r\n${body}`);
  const [start = '', ...rest] = text.split('\r\n\r\n');
  const [line = '', ...lines] = start.split('\r\n');
  const pairs = lines.map((one) => [
    one.slice(0, one.indexOf(':')).toLowerCase(),
    one.slice(one.indexOf(':') + 2),
  ]);
  return {
    status: Number(line.split(' ')[1]),
    headers: Object.fromEntries(pairs) as Record<string, string>,
    body: rest.join('\r\n\r\n'),
  };
}
