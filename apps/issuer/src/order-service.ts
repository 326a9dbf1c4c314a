/**
 * Places orders and sees each to its end: store, send, settle, look after.
 *
 * Invariants: nothing is sent that is not stored; one order is sent by one task at a time; what is unknown stays
 * open and is tried or asked again, what the API refused for good is final.
 */
import {
  D1ApiError,
  type CardOrder,
  D1TokenError,
  type IssuerClient,
  isFinalStatus,
  maskPan,
} from '@cardwright/issuer-sdk';
import { type CardRequest, digestOf, makeCardData, newId } from './card-request.ts';
import { type IssuerConfig } from './config.ts';
import { type EventLog } from './event-log.ts';
import { type OrderStore, type StoredOrder } from './order-store.ts';

export type PlacedOrder =
  | { readonly kind: 'placed'; readonly order: StoredOrder }
  /** Another order has this card id. */
  | { readonly kind: 'conflict' };

export interface OrderService {
  /** What a request may name as its product. */
  readonly productIds: readonly string[];
  /** Takes an order; the same request with the same card id again leads to the order there is. */
  place(request: CardRequest): Promise<PlacedOrder>;
  /** One pass: sends what is unsent and asks about what has no end, of orders not looked at for `idleMs`. */
  reconcile(idleMs: number): Promise<void>;
  /** Resolves when no order is being sent. */
  settled(): Promise<void>;
}

export interface OrderServiceParts {
  readonly store: OrderStore;
  readonly client: IssuerClient;
  readonly d1: IssuerConfig['d1'];
  readonly log: EventLog;
  readonly now: () => number;
}

const reconcileBatch = 50;

/** What an order without an end needs next. */
export function decideReconcile(order: StoredOrder): 'send' | 'ask' | 'nothing' {
  if (isFinalStatus(order.status)) return 'nothing';
  return order.sendState === 'to_send' ? 'send' : 'ask';
}

/**
 * True when the API has decided: the order will not be taken, however often it is sent. A token that it does not give
 * or not take says nothing about the order.
 */
function isRefusal(error: unknown): error is D1ApiError {
  if (!(error instanceof D1ApiError) || error instanceof D1TokenError) return false;
  return !error.retryable && error.status !== 401;
}

type IssuerProduct = Pick<IssuerConfig['d1'], 'productId' | 'paymentApplication'>;

/** Every product of this issuer, the usual one first. */
function productsOf(d1: IssuerConfig['d1']): readonly IssuerProduct[] {
  return [d1, ...(d1.otherProducts ?? [])];
}

function cardOrder(request: CardRequest, cardId: string, parts: OrderServiceParts): CardOrder {
  const product = productsOf(parts.d1).find(({ productId }) => productId === request.productId) ?? parts.d1;
  const { customLines, memberId } = request;
  const hasDesign = customLines !== undefined || memberId !== undefined;
  return {
    cardId,
    issuerRequestId: newId('req'),
    persoStation: request.persoStation ?? parts.d1.defaultStation,
    cardProductId: product.productId,
    services: { issuance: request.issuance ?? 'CREATION' },
    paymentApplication: product.paymentApplication,
    ...(hasDesign
      ? {
          cardDesign: {
            ...(customLines === undefined ? {} : { customLines }),
            ...(memberId === undefined ? {} : { memberId }),
          },
        }
      : {}),
    card: makeCardData(request, parts.now()),
  };
}

export function createOrderService(parts: OrderServiceParts): OrderService {
  const { store, client, log } = parts;
  const sending = new Map<string, Promise<void>>();

  const performSend = async (cardId: string): Promise<void> => {
    const prepared = store.prepared(cardId);
    if (prepared === undefined) return;
    try {
      const { operationId } = await client.sendOrder(prepared);
      store.markAccepted(cardId, operationId);
      log.event('order.accepted', { cardId, operationId });
    } catch (error) {
      if (isRefusal(error)) {
        const errorCode = error.errorCode ?? `HTTP_${String(error.status)}`;
        store.markRefused(cardId, errorCode, error.field ?? null);
        log.event('order.refused', { cardId, errorCode, field: error.field ?? null });
        return;
      }
      store.touch(cardId);
      log.fault('order.not-sent', error, { cardId });
    }
  };

  const send = (cardId: string): Promise<void> => {
    const running = sending.get(cardId);
    if (running !== undefined) return running;
    const task = performSend(cardId).finally(() => sending.delete(cardId));
    sending.set(cardId, task);
    return task;
  };

  const ask = async (cardId: string): Promise<void> => {
    store.touch(cardId);
    try {
      const operations = await client.getProductionStatus(cardId);
      if (operations.length === 0) log.event('order.unknown-to-api', { cardId });
      for (const operation of operations) store.applyStatus(operation);
    } catch (error) {
      log.fault('order.status-not-read', error, { cardId });
    }
  };

  const placed = (cardId: string): PlacedOrder => {
    const order = store.find(cardId);
    if (order === undefined) throw new Error('an order that was stored is gone');
    return { kind: 'placed', order };
  };

  return {
    productIds: productsOf(parts.d1).map(({ productId }) => productId),
    place: async (request) => {
      const cardId = request.cardId ?? newId('card');
      const requestDigest = digestOf(request, store.digestKey);
      const order = cardOrder(request, cardId, parts);
      if (store.find(cardId) === undefined) {
        const prepared = await client.prepareOrder(order);
        const maskedPan = maskPan(order.card.pan);
        const { issuerRequestId, persoStation: station } = order;
        const isNew = store.insert({ cardId, issuerRequestId, station, maskedPan, requestDigest, prepared });
        if (isNew) log.event('order.stored', { cardId, issuerRequestId });
      }
      if (store.find(cardId)?.requestDigest !== requestDigest) return { kind: 'conflict' };
      await send(cardId);
      return placed(cardId);
    },
    reconcile: async (idleMs) => {
      for (const order of store.unfinished(parts.now() - idleMs, reconcileBatch)) {
        const next = decideReconcile(order);
        if (next === 'send') await send(order.cardId);
        else if (next === 'ask') await ask(order.cardId);
      }
    },
    settled: async () => {
      await Promise.allSettled(sending.values());
    },
  };
}
