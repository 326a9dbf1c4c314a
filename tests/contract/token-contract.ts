/** Chapter 6.1: a signed assertion for an access token, and what the token is good for. */
import assert from 'node:assert/strict';
import { createHmac, createPublicKey, generateKeyPairSync, randomUUID } from 'node:crypto';
import { describe, it } from 'node:test';
import { assertNotEchoed, assertRefused } from './assert-answer.ts';
import { type ContractSystem, otherIssuerId } from './contract-system.ts';
import {
  type Answer,
  cardPath,
  encrypt,
  grantType,
  type Json,
  newCardId,
  send,
  signAssertion,
  tokenPath,
} from './d1-client.ts';

const form = { 'content-type': 'application/x-www-form-urlencoded' };

function assertTokenError(answer: Answer, status: number, error: string, what: string): void {
  assert.equal(answer.status, status, `${what}: ${answer.text}`);
  assert.deepEqual(Object.keys(answer.body).sort(), ['error', 'error_description'], what);
  assert.equal(answer.body['error'], error, what);
  assert.equal(typeof answer.body['error_description'], 'string', what);
}

function describeRequests(of: () => ContractSystem): void {
  const ask = (members: Readonly<Record<string, string>>): Promise<Answer> =>
    of().client.call({ path: tokenPath, headers: form, text: new URLSearchParams(members).toString() });
  const assertion = (claims: Json = {}, header: Json = {}): string =>
    signAssertion(of().client.issuer, claims, header);

  it('gives a bearer token of 900 seconds to a form and to JSON', async () => {
    for (const asJson of [false, true]) {
      const members = { grant_type: grantType, assertion: assertion({ jti: randomUUID() }) };
      const answer = asJson ? await of().client.call({ path: tokenPath, json: members }) : await ask(members);
      assert.equal(answer.status, 200, answer.text);
      const { access_token: token, ...rest } = answer.body;
      assert.equal(typeof token, 'string');
      const scope = 'd1-api:physical-card:full d1-api:physical-card:read';
      assert.deepEqual(rest, { expires_in: 900, scope, token_type: 'Bearer' });
      assert.equal(answer.headers['cache-control'], 'no-store');
      assert.match(String(answer.headers['x-correlation-id']), /^[A-Za-z0-9_-]{1,64}$/);
    }
  });

  it('takes assertions without sub, aud, iat and typ, and with the origin as audience', async () => {
    for (const claims of [
      { sub: undefined, iat: undefined },
      { aud: of().client.issuer.origin },
      { exp: Math.floor(Date.now() / 1000) + 900 },
    ]) {
      const answer = await ask({ grant_type: grantType, assertion: assertion(claims) });
      assert.equal(answer.status, 200, JSON.stringify(claims) + answer.text);
    }
    const untyped = assertion({}, { typ: undefined });
    assert.equal((await ask({ grant_type: grantType, assertion: untyped })).status, 200);
  });

  it('takes an assertion with a jti once, and one without as often as it comes', async () => {
    const once = { grant_type: grantType, assertion: assertion({ jti: randomUUID() }) };
    assert.equal((await ask(once)).status, 200);
    assertTokenError(await ask(once), 400, 'invalid_grant', 'the second use');
    const jti = randomUUID();
    const again = { grant_type: grantType, assertion: assertion({ jti, iat: undefined }) };
    const other = { grant_type: grantType, assertion: assertion({ jti }) };
    assert.equal((await ask(again)).status, 200);
    assertTokenError(await ask(other), 400, 'invalid_grant', 'another assertion with the same jti');
    const free = { grant_type: grantType, assertion: assertion() };
    assert.deepEqual([(await ask(free)).status, (await ask(free)).status], [200, 200]);
  });

  it('refuses every other assertion in one and the same way', async () => {
    const now = Math.floor(Date.now() / 1000);
    const { issuer } = of().client;
    const good = assertion();
    const [head = '', payload = '', signature = ''] = good.split('.');
    const publicPem = createPublicKey(issuer.signingKeyPem).export({ format: 'pem', type: 'spki' });
    const encode = (value: Json): string => Buffer.from(JSON.stringify(value)).toString('base64url');
    const hmacHead = encode({ alg: 'HS256', typ: 'JWT', kid: issuer.kid });
    const hmac = createHmac('sha256', publicPem).update(`${hmacHead}.${payload}`).digest('base64url');
    const stranger = generateKeyPairSync('ec', { namedCurve: 'P-256' }).privateKey.export({
      format: 'pem',
      type: 'pkcs8',
    });
    const cases: [what: string, assertion: string][] = [
      ['no kid', assertion({}, { kid: undefined })],
      ['an unknown kid', assertion({}, { kid: 'iss-key-2' })],
      ['a kid that is a path', assertion({}, { kid: '../iss-key-1' })],
      ['another type', assertion({}, { typ: 'at+jwt' })],
      ['no signature', `${encode({ alg: 'none', kid: issuer.kid })}.${payload}.`],
      ['an HMAC under the public key', `${hmacHead}.${payload}.${hmac}`],
      ['another key', signAssertion({ ...issuer, signingKeyPem: String(stranger) })],
      ['a changed payload', `${head}.${encode({ iss: issuer.issuerId, exp: now + 300 })}.${signature}`],
      ['two parts', `${head}.${payload}`],
      ['five parts', encrypt(issuer.recipientJwk, { iss: issuer.issuerId, exp: now + 300 })],
      ['no end', assertion({ exp: undefined })],
      ['an end that is text', assertion({ exp: String(now + 300) })],
      ['an end in the past', assertion({ exp: now - 61 })],
      ['an end too far away', assertion({ exp: now + 1000 })],
      ['a beginning in the future', assertion({ nbf: now + 120 })],
      ['a birth in the future', assertion({ iat: now + 120 })],
      ['no issuer', assertion({ iss: undefined })],
      ['an unknown issuer', assertion({ iss: 'ISS9999999', sub: 'ISS9999999' })],
      ['a subject that is not the issuer', assertion({ sub: otherIssuerId })],
      ['another audience', assertion({ aud: 'https://api.example.test' })],
      ['an audience that is a list', assertion({ aud: [issuer.origin] })],
      ['an empty jti', assertion({ jti: '' })],
    ];
    for (const [what, text] of cases) {
      const answer = await ask({ grant_type: grantType, assertion: text });
      assertTokenError(answer, 400, 'invalid_grant', what);
      assert.equal(answer.body['error_description'], 'The assertion was not accepted', what);
    }
  });

  it('names what is wrong with a request in the words of RFC 6749, without its values', async () => {
    const { client, canaries } = of();
    const canary = 'CNRYTOKENREQUEST';
    canaries.add(canary);
    const good = { grant_type: grantType, assertion: assertion() };
    const cases: [what: string, text: string, error: string][] = [
      ['nothing', '', 'invalid_request'],
      ['no assertion', `grant_type=${grantType}&x=${canary}`, 'invalid_request'],
      ['no grant type', `assertion=${canary}`, 'invalid_request'],
      ['another grant', `grant_type=${canary}&assertion=x`, 'unsupported_grant_type'],
      ['no JWT', `grant_type=${grantType}&assertion=${canary}`, 'invalid_grant'],
      [
        'a huge assertion',
        `grant_type=${grantType}&assertion=${canary.padEnd(9000, 'x')}`,
        'invalid_request',
      ],
      ['a member twice', `${new URLSearchParams(good).toString()}&grant_type=${canary}`, 'invalid_request'],
      ['an unknown scope', new URLSearchParams({ ...good, scope: canary }).toString(), 'invalid_scope'],
    ];
    for (const [what, text, error] of cases) {
      const answer = await client.call({ method: 'POST', path: tokenPath, headers: form, text });
      assertTokenError(answer, 400, error, what);
      assertNotEchoed(answer, canary, what);
    }
    for (const text of ['', '{', '[]', 'null', `"${canary}"`, `{"grant_type":1,"assertion":"${canary}"}`]) {
      const headers = { 'content-type': 'application/json' };
      const answer = await client.call({ method: 'POST', path: tokenPath, headers, text });
      assertTokenError(answer, 400, 'invalid_request', text);
      assertNotEchoed(answer, canary, text);
    }
    const headers = { 'content-type': 'text/plain' };
    const plain = await client.call({ path: tokenPath, headers, text: canary });
    assertRefused(plain, 415, 'UNSUPPORTED_MEDIA_TYPE', /JSON|form/, 'text');
  });
}

function describeBinding(of: () => ContractSystem): void {
  it('is given to the certificate of its issuer only', async () => {
    const { client, otherClient, strangers } = of();
    const text = new URLSearchParams({
      grant_type: grantType,
      assertion: signAssertion(client.issuer),
    });
    const call = { path: tokenPath, headers: form, text: text.toString() };
    assertTokenError(await otherClient.call(call), 401, 'invalid_client', "another issuer's certificate");
    const { cert, key } = strangers.unregistered;
    const { origin, ca } = client.issuer;
    const answer = await send(origin, { ca, cert, key, agent: false }, call);
    assertTokenError(answer, 401, 'invalid_client', 'an unregistered certificate');
  });

  it('works with that certificate only, for that issuer only, and in the header only', async () => {
    const { client, otherClient, strangers } = of();
    const token = await client.fetchToken();
    const path = `${cardPath(client.issuer.issuerId, newCardId())}/productionStatus`;
    const unauthorized = (answer: Answer, what: string): void => {
      assertRefused(answer, 401, 'AUTHORIZER_UNAUTHORIZED', /token/, what);
      assert.equal(answer.headers['www-authenticate'], 'Bearer', what);
    };
    assert.equal((await client.call({ path, token })).status, 404);
    unauthorized(await otherClient.call({ path, token }), "another issuer's certificate");
    const { cert, key } = strangers.unregistered;
    const { origin, ca } = client.issuer;
    unauthorized(await send(origin, { ca, cert, key, agent: false }, { path, token }), 'a stranger');
    unauthorized(await client.call({ path }), 'no token');
    unauthorized(await client.call({ path: `${path}?access_token=${token}` }), 'a token in the address');
    unauthorized(await client.call({ path, token: `${token}x` }), 'a changed token');
    unauthorized(await client.call({ path, token: signAssertion(client.issuer) }), 'an assertion');
    for (const authorization of [`Basic ${token}`, token, 'Bearer', 'Bearer  ', `Bearer ${token} ${token}`]) {
      unauthorized(await client.call({ path, headers: { authorization } }), authorization.slice(0, 12));
    }
    const foreign = `${cardPath(otherIssuerId, newCardId())}/productionStatus`;
    assertRefused(await client.call({ path: foreign, token }), 403, 'FORBIDDEN', /token/, 'another issuer');
    const unknown = `${cardPath('ISS9999999', newCardId())}/productionStatus`;
    assertRefused(await client.call({ path: unknown, token }), 403, 'FORBIDDEN', /token/, 'no issuer');
  });

  it('that may only read reads, and does not order', async () => {
    const { client } = of();
    const token = await client.fetchToken('d1-api:physical-card:read');
    const path = cardPath(client.issuer.issuerId, newCardId());
    const order = await client.call({
      path: `${path}/operations:production`,
      token,
      json: client.orderBody(),
    });
    assertRefused(order, 403, 'FORBIDDEN', /token/, 'an order');
    const status = await client.call({ path: `${path}/productionStatus`, token });
    assertRefused(status, 404, 'NOT_FOUND', /./, 'the order that was not taken');
  });
}

export function describeTokens(of: () => ContractSystem): void {
  describe('the token endpoint', () => {
    describeRequests(of);
  });
  describe('an access token', () => {
    describeBinding(of);
  });
}
