/**
 * The token endpoint: an issuer's assertion for an access token (d1-api contract, 6.1 and 6.3).
 *
 * Invariant: an assertion with a `jti` works once, decided by one unique insert (I12); the certificate is checked
 * before that, so that a stranger cannot use up an issuer's assertion.
 */
import { check, jwtBearerGrant, type TokenAnswer, type TokenError, TokenRequest } from '@cardwright/protocol';
import { type Clock } from '@cardwright/runtime';
import { type IssuerConfig } from '../config.ts';
import { type Store } from '../store/store.ts';
import { type AccessTokens, accessTokenLifeS, allScopes } from './access-token.ts';
import {
  areClaimsValid,
  isSignatureValid,
  type ReadAssertion,
  readAssertion,
  rememberUntilMs,
} from './assertion.ts';

export interface TokenEndpointParts {
  readonly store: Store;
  readonly clock: Clock;
  readonly issuers: ReadonlyMap<string, IssuerConfig>;
  readonly publicOrigin: string;
  readonly tokens: AccessTokens;
}

export type TokenResult =
  | { readonly httpStatus: 200; readonly body: TokenAnswer }
  | { readonly httpStatus: 400 | 401; readonly body: TokenError };

const refuse = (error: TokenError['error'], description: string): TokenResult => ({
  httpStatus: error === 'invalid_client' ? 401 : 400,
  body: { error, error_description: description },
});
const notAccepted = refuse('invalid_grant', 'The assertion was not accepted');

/** Records the use of an assertion. False when it was used before. */
async function useOnce(parts: TokenEndpointParts, assertion: ReadAssertion): Promise<boolean> {
  const { jti, iss } = assertion.claims;
  if (jti === undefined) return true;
  const used = await parts.store.transaction((tx) =>
    tx.db
      .insertInto('used_assertions')
      .values({ issuer_id: iss, jti, expires_at: rememberUntilMs(assertion.claims) })
      .onConflict((conflict) => conflict.doNothing())
      .returning('jti')
      .execute(),
  );
  return used.length === 1;
}

function grantedScope(requested: string | undefined): string | undefined {
  if (requested === undefined) return allScopes.join(' ');
  const names = requested.split(' ').filter((name) => name !== '');
  const isKnown = names.length > 0 && names.every((name) => allScopes.includes(name));
  return isKnown ? [...new Set(names)].join(' ') : undefined;
}

/** Answers a token request. `body` is the parsed JSON or form; `thumbprint` that of the live client certificate. */
export async function requestToken(
  parts: TokenEndpointParts,
  body: unknown,
  thumbprint: string,
): Promise<TokenResult> {
  const request = check(TokenRequest, body);
  if (!request.ok)
    return refuse('invalid_request', `The request lacks or misuses: ${request.field || 'body'}`);
  if (request.value.grant_type !== jwtBearerGrant) {
    return refuse('unsupported_grant_type', 'Only the JWT bearer grant is supported');
  }
  const assertion = readAssertion(request.value.assertion);
  const issuer = assertion === undefined ? undefined : parts.issuers.get(assertion.claims.iss);
  if (assertion === undefined || issuer === undefined) return notAccepted;
  if (!issuer.clientThumbprints.includes(thumbprint)) {
    return refuse('invalid_client', 'The client certificate does not belong to the issuer');
  }
  if (!(await isSignatureValid(assertion, issuer))) return notAccepted;
  if (!areClaimsValid(assertion.claims, parts.publicOrigin, parts.clock.now())) return notAccepted;
  const scope = grantedScope(request.value.scope);
  if (scope === undefined) return refuse('invalid_scope', 'A scope is not known');
  if (!(await useOnce(parts, assertion))) return notAccepted;
  return {
    httpStatus: 200,
    body: {
      access_token: await parts.tokens.sign(issuer.issuerId, thumbprint, scope),
      expires_in: accessTokenLifeS,
      scope,
      token_type: 'Bearer',
    },
  };
}
