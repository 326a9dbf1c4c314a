/**
 * The issuer's memory: orders and the notifications about them, in one SQLite file.
 *
 * Invariants: an order is stored, with its request id and its encrypted request, before it is sent, so a crash at
 * any point leads to the same request again and never to another card. No card data is stored in clear: the
 * masked number only. A notification and its effect on the order commit together, once. The encrypted request is
 * erased as soon as the order is answered.
 */
import { mkdirSync } from 'node:fs';
import { join } from 'node:path';
import { DatabaseSync } from 'node:sqlite';
import {
  applyOperation,
  type CardOperation,
  issuerRequestIdOf,
  notificationKey,
  type OrderState,
  type PreparedOrder,
} from '@cardwright/issuer-sdk';

export type SendState = 'to_send' | 'accepted' | 'refused';

export interface StoredOrder {
  readonly cardId: string;
  readonly issuerRequestId: string;
  readonly sendState: SendState;
  readonly operationId: string | null;
  readonly station: string;
  readonly maskedPan: string;
  /** `PENDING` until the API or a notification says otherwise. */
  readonly status: string;
  readonly detailsStatus: string;
  readonly errorCode: string | null;
  /** The field that the API refused, for a refused order. */
  readonly errorField: string | null;
  /** Keyed digest of what the caller asked for, to tell a repetition from another order. */
  readonly requestDigest: string;
  readonly checkedAt: number;
}

export interface NewOrder {
  readonly cardId: string;
  readonly issuerRequestId: string;
  readonly station: string;
  readonly maskedPan: string;
  readonly requestDigest: string;
  readonly prepared: PreparedOrder;
}

export interface StoredNotification {
  readonly receivedAt: number;
  readonly operation: CardOperation;
}

export interface OrderStore {
  /** Stores a new order; false when there is one for this card already. */
  insert(order: NewOrder): boolean;
  find(cardId: string): StoredOrder | undefined;
  /** The encrypted request of an order that is still to be sent. */
  prepared(cardId: string): PreparedOrder | undefined;
  markAccepted(cardId: string, operationId: string): void;
  markRefused(cardId: string, errorCode: string, errorField: string | null): void;
  /** Orders that have no end yet and were not looked at since `before` (epoch ms), longest ago first. */
  unfinished(before: number, limit: number): StoredOrder[];
  touch(cardId: string): void;
  hasNotification(key: string): boolean;
  /** Stores a notification and applies it, in one transaction; false when it was there already. */
  recordNotification(operation: CardOperation): boolean;
  /** Applies what the status answer said, without counting it as a notification. */
  applyStatus(operation: CardOperation): void;
  notifications(cardId: string): StoredNotification[];
  /** Random bytes made once per store, for keyed digests. */
  readonly digestKey: Uint8Array;
  close(): void;
}

const schema = `
CREATE TABLE IF NOT EXISTS orders (
  card_id TEXT PRIMARY KEY,
  issuer_request_id TEXT NOT NULL UNIQUE,
  send_state TEXT NOT NULL CHECK (send_state IN ('to_send', 'accepted', 'refused')),
  prepared TEXT CHECK ((prepared IS NOT NULL) = (send_state = 'to_send')),
  operation_id TEXT UNIQUE,
  station TEXT NOT NULL,
  masked_pan TEXT NOT NULL,
  status TEXT NOT NULL,
  details_status TEXT NOT NULL,
  error_code TEXT,
  error_field TEXT,
  end_time TEXT,
  request_digest TEXT NOT NULL,
  created_at INTEGER NOT NULL,
  checked_at INTEGER NOT NULL,
  CHECK (send_state <> 'accepted' OR operation_id IS NOT NULL)
) STRICT;
CREATE INDEX IF NOT EXISTS orders_unfinished ON orders (checked_at)
  WHERE status NOT IN ('SUCCESSFUL', 'FAILED');
CREATE TABLE IF NOT EXISTS notifications (
  sequence INTEGER PRIMARY KEY,
  key TEXT NOT NULL UNIQUE,
  card_id TEXT NOT NULL,
  body TEXT NOT NULL,
  received_at INTEGER NOT NULL
) STRICT;
CREATE INDEX IF NOT EXISTS notifications_by_card ON notifications (card_id, sequence);
CREATE TABLE IF NOT EXISTS secrets (name TEXT PRIMARY KEY, value BLOB NOT NULL) STRICT;
INSERT OR IGNORE INTO secrets VALUES ('digest-key', randomblob(32));
`;

const columns = `card_id AS cardId, issuer_request_id AS issuerRequestId, send_state AS sendState,
  operation_id AS operationId, station, masked_pan AS maskedPan, status, details_status AS detailsStatus,
  error_code AS errorCode, error_field AS errorField, request_digest AS requestDigest, checked_at AS checkedAt`;

function openDatabase(folder: string): DatabaseSync {
  mkdirSync(folder, { recursive: true, mode: 0o700 });
  const database = new DatabaseSync(join(folder, 'issuer.sqlite'));
  // Exclusive: a second process on the same folder fails at once instead of answering from a stale view.
  database.exec('PRAGMA locking_mode = EXCLUSIVE; PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL;');
  // What is erased must not survive in a free page.
  database.exec('PRAGMA secure_delete = ON;');
  database.exec(schema);
  return database;
}

/** Keeps what an issuer may keep: the fields this version knows, of the operation as it was sent. */
function notificationBody(operation: CardOperation): string {
  const { operationId, status, startTime, endTime, cardId, errorCode, error, details } = operation;
  return JSON.stringify({
    operationId,
    operation: operation.operation,
    status,
    startTime,
    endTime,
    cardId,
    errorCode,
    error,
    details,
  });
}

/** Opens the store in a folder and makes it when it is not there. @throws when another process has it open */
export function openOrderStore(folder: string, now: () => number = Date.now): OrderStore {
  const database = openDatabase(folder);
  const statement = (sql: string) => database.prepare(sql);
  const insert = statement(`INSERT OR IGNORE INTO orders
    (card_id, issuer_request_id, send_state, prepared, station, masked_pan, status, details_status,
     request_digest, created_at, checked_at)
    VALUES (?, ?, 'to_send', ?, ?, ?, 'PENDING', '', ?, ?, ?)`);
  const find = statement(`SELECT ${columns} FROM orders WHERE card_id = ?`);
  const prepared = statement('SELECT prepared FROM orders WHERE card_id = ?');
  // Also out of `refused`: that the API has the order is stronger evidence than that it refused a repetition.
  const accept = statement(`UPDATE orders SET send_state = 'accepted', prepared = NULL, operation_id = ?,
    status = 'PENDING', details_status = '', error_code = NULL, error_field = NULL, checked_at = ?
    WHERE card_id = ? AND send_state <> 'accepted'`);
  const refuse = statement(`UPDATE orders SET send_state = 'refused', prepared = NULL, status = 'FAILED',
    error_code = ?, error_field = ? WHERE card_id = ? AND send_state = 'to_send'`);
  const unfinished = statement(`SELECT ${columns} FROM orders
    WHERE status NOT IN ('SUCCESSFUL', 'FAILED') AND checked_at <= ? ORDER BY checked_at LIMIT ?`);
  const touch = statement('UPDATE orders SET checked_at = ? WHERE card_id = ?');
  const update = statement(`UPDATE orders SET status = ?, details_status = ?, error_code = ?, end_time = ?,
    checked_at = ? WHERE card_id = ?`);
  const hasNotification = statement('SELECT 1 FROM notifications WHERE key = ?');
  const addNotification = statement(
    'INSERT OR IGNORE INTO notifications (key, card_id, body, received_at) VALUES (?, ?, ?, ?)',
  );
  const listNotifications = statement(
    'SELECT body, received_at AS receivedAt FROM notifications WHERE card_id = ? ORDER BY sequence',
  );

  const findOrder = (cardId: string): StoredOrder | undefined => find.get(cardId) as StoredOrder | undefined;

  const transaction = <T>(action: () => T): T => {
    database.exec('BEGIN IMMEDIATE');
    try {
      const result = action();
      database.exec('COMMIT');
      return result;
    } catch (error) {
      database.exec('ROLLBACK');
      throw error;
    }
  };

  const apply = (operation: CardOperation): void => {
    let order = findOrder(operation.cardId);
    // A notification can overtake the answer to the order; the request id tells that it is ours.
    if (order !== undefined && issuerRequestIdOf(operation) === order.issuerRequestId) {
      accept.run(operation.operationId, now(), order.cardId);
      order = findOrder(operation.cardId);
    }
    if (order === undefined || order.operationId !== operation.operationId) return;
    const { status, detailsStatus, errorCode } = order;
    const known: OrderState | undefined =
      detailsStatus === '' && status === 'PENDING'
        ? undefined
        : {
            operationId: order.operationId,
            status,
            detailsStatus,
            errorCode: errorCode ?? undefined,
            endTime: undefined,
          };
    const next = applyOperation(known, operation);
    if (next === known) return;
    const { cardId } = order;
    update.run(next.status, next.detailsStatus, next.errorCode ?? null, next.endTime ?? null, now(), cardId);
  };

  return {
    insert: (order) => {
      const at = now();
      const { cardId, issuerRequestId, station, maskedPan, requestDigest } = order;
      const request = JSON.stringify(order.prepared);
      return (
        insert.run(cardId, issuerRequestId, request, station, maskedPan, requestDigest, at, at).changes === 1
      );
    },
    find: findOrder,
    prepared: (cardId) => {
      const text = (prepared.get(cardId) as { prepared: string | null } | undefined)?.prepared ?? undefined;
      return text === undefined ? undefined : (JSON.parse(text) as PreparedOrder);
    },
    markAccepted: (cardId, operationId) => void accept.run(operationId, now(), cardId),
    markRefused: (cardId, errorCode, errorField) => void refuse.run(errorCode, errorField, cardId),
    unfinished: (before, limit) => unfinished.all(before, limit) as unknown as StoredOrder[],
    touch: (cardId) => void touch.run(now(), cardId),
    hasNotification: (key) => hasNotification.get(key) !== undefined,
    recordNotification: (operation) =>
      transaction(() => {
        const body = notificationBody(operation);
        const added = addNotification.run(notificationKey(operation), operation.cardId, body, now());
        if (added.changes !== 1) return false;
        apply(operation);
        return true;
      }),
    applyStatus: (operation) => {
      transaction(() => {
        apply(operation);
      });
    },
    notifications: (cardId) =>
      (listNotifications.all(cardId) as { body: string; receivedAt: number }[]).map(
        ({ body, receivedAt }) => ({
          receivedAt,
          operation: JSON.parse(body) as CardOperation,
        }),
      ),
    digestKey: (
      statement("SELECT value FROM secrets WHERE name = 'digest-key'").get() as { value: Uint8Array }
    ).value,
    close: () => {
      database.close();
    },
  };
}
