/**
 * The client of an issuer: orders cards and asks how they are doing, over mutual TLS with a cached token.
 *
 * Invariants: an order is built once and repeated byte for byte under one `issuerRequestId`, so no repetition
 * can make a second card; a call ends after a bounded number of attempts; no secret is in any error.
 */
import {
  type CardData,
  type CardDesign,
  type CardRequestInstant,
  CardRequestInstant as CardRequestInstantSchema,
  check,
  type PaymentApplication,
  ProductionAccepted,
} from '@cardwright/protocol';
import { type JWK } from 'jose';
import { createAccessTokens, type SigningIdentity } from './access-token.ts';
import { encryptCardData } from './card-encryption.ts';
import { type CardOperation, readOperations } from './card-operation.ts';
import { D1ApiError, D1UnreadableAnswerError, readApiError } from './d1-error.ts';
import { createD1Transport, type D1Answer, type D1Request, type TlsIdentity } from './d1-transport.ts';
import { decideRetry, defaultRetryPolicy, type RetryPolicy } from './retry-policy.ts';

export interface IssuerClientOptions {
  /** `https://host[:port]` of the API. */
  readonly origin: string;
  readonly issuerId: string;
  readonly tls: TlsIdentity;
  readonly signing: SigningIdentity;
  /** Public key that card data is encrypted to, with its `kid`. */
  readonly recipientKey: JWK;
  readonly retry?: Partial<RetryPolicy>;
  /** Limit for one attempt, connection included. Default 30 s, the longest the API takes to answer. */
  readonly timeoutMs?: number;
  /** Epoch milliseconds; for tests of token renewal. */
  readonly now?: () => number;
}

export interface CardOrder {
  readonly cardId: string;
  readonly persoStation: string;
  readonly cardProductId?: string;
  /** Store it before the call: whoever repeats the order after a crash needs the same one. */
  readonly issuerRequestId: string;
  readonly services: CardRequestInstant['services'];
  readonly paymentApplication: PaymentApplication;
  readonly cardDesign?: CardDesign;
  readonly consumerId?: string;
  readonly card: CardData;
  /** For troubleshooting only; no personal data. */
  readonly correlationId?: string;
}

export interface OrderedCard {
  readonly operationId: string;
}

/**
 * An order ready to be sent, as plain JSON: the card data is in it only as a JWE that nobody but the API can
 * open. So it may be stored before it is sent and repeated byte for byte after a crash.
 */
export interface PreparedOrder {
  readonly cardId: string;
  readonly request: CardRequestInstant;
}

export interface IssuerClient {
  /**
   * Orders one card; resolves when the API has taken the order (202). Rejects with `D1ApiError`,
   * `D1ConnectionError` or `D1UnreadableAnswerError`. After a retryable error the outcome is open: call again
   * with the same order, or ask `getProductionStatus`.
   */
  orderCard(order: CardOrder): Promise<OrderedCard>;
  /**
   * The first half of `orderCard`: encrypts the card data and checks the request, sends nothing. Rejects with
   * `D1ApiError` 400 naming the field when the contract forbids the order.
   */
  prepareOrder(order: CardOrder): Promise<PreparedOrder>;
  /** The second half, which may be repeated as often as needed, also by another process. Rejects as `orderCard`. */
  sendOrder(prepared: PreparedOrder, correlationId?: string): Promise<OrderedCard>;
  /** All operations of a card, newest first; empty when it was never ordered. Rejects as `orderCard` does. */
  getProductionStatus(cardId: string): Promise<readonly CardOperation[]>;
  /** Closes the connections. */
  close(): Promise<void>;
}

type Send = (request: Omit<D1Request, 'token'>) => Promise<D1Answer>;

function pause(ms: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, ms));
}

async function buildRequest(order: CardOrder, recipientKey: JWK): Promise<CardRequestInstant> {
  const { cardProductId, consumerId, cardDesign } = order;
  const request: CardRequestInstant = {
    distributionChannel: 'INSTANT',
    persoStation: order.persoStation,
    issuerRequestId: order.issuerRequestId,
    services: order.services,
    paymentApplication: order.paymentApplication,
    ...(cardProductId === undefined ? {} : { cardProductId }),
    ...(consumerId === undefined ? {} : { consumerId }),
    ...(cardDesign === undefined ? {} : { cardDesign }),
    encryptedData: await encryptCardData(order.card, recipientKey),
  };
  const checked = check(CardRequestInstantSchema, request);
  // The API would refuse it in the same words; asking costs a round trip and gives nothing.
  if (!checked.ok) {
    throw new D1ApiError({ status: 400, errorCode: 'FIELD_INVALID_FORMAT', field: checked.field });
  }
  return checked.value;
}

/** Sends with a token; a token that is refused is replaced once. */
function createAuthorizedSend(options: IssuerClientOptions): { send: Send; close: () => Promise<void> } {
  const transport = createD1Transport({
    origin: options.origin,
    tls: options.tls,
    timeoutMs: options.timeoutMs ?? 30_000,
  });
  const tokens = createAccessTokens({
    issuerId: options.issuerId,
    audience: new URL(options.origin).origin,
    signing: options.signing,
    transport,
    now: options.now ?? Date.now,
  });
  const send: Send = async (request) => {
    for (let first = true; ; first = false) {
      const token = await tokens.current();
      const answer = await transport.request({ ...request, token });
      if (answer.status >= 200 && answer.status < 300) return answer;
      if (answer.status !== 401 || !first)
        throw readApiError(answer.status, answer.body, answer.retryAfterMs);
      tokens.discard(token);
    }
  };
  return { send, close: () => transport.close() };
}

function withRetries(send: Send, policy: RetryPolicy): Send {
  return async (request) => {
    for (let attempt = 1; ; attempt += 1) {
      try {
        return await send(request);
      } catch (error) {
        const waitMs = decideRetry(policy, error, attempt, Math.random());
        if (waitMs === undefined) throw error;
        await pause(waitMs);
      }
    }
  };
}

/** A client for one issuer at one API. Throws `TypeError` when the origin is not HTTPS. */
export function createIssuerClient(options: IssuerClientOptions): IssuerClient {
  const connection = createAuthorizedSend(options);
  const send = withRetries(connection.send, { ...defaultRetryPolicy, ...options.retry });
  const cardPath = (cardId: string): string =>
    `/banking/v1/issuers/${encodeURIComponent(options.issuerId)}/physicalCards/${encodeURIComponent(cardId)}`;

  const prepareOrder: IssuerClient['prepareOrder'] = async (order) => ({
    cardId: order.cardId,
    request: await buildRequest(order, options.recipientKey),
  });

  const sendOrder: IssuerClient['sendOrder'] = async ({ cardId, request }, correlationId) => {
    const answer = await send({
      method: 'POST',
      path: `${cardPath(cardId)}/operations:production`,
      json: request,
      ...(correlationId === undefined ? {} : { correlationId }),
    });
    const accepted = check(ProductionAccepted, answer.body);
    if (!accepted.ok) throw new D1UnreadableAnswerError('operationId');
    return { operationId: accepted.value.operationId };
  };

  return {
    prepareOrder,
    sendOrder,
    orderCard: async (order) => sendOrder(await prepareOrder(order), order.correlationId),
    getProductionStatus: async (cardId) => {
      let answer: D1Answer;
      try {
        answer = await send({ method: 'GET', path: `${cardPath(cardId)}/productionStatus` });
      } catch (error) {
        if (error instanceof D1ApiError && error.errorCode === 'NOT_FOUND') return [];
        throw error;
      }
      const read = readOperations(answer.body);
      if (!read.ok) throw new D1UnreadableAnswerError(read.field);
      return read.operations;
    },
    close: () => connection.close(),
  };
}
