/** OAuth 2.0 on both sides of the D1 dialect (d1-api contract, chapter 6). */
import { type Static, Type } from 'typebox';

export const jwtBearerGrant = 'urn:ietf:params:oauth:grant-type:jwt-bearer';

/** Inbound token request: form or JSON. Extra members are ignored, as RFC 6749 3.2 asks. */
export const TokenRequest = Type.Object({
  grant_type: Type.String(),
  assertion: Type.String({ maxLength: 8192 }),
  scope: Type.Optional(Type.String({ maxLength: 512 })),
});
export type TokenRequest = Static<typeof TokenRequest>;

export const TokenAnswer = Type.Object({
  access_token: Type.String(),
  expires_in: Type.Integer(),
  scope: Type.String(),
  token_type: Type.Literal('Bearer'),
});
export type TokenAnswer = Static<typeof TokenAnswer>;

export const TokenError = Type.Object({
  error: Type.Union([
    Type.Literal('invalid_request'),
    Type.Literal('invalid_grant'),
    Type.Literal('invalid_client'),
    Type.Literal('unsupported_grant_type'),
    Type.Literal('invalid_scope'),
  ]),
  error_description: Type.String(),
});
export type TokenError = Static<typeof TokenError>;

/** Outbound token answer, as the issuer's endpoint gives it: `expires_in` is read as number or string. */
export const OutboundTokenAnswer = Type.Object({
  access_token: Type.String({ minLength: 1 }),
  token_type: Type.String(),
  expires_in: Type.Optional(Type.Union([Type.String(), Type.Number()])),
  expires_at: Type.Optional(Type.String()),
  scope: Type.Optional(Type.String()),
});
export type OutboundTokenAnswer = Static<typeof OutboundTokenAnswer>;

export const scopes = { full: 'd1-api:physical-card:full', read: 'd1-api:physical-card:read' } as const;
