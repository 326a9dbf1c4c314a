/**
 * The outbox: what the issuer is to be told, written in the transaction of the state change.
 *
 * Invariant: notifications of one card form one queue; only its head has due work, so a card's notifications go
 * out in order and a waiting one never passes another (OD-5.4).
 */
import { type NotificationState, notificationTransitions, move } from '@cardwright/domain';
import { newId } from '@cardwright/runtime';
import { type Catalogue } from '../catalogue.ts';
import { completeWork, scheduleWork } from '../due-work/due-work.ts';
import { operationOf } from '../orders/operation-view.ts';
import { type HistoryData, recordChange } from '../store/history.ts';
import { type Transaction } from '../store/store.ts';
import { type NotificationRow, type OrderRow } from '../store/tables.ts';

export interface Outbox {
  /** Queues the order's present state for its issuer, if that issuer is notified at all. */
  enqueue(tx: Transaction, order: OrderRow, at: number): Promise<void>;
}

/** Whoever looks at a card's queue holds the card: its head and its next number are nobody else's meanwhile. */
export async function lockCard(tx: Transaction, issuerId: string, cardId: string): Promise<void> {
  await tx.lockName('card', `${issuerId} ${cardId}`);
}

async function headOf(
  tx: Transaction,
  issuerId: string,
  cardId: string,
): Promise<NotificationRow | undefined> {
  return tx.db
    .selectFrom('notifications')
    .selectAll()
    .where('issuer_id', '=', issuerId)
    .where('card_id', '=', cardId)
    .where('state', '=', 'pending')
    .orderBy('card_sequence')
    .limit(1)
    .executeTakeFirst();
}

export function createOutbox(catalogue: Catalogue, wakeWork: () => void): Outbox {
  return {
    enqueue: async (tx, order, at) => {
      if (catalogue.issuers.get(order.issuer_id)?.notification === undefined) return;
      await lockCard(tx, order.issuer_id, order.card_id);
      const head = await headOf(tx, order.issuer_id, order.card_id);
      const last = await tx.db
        .selectFrom('notifications')
        .select((eb) => eb.fn.max('card_sequence').as('sequence'))
        .where('issuer_id', '=', order.issuer_id)
        .where('card_id', '=', order.card_id)
        .executeTakeFirst();
      const operation = operationOf(order);
      const notificationId = newId();
      const number = await recordChange(tx, {
        operationId: order.operation_id,
        at,
        event: 'notification.queued',
        machine: 'notification',
        subjectId: notificationId,
        from: undefined,
        to: 'pending',
        data: { notificationId, status: operation.status, detailsStatus: operation.details.status },
      });
      await tx.db
        .insertInto('notifications')
        .values({
          notification_id: notificationId,
          operation_id: order.operation_id,
          issuer_id: order.issuer_id,
          card_id: order.card_id,
          card_sequence: (last?.sequence ?? 0) + 1,
          body: JSON.stringify({ operations: [operation] }),
          state: 'pending',
          state_number: number,
          attempts: 0,
          created_at: at,
        })
        .execute();
      if (head === undefined) {
        await scheduleWork(tx, 'notify', notificationId, at);
        tx.onCommit(wakeWork);
      }
    },
  };
}

/** Ends one notification's delivery and lets the card's next one go. The order and the card are locked. */
export async function finishNotification(
  tx: Transaction,
  notification: NotificationRow,
  to: Exclude<NotificationState, 'pending'>,
  at: number,
  data: HistoryData,
): Promise<void> {
  move('notification', notificationTransitions, notification.state, to);
  const number = await recordChange(tx, {
    operationId: notification.operation_id,
    at,
    event: `notification.${to}`,
    machine: 'notification',
    subjectId: notification.notification_id,
    from: { state: notification.state, number: notification.state_number },
    to,
    data: { notificationId: notification.notification_id, ...data },
  });
  await tx.db
    .updateTable('notifications')
    .set({ state: to, state_number: number, attempts: notification.attempts + 1 })
    .where('notification_id', '=', notification.notification_id)
    .execute();
  await completeWork(tx, 'notify', notification.notification_id);
  const next = await headOf(tx, notification.issuer_id, notification.card_id);
  if (next !== undefined) await scheduleWork(tx, 'notify', next.notification_id, at);
}
