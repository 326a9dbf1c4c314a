/**
 * The issuer's side of "Notify card operations": checks what came, drops repetitions, hands each new fact over.
 *
 * Invariants: nothing is handed over from a call that is refused; a fact counts as seen only after `onOperation`
 * ended well, so a crash or a failure in it makes the API send the fact again.
 */
import { type CardOperation, notificationKey, readOperations } from './card-operation.ts';

/** Remembers which facts were handled. A durable one lets a restart keep its memory. */
export interface NotificationMemory {
  has(key: string): boolean | Promise<boolean>;
  add(key: string): void | Promise<void>;
}

export interface NotificationReceiverOptions {
  /**
   * Called once per new fact, one after the other, in the order received. Must have stored what it wants to
   * keep when it returns; when it throws, the call must be answered with a 5xx so that it comes again.
   */
  readonly onOperation: (operation: CardOperation) => void | Promise<void>;
  /** Default: the last 10,000 facts in memory. */
  readonly memory?: NotificationMemory;
}

export type NotificationVerdict =
  /** Answer 204. */
  | { readonly accepted: true; readonly handled: number; readonly repeated: number }
  /** Answer 400: it will not come again in this form. `field` names what is wrong with it. */
  | { readonly accepted: false; readonly field: string };

export interface NotificationReceiver {
  /** Takes the parsed JSON body of one call. Rejects with what `onOperation` threw. */
  receive(body: unknown): Promise<NotificationVerdict>;
}

const memoryLimit = 10_000;

/** Keeps the newest `limit` keys; the oldest are forgotten, which only means that a very late repetition is new. */
export function createNotificationMemory(limit = memoryLimit): NotificationMemory {
  const keys = new Set<string>();
  return {
    has: (key) => keys.has(key),
    add: (key) => {
      keys.add(key);
      if (keys.size <= limit) return;
      for (const oldest of keys) {
        keys.delete(oldest);
        return;
      }
    },
  };
}

/** A receiver. Calls are handled one at a time, so that two deliveries of one fact cannot both count as new. */
export function createNotificationReceiver(options: NotificationReceiverOptions): NotificationReceiver {
  const memory = options.memory ?? createNotificationMemory();
  let previous: Promise<unknown> = Promise.resolve();

  const handle = async (operations: readonly CardOperation[]): Promise<NotificationVerdict> => {
    let handled = 0;
    for (const operation of operations) {
      const key = notificationKey(operation);
      if (await memory.has(key)) continue;
      await options.onOperation(operation);
      await memory.add(key);
      handled += 1;
    }
    return { accepted: true, handled, repeated: operations.length - handled };
  };

  return {
    receive: async (body) => {
      const read = readOperations(body);
      if (!read.ok) return { accepted: false, field: read.field };
      const turn = previous.then(() => handle(read.operations));
      previous = turn.catch(() => undefined);
      return turn;
    },
  };
}
