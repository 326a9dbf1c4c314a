/**
 * The tokens with which the API calls this issuer (d1-api contract 6.2): client credentials in, opaque bearer
 * token out.
 *
 * Invariants: secrets and tokens are compared in constant time and tokens are kept as digests only; a token works
 * only on the client certificate it was given to, and not after its end. A restart forgets all of them: the API
 * then asks for a new one.
 */
import { createHash, randomBytes, timingSafeEqual } from 'node:crypto';
import { readBasicCredentials } from '@cardwright/issuer-sdk';

export const tokenLifeSeconds = 900;
const mostTokens = 1_000;

export interface OutboundTokens {
  /** A new token for the holder of a client certificate, or undefined when the credentials are wrong. */
  issue(authorization: string | undefined, certificate: string): string | undefined;
  /** True when the header carries a live token that was given to this certificate. */
  accepts(authorization: string | undefined, certificate: string): boolean;
}

const digest = (text: string): Buffer => createHash('sha256').update(text).digest();

export function createOutboundTokens(
  credentials: { readonly clientId: string; readonly clientSecret: string },
  now: () => number = Date.now,
): OutboundTokens {
  const expected = digest(JSON.stringify([credentials.clientId, credentials.clientSecret]));
  /** Digest of token and certificate → end, epoch ms, oldest first. */
  const live = new Map<string, number>();
  const keyOf = (token: string, certificate: string): string =>
    digest(JSON.stringify([token, certificate])).toString('base64url');

  const forgetOld = (): void => {
    for (const [key, end] of live) {
      if (end > now() && live.size < mostTokens) return;
      live.delete(key);
    }
  };

  return {
    issue: (authorization, certificate) => {
      const given = readBasicCredentials(authorization);
      if (given === undefined) return undefined;
      if (!timingSafeEqual(digest(JSON.stringify([given.clientId, given.clientSecret])), expected))
        return undefined;
      forgetOld();
      const token = randomBytes(32).toString('base64url');
      live.set(keyOf(token, certificate), now() + tokenLifeSeconds * 1000);
      return token;
    },
    accepts: (authorization, certificate) => {
      const token = /^Bearer +(\S+)$/i.exec(authorization ?? '')?.[1];
      if (token === undefined) return false;
      const end = live.get(keyOf(token, certificate));
      return end !== undefined && end > now();
    },
  };
}
