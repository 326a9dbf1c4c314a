import assert from 'node:assert/strict';
import { createPublicKey, randomUUID } from 'node:crypto';
import { after, before, describe, it } from 'node:test';
import { check, TokenAnswer, TokenError } from '@cardwright/protocol';
import { type ClientAnswer } from '@cardwright/runtime';
import {
  base64url,
  CompactEncrypt,
  CompactSign,
  decodeJwt,
  decodeProtectedHeader,
  importPKCS8,
  SignJWT,
} from 'jose';
import { describeOnEachEngine } from './support/engines.ts';
import {
  createWorld,
  getToken,
  grantType,
  issuerId,
  newCardId,
  otherIssuerId,
  publicOrigin,
  signAssertion,
  statusPath,
  type World,
} from './support/server-fixture.ts';
import { jsonOf, startThread, type Thread } from './support/thread.ts';
import { createVirtualClock } from './support/virtual-clock.ts';

const path = '/authz/v1/oauth2/token';
const nowS = (): number => Math.floor(Date.now() / 1_000);

function assertRefused(answer: ClientAnswer, status: number, error: string): void {
  assert.deepEqual([answer.status, jsonOf(answer)['error']], [status, error], answer.body);
  assert.equal(check(TokenError, jsonOf(answer)).ok, true);
}

describeOnEachEngine('the token endpoint', (engine) => {
  let world: World;
  let thread: Thread;
  before(async () => {
    world = await createWorld({ engine });
    thread = await startThread(world);
  });
  after(async () => {
    await thread.stop();
    await world.close();
  });
  const ask = (assertion: string, client = thread.issuer): Promise<ClientAnswer> =>
    client.request({ method: 'POST', path, form: { grant_type: grantType, assertion } });

  it('answers a form and JSON with a bearer token of 900 seconds, bound to the client certificate', async () => {
    for (const kind of ['form', 'json'] as const) {
      const request = { grant_type: grantType, assertion: await signAssertion(world) };
      const answer = await thread.issuer.request({ method: 'POST', path, [kind]: request });
      assert.equal(answer.status, 200, answer.body);
      assert.equal(check(TokenAnswer, jsonOf(answer)).ok, true);
      const { access_token: token, ...rest } = jsonOf(answer);
      assert.deepEqual(rest, {
        expires_in: 900,
        scope: 'd1-api:physical-card:full d1-api:physical-card:read',
        token_type: 'Bearer',
      });
      assert.deepEqual(decodeProtectedHeader(String(token)), { alg: 'ES256', typ: 'at+jwt' });
      const claims = decodeJwt(String(token));
      assert.deepEqual(claims['cnf'], { 'x5t#S256': world.parties.issuerClient.thumbprint });
      assert.equal(Number(claims.exp) - Number(claims.iat), 900);
      assert.match(String(answer.headers['cache-control']), /no-store/);
    }
  });

  it('accepts assertions without aud, sub, typ, iat and jti', async () => {
    const assertion = await signAssertion(
      world,
      { aud: undefined, sub: undefined, iat: undefined },
      { typ: undefined },
    );
    assert.equal((await ask(assertion)).status, 200);
  });

  const accepted: readonly (readonly [string, () => Record<string, unknown>])[] = [
    ['that expired less than a minute ago', () => ({ exp: nowS() - 50 })],
    ['issued less than a minute ahead', () => ({ iat: nowS() + 50, nbf: nowS() + 50 })],
    ['that lasts fifteen minutes', () => ({ exp: nowS() + 900 })],
  ];
  for (const [what, claims] of accepted) {
    it(`accepts an assertion ${what}`, async () => {
      assert.equal((await ask(await signAssertion(world, claims()))).status, 200);
    });
  }

  const refused: readonly (readonly [string, () => Record<string, unknown>])[] = [
    ['that expired more than a minute ago', () => ({ exp: nowS() - 65 })],
    ['that lasts too long', () => ({ exp: nowS() + 970 })],
    ['without exp', () => ({ exp: undefined })],
    ['with exp as text', () => ({ exp: String(nowS() + 60) })],
    ['issued in the future', () => ({ iat: nowS() + 70 })],
    ['not valid yet', () => ({ nbf: nowS() + 70 })],
    ['for another audience', () => ({ aud: 'https://other.test' })],
    ['for a path below the audience', () => ({ aud: `${publicOrigin}/authz/v1/oauth2/token` })],
    ['with a list of audiences', () => ({ aud: [publicOrigin] })],
    ['about another subject', () => ({ sub: otherIssuerId })],
    ['of an unknown issuer', () => ({ iss: 'ISS9999999', sub: 'ISS9999999' })],
    ['without issuer', () => ({ iss: undefined })],
    ['with an empty jti', () => ({ jti: '' })],
  ];
  for (const [what, claims] of refused) {
    it(`refuses an assertion ${what}`, async () => {
      assertRefused(await ask(await signAssertion(world, claims())), 400, 'invalid_grant');
    });
  }

  it('refuses every other algorithm, with one answer for all', async () => {
    const claims = { iss: issuerId, exp: nowS() + 300 };
    const encode = (part: object): string => base64url.encode(JSON.stringify(part));
    const { kty, crv, x, y } = world.signing.publicJwk;
    const publicPem = createPublicKey({ key: { kty, crv, x, y }, format: 'jwk' }).export({
      type: 'spki',
      format: 'pem',
    });
    const forged = [
      ...['none', 'NONE', 'nOnE', 'HS256', 'ES384', 'RS256', 'es256', ''].flatMap((alg) =>
        ['', 'AAAA'].map(
          (signature) => `${encode({ alg, kid: 'iss-key-1' })}.${encode(claims)}.${signature}`,
        ),
      ),
      await new SignJWT(claims)
        .setProtectedHeader({ alg: 'HS256', kid: 'iss-key-1' })
        .sign(new TextEncoder().encode(String(publicPem))),
      `${encode({ kid: 'iss-key-1' })}.${encode(claims)}.AAAA`,
    ];
    const answers = await Promise.all(forged.map((assertion) => ask(assertion)));
    for (const answer of answers) assertRefused(answer, 400, 'invalid_grant');
    assert.equal(new Set(answers.map((answer) => answer.body)).size, 1);
  });

  it('refuses headers that try to bring a key, an unknown or missing kid, another type, and crit', async () => {
    const key = await importPKCS8(world.signing.privatePem, 'ES256');
    const sign = (header: object): Promise<string> =>
      new SignJWT({ iss: issuerId, exp: nowS() + 300 })
        .setProtectedHeader({ alg: 'ES256', kid: 'iss-key-1', ...header })
        .sign(key, { crit: { 'urn:x': true } });
    const headers = [
      { kid: undefined },
      { kid: 'iss-key-2' },
      { kid: '../iss-key-1' },
      { typ: 'at+jwt' },
      { typ: 'jwt' },
      { crit: ['urn:x'], 'urn:x': 1 },
    ];
    for (const header of headers) assertRefused(await ask(await sign(header)), 400, 'invalid_grant');
    assert.equal((await ask(await sign({ jwk: world.otherSigning.publicJwk }))).status, 200);
  });

  it("refuses another issuer's signature and signed texts with duplicate members", async () => {
    const other = await importPKCS8(world.otherSigning.privatePem, 'ES256');
    const header = { alg: 'ES256', kid: 'iss-key-1' };
    const forged = await new SignJWT({ iss: issuerId, exp: nowS() + 300 })
      .setProtectedHeader(header)
      .sign(other);
    assertRefused(await ask(forged), 400, 'invalid_grant');
    const text = `{"iss":"${otherIssuerId}","iss":"${issuerId}","exp":${String(nowS() + 300)}}`;
    const twice = await new CompactSign(Buffer.from(text))
      .setProtectedHeader(header)
      .sign(await importPKCS8(world.signing.privatePem, 'ES256'));
    assertRefused(await ask(twice), 400, 'invalid_grant');
  });

  it('refuses a JWE, a JSON serialization and other part counts', async () => {
    const good = await signAssertion(world);
    const jwe = await new CompactEncrypt(Buffer.from(good))
      .setProtectedHeader({ alg: 'dir', enc: 'A256GCM' })
      .encrypt(new Uint8Array(32));
    for (const token of [
      jwe,
      JSON.stringify({ payload: good }),
      `${good}.AAAA`,
      good.slice(0, good.lastIndexOf('.')),
      '',
      'a.b.c',
    ]) {
      assertRefused(await ask(token), 400, 'invalid_grant');
    }
  });

  it('lets exactly one of 64 racing uses of one jti through', async () => {
    const assertion = await signAssertion(world, { jti: randomUUID() });
    const clients = Array.from({ length: 8 }, () =>
      thread.server.client('issuer', world.parties.issuerClient),
    );
    const answers = await Promise.all(
      Array.from({ length: 64 }, (_, at) => ask(assertion, clients[at % clients.length])),
    );
    assert.equal(answers.filter((answer) => answer.status === 200).length, 1);
    for (const answer of answers.filter((one) => one.status !== 200))
      assertRefused(answer, 400, 'invalid_grant');
  });

  it("answers invalid_client to a certificate that is not the issuer's, and does not use the assertion up", async () => {
    const assertion = await signAssertion(world, { jti: randomUUID() });
    const { strangerClient, otherIssuerClient } = world.parties;
    for (const party of [strangerClient, otherIssuerClient]) {
      assertRefused(await ask(assertion, thread.server.client('issuer', party)), 401, 'invalid_client');
    }
    assert.equal((await ask(assertion)).status, 200);
  });

  it('names what is wrong with the request in the words of RFC 6749', async () => {
    const post = (form: Record<string, string>): Promise<ClientAnswer> =>
      thread.issuer.request({ method: 'POST', path, form });
    const assertion = await signAssertion(world);
    assertRefused(await post({ assertion }), 400, 'invalid_request');
    assertRefused(await post({ grant_type: grantType }), 400, 'invalid_request');
    assertRefused(await post({ grant_type: 'client_credentials', assertion }), 400, 'unsupported_grant_type');
    assertRefused(
      await post({ grant_type: grantType, assertion, scope: 'd1-api:everything' }),
      400,
      'invalid_scope',
    );
    assertRefused(await thread.issuer.request({ method: 'POST', path }), 400, 'invalid_request');
    assertRefused(
      await thread.issuer.request({ method: 'POST', path, json: [grantType, assertion] }),
      400,
      'invalid_request',
    );
  });

  it('grants a scope that was asked for and no more', async () => {
    const scope = 'd1-api:physical-card:read';
    const form = { grant_type: grantType, assertion: await signAssertion(world), scope };
    assert.equal(jsonOf(await thread.issuer.request({ method: 'POST', path, form }))['scope'], scope);
  });
});

describe('an access token', () => {
  it('ends after 15 minutes, and jti are forgotten only when they could not pass any more', async () => {
    const world = await createWorld();
    const clock = createVirtualClock(Date.now());
    const thread = await startThread(world, { clock });
    const status = async (token: string): Promise<number> => {
      const headers = { authorization: `Bearer ${token}` };
      return (await thread.issuer.request({ method: 'GET', path: statusPath(newCardId()), headers })).status;
    };
    const jti = randomUUID();
    const start = clock.now();
    const use = async (): Promise<number> => {
      const assertion = await signAssertion(world, { jti }, {}, start);
      const form = { grant_type: grantType, assertion };
      return (await thread.issuer.request({ method: 'POST', path, form })).status;
    };
    const token = await getToken(world, thread.issuer, clock.now());
    assert.equal(await use(), 200);
    clock.advance(899_000);
    assert.equal(await status(token), 404);
    clock.advance(2_000);
    assert.equal(await status(token), 401);
    assert.equal(await use(), 400);
    await thread.stop();
    await world.close();
  });
});
