/**
 * Delivery of notifications: one attempt at a time per card, retried on D1-compatible rules (OD-5.1 to OD-5.4).
 *
 * Invariants: at least once (an answer lost in a crash is asked for again); 2xx ends a notification, 400 ends it
 * as refused, everything else waits for the next attempt until all are used and it is parked.
 */
import { notificationDelayMs, notificationDelaysS } from '@cardwright/domain';
import { type Clock, crashPoint, type Logger } from '@cardwright/runtime';
import { completeWork } from '../due-work/due-work.ts';
import { type WorkHandler } from '../due-work/work-loop.ts';
import { findOrder } from '../orders/order-record.ts';
import { recordEvent } from '../store/history.ts';
import { type Store, type Transaction } from '../store/store.ts';
import { type NotificationRow } from '../store/tables.ts';
import { type DeliveryAnswer, type IssuerClient } from './issuer-client.ts';
import { finishNotification, lockCard } from './outbox.ts';

export interface DeliveryParts {
  readonly store: Store;
  readonly clock: Clock;
  readonly logger: Logger;
  /** Clients by issuer; an issuer without one is not notified. */
  readonly clients: ReadonlyMap<string, IssuerClient>;
  readonly wakeWork: () => void;
  /** 0 up to 1: the jitter of retry delays. */
  readonly random: () => number;
}

export type DeliveryDecision =
  | { readonly decision: 'delivered' | 'refused' | 'parked' }
  | { readonly decision: 'retry'; readonly delayMs: number };

/** What follows an answer. `attemptsBefore` counts the attempts before this one. Pure. */
export function decideDelivery(
  answer: DeliveryAnswer,
  attemptsBefore: number,
  random: number,
): DeliveryDecision {
  if (answer.answer === 'status') {
    if (answer.httpStatus >= 200 && answer.httpStatus < 300) return { decision: 'delivered' };
    if (answer.httpStatus === 400) return { decision: 'refused' };
  }
  const delayMs = notificationDelayMs(attemptsBefore + 1, random);
  if (delayMs === undefined) return { decision: 'parked' };
  if (answer.answer === 'status' && (answer.httpStatus === 429 || answer.httpStatus === 503)) {
    return { decision: 'retry', delayMs: answer.retryAfterMs ?? delayMs };
  }
  return { decision: 'retry', delayMs };
}

async function findPending(tx: Transaction, notificationId: string): Promise<NotificationRow | undefined> {
  const row = await tx.db
    .selectFrom('notifications')
    .selectAll()
    .where('notification_id', '=', notificationId)
    .executeTakeFirst();
  return row?.state === 'pending' ? row : undefined;
}

async function performDecision(
  parts: DeliveryParts,
  notificationId: string,
  answer: DeliveryAnswer,
): Promise<{ readonly retryAtMs: number } | undefined> {
  return parts.store.transaction(async (tx) => {
    const seenBefore = await findPending(tx, notificationId);
    if (seenBefore !== undefined) {
      await findOrder(tx, seenBefore.operation_id);
      await lockCard(tx, seenBefore.issuer_id, seenBefore.card_id);
    }
    const notification = await findPending(tx, notificationId);
    if (notification === undefined) {
      await completeWork(tx, 'notify', notificationId);
      return undefined;
    }
    const at = parts.clock.now();
    const outcome = decideDelivery(answer, notification.attempts, parts.random());
    const seen = answer.answer === 'status' ? { httpStatus: answer.httpStatus } : { reason: answer.reason };
    const attempt = notification.attempts + 1;
    if (outcome.decision !== 'retry') {
      await finishNotification(tx, notification, outcome.decision, at, { ...seen, attempt });
      tx.onCommit(parts.wakeWork);
      return undefined;
    }
    const retryAtMs = at + outcome.delayMs;
    await recordEvent(tx, {
      operationId: notification.operation_id,
      at,
      event: 'notification.attempt-failed',
      data: { notificationId, ...seen, attempt, of: notificationDelaysS.length, retryAt: retryAtMs },
    });
    await tx.db
      .updateTable('notifications')
      .set({ attempts: attempt })
      .where('notification_id', '=', notificationId)
      .execute();
    return { retryAtMs };
  });
}

/** The work of delivering one notification. */
export function createDelivery(parts: DeliveryParts): WorkHandler {
  return {
    kind: 'notify',
    maxConcurrent: 32,
    // Longer than the slowest attempt: token, call, token again, call again, 15 s each (OD-5.3).
    leaseMs: 90_000,
    run: async (work) => {
      const notification = await parts.store.transaction((tx) => findPending(tx, work.subjectId));
      if (notification === undefined) {
        await parts.store.transaction((tx) => completeWork(tx, 'notify', work.subjectId));
        return undefined;
      }
      const client = parts.clients.get(notification.issuer_id);
      const answer: DeliveryAnswer =
        client === undefined
          ? { answer: 'none', reason: 'NO_TARGET' }
          : await client.deliver(notification.issuer_id, notification.body);
      crashPoint('server.notification.after-send');
      parts.logger.event('notification.attempted', {
        operationId: notification.operation_id,
        attempt: notification.attempts + 1,
        ...(answer.answer === 'status' ? { httpStatus: answer.httpStatus } : { reason: answer.reason }),
      });
      return performDecision(parts, work.subjectId, answer);
    },
  };
}
