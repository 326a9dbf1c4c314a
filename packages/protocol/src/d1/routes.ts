/**
 * The routes of the issuer API, described once: the server registers them, OpenAPI shows them, a test compares.
 */
import { type TSchema } from 'typebox';
import { D1Error } from './errors.ts';
import { CardId, IssuerId } from './identifiers.ts';
import { CardOperations } from './operations.ts';
import { CardRequestInstant, ProductionAccepted } from './production.ts';
import { scopes, TokenAnswer, TokenError, TokenRequest } from './token.ts';

export interface RouteAnswer {
  readonly description: string;
  readonly schema?: TSchema;
}

/** One call: method, path with `{parameters}`, schemas of everything that goes over the wire. */
export interface RouteDescription {
  readonly method: 'get' | 'post';
  readonly path: string;
  readonly operationId: string;
  readonly summary: string;
  readonly pathParameters: Readonly<Record<string, TSchema>>;
  /** Request body by media type. */
  readonly body?: Readonly<Record<string, TSchema>>;
  readonly answers: Readonly<Record<string, RouteAnswer>>;
  /** Scopes of which one is needed; absent where no access token is. */
  readonly scopes?: readonly string[];
  /** Other spellings of the path that mean the same. */
  readonly aliases?: string;
}

const productionBase = '/banking/v1/issuers/{issuerId}/physicalCards/{cardId}';
const refusal = (description: string): RouteAnswer => ({ description, schema: D1Error });
const commonRefusals = {
  '400': refusal('A field is malformed or not allowed; `error` names it'),
  '401': refusal('The access token is missing, expired or not bound to this client certificate'),
  '403': refusal('The access token does not allow this action'),
  '500': refusal('Our fault; repeat with the same issuerRequestId'),
} as const;

export const d1Routes = {
  token: {
    method: 'post',
    path: '/authz/v1/oauth2/token',
    operationId: 'requestToken',
    summary: 'Exchange a signed assertion for an access token',
    pathParameters: {},
    body: { 'application/x-www-form-urlencoded': TokenRequest, 'application/json': TokenRequest },
    answers: {
      '200': { description: 'An access token bound to the client certificate', schema: TokenAnswer },
      '400': { description: 'The request or its assertion was not accepted', schema: TokenError },
      '401': { description: 'The client certificate does not belong to the issuer', schema: TokenError },
      '413': refusal('The body is too large'),
      '415': refusal('The body is neither a form nor JSON'),
      '500': refusal('Our fault'),
    },
  },
  production: {
    method: 'post',
    path: `${productionBase}/operations:production`,
    operationId: 'produceCard',
    summary: 'Order one card at a station (INSTANT)',
    pathParameters: { issuerId: IssuerId, cardId: CardId },
    body: { 'application/json': CardRequestInstant },
    answers: {
      '202': { description: 'The order was taken in, or was known already', schema: ProductionAccepted },
      ...commonRefusals,
      '409': refusal('Another order of this card, or of this issuerRequestId, stands against it'),
      '413': refusal('The body is larger than 64 KiB'),
      '415': refusal('The body is not JSON'),
      '503': refusal('Try again after Retry-After'),
    },
    scopes: [scopes.full],
    aliases: 'The path is also accepted with `physicalcards` and with `%3A` for the colon.',
  },
  productionStatus: {
    method: 'get',
    path: `${productionBase}/productionStatus`,
    operationId: 'readProductionStatus',
    summary: 'Read the card orders of one card, newest first',
    pathParameters: { issuerId: IssuerId, cardId: CardId },
    answers: {
      '200': { description: 'Each operation once with its current state', schema: CardOperations },
      ...commonRefusals,
      '404': refusal('This card was never ordered'),
    },
    scopes: [scopes.full, scopes.read],
    aliases: 'The path is also accepted with `physicalcards` and `productionstatus`.',
  },
  openapi: {
    method: 'get',
    path: '/openapi.json',
    operationId: 'readOpenApi',
    summary: 'This description',
    pathParameters: {},
    answers: { '200': { description: 'OpenAPI 3.1' } },
  },
} as const satisfies Record<string, RouteDescription>;

/** The path as Fastify's router writes it: `:name` for a parameter, `::` for a colon that is one. */
export function routerPath(route: RouteDescription): string {
  return route.path.replaceAll(':', '::').replace(/\{(\w+)\}/g, ':$1');
}
