/**
 * Access tokens (RFC 9068 in form, RFC 8705 in binding): 15 minutes, for one issuer, worth nothing without the
 * client certificate that they were given to.
 *
 * Invariant: the certificate is compared on every request with the one on the live socket, and must still be
 * registered for the issuer.
 */
import { createPublicKey, type KeyObject } from 'node:crypto';
import { scopes } from '@cardwright/protocol';
import { type Clock, newId } from '@cardwright/runtime';
import { jwtVerify, SignJWT } from 'jose';
import { type IssuerConfig } from '../config.ts';

export const accessTokenLifeS = 900;
const tokenType = 'at+jwt';

export interface Access {
  readonly issuer: IssuerConfig;
  readonly scopes: readonly string[];
}

export interface AccessTokens {
  /** Signs a token for an issuer, bound to the certificate with this thumbprint. `scope` is space-separated. */
  sign(issuerId: string, thumbprint: string, scope: string): Promise<string>;
  /** What a token allows to whoever shows the certificate with this thumbprint; undefined when nothing. */
  verify(token: string, thumbprint: string): Promise<Access | undefined>;
}

export const allScopes: readonly string[] = Object.values(scopes);

export function createAccessTokens(
  signingKey: KeyObject,
  publicOrigin: string,
  issuers: ReadonlyMap<string, IssuerConfig>,
  clock: Clock,
): AccessTokens {
  const verifyKey = createPublicKey(signingKey);
  return {
    sign: (issuerId, thumbprint, scope) => {
      const nowS = Math.floor(clock.now() / 1_000);
      return new SignJWT({ scope, client_id: issuerId, cnf: { 'x5t#S256': thumbprint } })
        .setProtectedHeader({ alg: 'ES256', typ: tokenType })
        .setIssuer(publicOrigin)
        .setAudience(publicOrigin)
        .setSubject(issuerId)
        .setJti(newId())
        .setIssuedAt(nowS)
        .setExpirationTime(nowS + accessTokenLifeS)
        .sign(signingKey);
    },
    verify: async (token, thumbprint) => {
      try {
        const { payload } = await jwtVerify<{ scope?: unknown; cnf?: unknown }>(token, verifyKey, {
          algorithms: ['ES256'],
          typ: tokenType,
          issuer: publicOrigin,
          audience: publicOrigin,
          requiredClaims: ['exp', 'sub', 'scope', 'cnf'],
          currentDate: new Date(clock.now()),
        });
        const bound = (payload.cnf as { 'x5t#S256'?: unknown } | null)?.['x5t#S256'];
        const issuer = issuers.get(payload.sub ?? '');
        if (bound !== thumbprint || issuer?.clientThumbprints.includes(thumbprint) !== true) return undefined;
        if (typeof payload.scope !== 'string') return undefined;
        return { issuer, scopes: payload.scope.split(' ') };
      } catch {
        return undefined;
      }
    },
  };
}
