/**
 * Access tokens (d1-api contract 6.1): one is fetched with a signed assertion, shared by all calls and renewed
 * before it ends.
 *
 * Invariants: at most one token request at a time; a token is never used in its last minute; neither token nor
 * assertion appears in an error.
 */
import { randomUUID } from 'node:crypto';
import { check, jwtBearerGrant } from '@cardwright/protocol';
import { type CryptoKey, importPKCS8, SignJWT } from 'jose';
import { Type } from 'typebox';
import { D1TokenError, D1UnreadableAnswerError } from './d1-error.ts';
import { type D1Transport } from './d1-transport.ts';

export const tokenPath = '/authz/v1/oauth2/token';
const assertionLifeSeconds = 300;
const renewEarlyMs = 60_000;
const defaultLifeSeconds = 900;

/** Liberal: all members are optional in the vendor's schema, and a life may come as text. */
const ReadableToken = Type.Object({
  access_token: Type.String({ minLength: 1, maxLength: 16_384 }),
  expires_in: Type.Optional(Type.Union([Type.Number(), Type.String()])),
});

export interface SigningIdentity {
  /** Id under which the public key is registered. */
  readonly kid: string;
  /** P-256 private key, PKCS #8 PEM. */
  readonly privateKeyPem: string;
}

export interface AccessTokens {
  /** A token with at least a minute to live. */
  current(): Promise<string>;
  /** Forgets `token` after it was refused; a newer one is kept. */
  discard(token: string): void;
}

interface CachedToken {
  readonly value: string;
  readonly renewAt: number;
}

/** The assertion an issuer signs to get a token: ES256, `kid`, `iss` = `sub` = the issuer. */
async function signAssertion(options: AccessTokenOptions, key: CryptoKey, nowMs: number): Promise<string> {
  const nowSeconds = Math.floor(nowMs / 1000);
  return new SignJWT()
    .setProtectedHeader({ alg: 'ES256', typ: 'JWT', kid: options.signing.kid })
    .setIssuer(options.issuerId)
    .setSubject(options.issuerId)
    .setAudience(options.audience)
    .setIssuedAt(nowSeconds)
    .setExpirationTime(nowSeconds + assertionLifeSeconds)
    .setJti(randomUUID())
    .sign(key);
}

function lifeSeconds(expiresIn: string | number | undefined): number {
  const seconds = Number(expiresIn ?? defaultLifeSeconds);
  return Number.isFinite(seconds) && seconds > 0 ? seconds : defaultLifeSeconds;
}

export interface AccessTokenOptions {
  readonly issuerId: string;
  readonly audience: string;
  readonly signing: SigningIdentity;
  readonly transport: D1Transport;
  /** Epoch milliseconds. */
  readonly now: () => number;
}

/** Tokens for one issuer. Errors: `D1TokenError` when refused, `D1ConnectionError`, `D1UnreadableAnswerError`. */
export function createAccessTokens(options: AccessTokenOptions): AccessTokens {
  let cached: CachedToken | undefined;
  let pending: Promise<CachedToken> | undefined;
  let key: Promise<CryptoKey> | undefined;

  const fetchToken = async (): Promise<CachedToken> => {
    key ??= importPKCS8(options.signing.privateKeyPem, 'ES256');
    const askedAt = options.now();
    const answer = await options.transport.request({
      method: 'POST',
      path: tokenPath,
      form: { grant_type: jwtBearerGrant, assertion: await signAssertion(options, await key, askedAt) },
    });
    if (answer.status !== 200) {
      const { status, retryAfterMs } = answer;
      throw new D1TokenError({ status, ...(retryAfterMs === undefined ? {} : { retryAfterMs }) });
    }
    const token = check(ReadableToken, answer.body);
    if (!token.ok) throw new D1UnreadableAnswerError(token.field === '' ? 'token answer' : token.field);
    const lifeMs = lifeSeconds(token.value.expires_in) * 1000;
    // A life shorter than two minutes is used for its first half.
    return {
      value: token.value.access_token,
      renewAt: askedAt + Math.max(lifeMs - renewEarlyMs, lifeMs / 2),
    };
  };

  return {
    current: async () => {
      if (cached !== undefined && options.now() < cached.renewAt) return cached.value;
      pending ??= fetchToken().finally(() => {
        pending = undefined;
      });
      cached = await pending;
      return cached.value;
    },
    discard: (token) => {
      if (cached?.value === token) cached = undefined;
    },
  };
}
