/**
 * Client assertions (RFC 7523 with D1's rules): a signed statement of an issuer, good for one access token.
 *
 * Invariants: ES256 only, with a key registered for the issuer that the assertion names; exactly three parts;
 * duplicate members are refused; nothing in the header chooses anything but among our own keys. Which rule an
 * assertion broke is not told.
 */
import { check, parseStrictJson } from '@cardwright/protocol';
import { compactVerify, importJWK } from 'jose';
import { type Static, Type } from 'typebox';
import { type IssuerConfig } from '../config.ts';

const skewS = 60;
const longestLifeS = 15 * 60;
const kidPattern = /^[A-Za-z0-9._-]{1,128}$/;

const AssertionClaims = Type.Object({
  iss: Type.String({ minLength: 1, maxLength: 64 }),
  exp: Type.Number(),
  sub: Type.Optional(Type.String()),
  iat: Type.Optional(Type.Number()),
  nbf: Type.Optional(Type.Number()),
  aud: Type.Optional(Type.String()),
  jti: Type.Optional(Type.String({ minLength: 1, maxLength: 256 })),
});
type AssertionClaims = Static<typeof AssertionClaims>;

/** An assertion that is well formed and not yet believed. */
export interface ReadAssertion {
  readonly token: string;
  readonly kid: string;
  readonly claims: AssertionClaims;
}

function decodeObject(part: string): Record<string, unknown> | undefined {
  if (!/^[A-Za-z0-9_-]+$/.test(part)) return undefined;
  const parsed = parseStrictJson(Buffer.from(part, 'base64url').toString('utf8'));
  if (!parsed.ok || typeof parsed.value !== 'object' || parsed.value === null) return undefined;
  return Array.isArray(parsed.value) ? undefined : (parsed.value as Record<string, unknown>);
}

/** Reads an assertion's outside. Undefined when it is not one of ours to check. */
export function readAssertion(token: string): ReadAssertion | undefined {
  const parts = token.split('.');
  if (parts.length !== 3) return undefined;
  const header = decodeObject(parts[0] ?? '');
  const payload = decodeObject(parts[1] ?? '');
  if (header === undefined || payload === undefined) return undefined;
  const { alg, typ, kid } = header;
  if (alg !== 'ES256' || (typ !== undefined && typ !== 'JWT')) return undefined;
  if (typeof kid !== 'string' || !kidPattern.test(kid) || 'crit' in header || 'b64' in header)
    return undefined;
  const claims = check(AssertionClaims, payload);
  return claims.ok ? { token, kid, claims: claims.value } : undefined;
}

/** Whether the claims hold now, for this issuer and this endpoint (OD-6.1 to OD-6.4). Pure. */
export function areClaimsValid(claims: AssertionClaims, publicOrigin: string, nowMs: number): boolean {
  const nowS = nowMs / 1_000;
  if (claims.sub !== undefined && claims.sub !== claims.iss) return false;
  if (claims.aud !== undefined && claims.aud !== publicOrigin) return false;
  if (claims.exp <= nowS - skewS || claims.exp > nowS + longestLifeS + skewS) return false;
  if (claims.iat !== undefined && claims.iat > nowS + skewS) return false;
  return claims.nbf === undefined || claims.nbf <= nowS + skewS;
}

/** Until when a used `jti` must be remembered, epoch milliseconds. */
export function rememberUntilMs(claims: AssertionClaims): number {
  return Math.ceil((claims.exp + skewS) * 1_000);
}

/** Checks the signature with the key of the issuer that the header names. */
export async function isSignatureValid(assertion: ReadAssertion, issuer: IssuerConfig): Promise<boolean> {
  const key = issuer.signingKeys.find((one) => one.kid === assertion.kid);
  if (key === undefined) return false;
  const { kty, crv, x, y } = key.jwk;
  try {
    await compactVerify(assertion.token, await importJWK({ kty, crv, x, y }, 'ES256'), {
      algorithms: ['ES256'],
    });
    return true;
  } catch {
    return false;
  }
}
