/** Chapter 7 and 10: who may connect, and what the server says to HTTP that is not as agreed. */
import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { type RequestOptions } from 'node:https';
import { join } from 'node:path';
import { describe, it } from 'node:test';
import { connect, type ConnectionOptions } from 'node:tls';
import { assertRefused } from './assert-answer.ts';
import { type ContractSystem } from './contract-system.ts';
import { cardPath, newCardId, send, tokenPath } from './d1-client.ts';

/** Sends raw bytes over a connection of its own and reads until the server closes it. */
function sendRaw(system: ContractSystem, text: string, tls: ConnectionOptions = {}): Promise<string> {
  const { issuer } = system.client;
  const { hostname, port } = new URL(issuer.origin);
  const { ca, cert, key } = issuer;
  return new Promise((resolve, reject) => {
    const options = { host: hostname, port: Number(port), servername: hostname, ca, cert, key, ...tls };
    const socket = connect(options, () => socket.write(text));
    let answer = '';
    socket.on('data', (chunk: Buffer) => (answer += chunk.toString('utf8')));
    socket.on('error', reject);
    socket.on('close', () => {
      resolve(answer);
    });
  });
}

function describeConnections(of: () => ContractSystem): void {
  it('refuses a client without a certificate, or with one of a CA that it does not know', async () => {
    const { client, strangers } = of();
    const { origin, ca } = client.issuer;
    await assert.rejects(send(origin, { ca, agent: false }, { path: '/openapi.json' }));
    const { cert, key } = strangers.otherCa;
    await assert.rejects(send(origin, { ca, cert, key, agent: false }, { path: '/openapi.json' }));
    const station = join(of().folder, 'agent');
    const other: RequestOptions = {
      cert: readFileSync(join(station, 'station.pem')),
      key: readFileSync(join(station, 'station.key')),
    };
    await assert.rejects(send(origin, { ca, ...other, agent: false }, { path: '/openapi.json' }));
  });

  it('speaks TLS 1.2 and 1.3, nothing older and no suite without authenticated encryption', async () => {
    const get = 'GET /openapi.json HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n';
    for (const version of ['TLSv1.2', 'TLSv1.3'] as const) {
      const answer = await sendRaw(of(), get, { minVersion: version, maxVersion: version });
      assert.match(answer, /^HTTP\/1\.1 200 /, version);
    }
    for (const version of ['TLSv1', 'TLSv1.1'] as const) {
      // Without this our own library would refuse the old version before the server can.
      const tls = { minVersion: version, maxVersion: version, ciphers: 'DEFAULT@SECLEVEL=0' } as const;
      await assert.rejects(sendRaw(of(), get, tls), /alert protocol version/, version);
    }
    for (const ciphers of ['ECDHE-ECDSA-AES256-SHA384', 'ECDHE-ECDSA-AES128-SHA', 'AES256-GCM-SHA384']) {
      await assert.rejects(
        sendRaw(of(), get, { maxVersion: 'TLSv1.2', ciphers: `${ciphers}@SECLEVEL=0` }),
        /alert handshake failure/,
        ciphers,
      );
    }
  });
}

function describeHttp(of: () => ContractSystem): void {
  const post = async (headers: Readonly<Record<string, string>>, text: string | Buffer) => {
    const { client } = of();
    const path = `${cardPath(client.issuer.issuerId, newCardId())}/operations:production`;
    return client.call({ method: 'POST', path, token: await client.fetchToken(), headers, text });
  };
  const json = { 'content-type': 'application/json' };

  it('answers unknown paths and methods with 404 and the documented body', async () => {
    const { client } = of();
    const { issuerId } = client.issuer;
    const token = await client.fetchToken();
    const card = cardPath(issuerId, 'card_1');
    const calls: [string, string][] = [
      ['GET', '/'],
      ['GET', '/banking/v1'],
      ['GET', `${card}/operations:production`],
      ['PUT', `${card}/operations:production`],
      ['DELETE', `${card}/operations:production`],
      ['PATCH', `${card}/productionStatus`],
      ['POST', `${card}/productionStatus`],
      ['GET', `${card}/productionStatus/`],
      ['POST', `${card}/operations:produktion`],
      ['POST', `${card}/operations%253Aproduction`],
      ['POST', `${card}/operations`],
      ['POST', `/banking/v1/issuers/${issuerId}/physicalCards/operations:production`],
      ['POST', `${card}/operations:cancelProduction`],
      ['POST', `/banking/v2/issuers/${issuerId}/physicalCards/card_1/operations:production`],
      ['POST', `/BANKING/v1/issuers/${issuerId}/physicalCards/card_1/operations:production`],
      ['PUT', `/banking/v2/issuers/${issuerId}/consumers/c1`],
      ['POST', `/banking/v2/issuers/${issuerId}/cards`],
      ['GET', tokenPath],
      ['OPTIONS', `${card}/productionStatus`],
      ['PROPFIND', `${card}/productionStatus`],
    ];
    for (const [method, path] of calls) {
      const answer = await client.call({ method, path, token });
      assertRefused(answer, 404, 'NOT_FOUND', /^[A-Z][a-z ]+$/, `${method} ${path}`);
    }
    const head = await client.call({ method: 'HEAD', path: `${card}/productionStatus`, token });
    assert.equal(head.status, 404);
  });

  it('names a malformed path parameter, and a path that cannot be read', async () => {
    const { client } = of();
    const { issuerId } = client.issuer;
    const token = await client.fetchToken();
    const cases: [string, string][] = [
      [`/banking/v1/issuers/${issuerId}/physicalCards/a.b/productionStatus`, 'cardId'],
      [`/banking/v1/issuers/${issuerId}/physicalCards/${'c'.repeat(49)}/productionStatus`, 'cardId'],
      [`/banking/v1/issuers/${issuerId}/physicalCards/${'c'.repeat(5000)}/productionStatus`, 'cardId'],
      [`/banking/v1/issuers/${issuerId}/physicalCards/a%2Fb/productionStatus`, 'cardId'],
      [`/banking/v1/issuers/${issuerId}/physicalCards/%E5%B1%B1/productionStatus`, 'cardId'],
      ['/banking/v1/issuers/ISS/physicalCards/c1/productionStatus', 'issuerId'],
      ['/banking/v1/issuers/ISS00000011/physicalCards/c1/productionStatus', 'issuerId'],
      [`/banking/v1/issuers/${issuerId}/physicalCards/%zz/productionStatus`, 'path'],
    ];
    for (const [path, field] of cases) {
      assertRefused(
        await client.call({ path, token }),
        400,
        'FIELD_INVALID_FORMAT',
        field,
        path.slice(0, 90),
      );
    }
  });

  it('takes JSON only: other types are 415, whatever they hold', async () => {
    const body = JSON.stringify(of().client.orderBody());
    const types = ['text/plain', 'application/x-www-form-urlencoded', 'application/xml', 'application/jsonp'];
    for (const type of [...types, 'application/json; charset=iso-8859-1', 'multipart/form-data']) {
      const answer = await post({ 'content-type': type }, body);
      assertRefused(answer, 415, 'UNSUPPORTED_MEDIA_TYPE', /JSON/, type);
    }
    assertRefused(await post({}, body), 415, 'UNSUPPORTED_MEDIA_TYPE', /JSON/, 'no type');
  });

  it('takes strict JSON only, and names a member that is there twice', async () => {
    const { client, canaries } = of();
    const good = JSON.stringify(client.orderBody());
    const deep = (depth: number): string => `${'['.repeat(depth)}1${']'.repeat(depth)}`;
    canaries.add('CNRYJSONBODY');
    const cases: [what: string, text: string | Buffer, field: string][] = [
      ['nothing', '', 'body'],
      ['a blank', ' ', 'body'],
      ['no JSON', 'CNRYJSONBODY', 'body'],
      ['half of it', good.slice(0, -2), 'body'],
      ['more than one value', `${good}${good}`, 'body'],
      ['a byte order mark', `\uFEFF${good}`, 'body'],
      ['a comment', good.replace('{', '{/* CNRYJSONBODY */'), 'body'],
      ['a trailing comma', good.replace(/}$/, ',}'), 'body'],
      ['single quotes', good.replaceAll('"', "'"), 'body'],
      ['bytes that are no UTF-8', Buffer.from([0x7b, 0x22, 0xff, 0x22, 0x3a, 0x31, 0x7d]), 'body'],
      ['a list', `[${good}]`, 'body'],
      ['null', 'null', 'body'],
      ['a text', '"CNRYJSONBODY"', 'body'],
      ['17 levels', good.replace('{', `{"deep":${deep(17)},`), 'body'],
      ['many levels', deep(20_000), 'body'],
      ['a station twice', good.replace('{', '{"persoStation":"CNRYJSONBODY",'), 'persoStation'],
      [
        'an inner member twice',
        good.replace('"services":{', '"services":{"issuance":"RENEWAL",'),
        'services.issuance',
      ],
      [
        'a member twice, once escaped',
        good.replace('{', '{"perso\\u0053tation":"CNRYJSONBODY",'),
        'persoStation',
      ],
      ['a prototype', good.replace('{', '{"__proto__":{"persoStation":"CNRYJSONBODY"},'), '__proto__'],
      ['compressed content', Buffer.from('1f8b0800000000000003', 'hex'), 'body'],
    ];
    for (const [what, text, field] of cases) {
      const answer = await post(json, text);
      assertRefused(answer, 400, 'FIELD_INVALID_FORMAT', field, what);
      assert.doesNotMatch(answer.text, /CNRY/, what);
    }
  });

  it('reads bodies up to 64 KiB and refuses longer ones with 413, told or chunked', async () => {
    const { client } = of();
    const good = JSON.stringify(client.orderBody());
    const padded = (bytes: number): string => good.replace('{', `{${' '.repeat(bytes - good.length)}`);
    assert.equal((await post(json, padded(64 * 1024))).status, 202);
    const tooLong = padded(64 * 1024 + 1);
    assertRefused(await post(json, tooLong), 413, 'PAYLOAD_TOO_LARGE', /large/, 'told');
    const token = await client.fetchToken();
    const path = `${cardPath(client.issuer.issuerId, newCardId())}/operations:production`;
    const chunk = 'x'.repeat(66 * 1024);
    const raw = await sendRaw(
      of(),
      `POST ${path} HTTP/1.1\r\nhost: x\r\nauthorization: Bearer ${token}\r\ncontent-type: application/json\r\n` +
        `transfer-encoding: chunked\r\nconnection: close\r\n\r\n${chunk.length.toString(16)}\r\n${chunk}\r\n0\r\n\r\n`,
    );
    assert.match(raw, /^HTTP\/1\.1 413 /);
    assert.match(raw, /"errorCode":"PAYLOAD_TOO_LARGE"/);
    const headers = { 'content-type': 'application/x-www-form-urlencoded' };
    const form = await client.call({ path: tokenPath, headers, text: 'x'.repeat(64 * 1024 + 1) });
    assert.equal(form.status, 413);
  });

  it('answers HTTP that Node itself would refuse with a documented body, and never with a 5xx', async () => {
    const close = 'connection: close\r\n\r\n';
    const long = 'h'.repeat(17 * 1024);
    const cases: [what: string, text: string, status: number][] = [
      ['headers above 16 KiB', `GET /openapi.json HTTP/1.1\r\nhost: x\r\nx-long: ${long}\r\n${close}`, 400],
      ['no HTTP', 'CNRYHTTP\r\n\r\n', 400],
      ['an unknown method', `BREW /openapi.json HTTP/1.1\r\nhost: x\r\n${close}`, 400],
      ['a header that is none', `GET /openapi.json HTTP/1.1\r\nhost: x\r\nCNRYHTTP\r\n${close}`, 400],
      [
        'two lengths',
        `POST / HTTP/1.1\r\nhost: x\r\ncontent-length: 1\r\ncontent-length: 2\r\n${close}`,
        400,
      ],
      [
        'a length and chunks',
        `POST / HTTP/1.1\r\nhost: x\r\ncontent-length: 5\r\ntransfer-encoding: chunked\r\n${close}0\r\n\r\n`,
        400,
      ],
      ['no host', `GET /banking HTTP/1.1\r\n${close}`, 404],
      ['an expectation', `GET /banking HTTP/1.1\r\nhost: x\r\nexpect: CNRYHTTP\r\n${close}`, 404],
      [
        'an upgrade',
        `GET /banking HTTP/1.1\r\nhost: x\r\nupgrade: h2c\r\nconnection: upgrade, close\r\n\r\n`,
        404,
      ],
      ['an absolute address', `GET https://example.test/banking HTTP/1.1\r\nhost: x\r\n${close}`, 404],
    ];
    for (const [what, text, status] of cases) {
      const answer = await sendRaw(of(), text);
      assert.match(answer, new RegExp(`^HTTP/1\\.1 ${String(status)} `), what);
      assert.match(answer, /"errorCode":"(FIELD_INVALID_FORMAT|NOT_FOUND)"/, what);
      assert.match(answer, /x-correlation-id: [0-9a-f-]{36}/i, what);
      assert.doesNotMatch(answer, /CNRY/, what);
    }
    of().canaries.add('CNRYHTTP');
  });

  it('gives a good correlation id back and replaces a malformed one, on every kind of answer', async () => {
    const { client, canaries } = of();
    const paths = ['/openapi.json', '/nothing', cardPath(client.issuer.issuerId, 'c1') + '/productionStatus'];
    const malformed = 'CNRYCORRELATION id';
    canaries.add('CNRYCORRELATION');
    for (const path of paths) {
      const ask = async (id: string): Promise<string> => {
        const answer = await client.call({ path, headers: { 'x-correlation-id': id } });
        return String(answer.headers['x-correlation-id']);
      };
      assert.equal(await ask('k-20250117-0001'), 'k-20250117-0001');
      assert.equal(await ask('x'.repeat(64)), 'x'.repeat(64));
      for (const bad of [malformed, 'CNRYCORRELATION'.padEnd(65, 'x'), 'CNRYCORRELATION.x', '']) {
        const replaced = await ask(bad);
        assert.match(replaced, /^[A-Za-z0-9_-]{1,64}$/);
        assert.doesNotMatch(replaced, /CNRY/);
      }
      assert.notEqual(await ask(malformed), await ask(malformed));
    }
  });
}

export function describeTransport(of: () => ContractSystem): void {
  describe('the connection', () => {
    describeConnections(of);
  });
  describe('HTTP', () => {
    describeHttp(of);
  });
}
