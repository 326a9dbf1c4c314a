/**
 * One node's presence on a shared database: the connection on which it hears the others, speaks to them, and holds
 * the lock that says it lives.
 *
 * Invariants: words are gathered and sent outside of any transaction, so that no commit waits for them; a connection
 * that dies is replaced for ever, and then everything counts as said (`everything`), since words may have been lost.
 * The number changes with the connection: what was leased under the old one is free, also where the answer to the lease
 * was lost. Another node may then do what this one still does, which every kind of work allows.
 */
import { randomInt } from 'node:crypto';
import { type Clock, type Logger, type Timer } from '@cardwright/runtime';
import { type Client } from 'pg';
import { type PostgresConfig } from '../config.ts';
import { connectClient, schemaOf } from './postgres-connection.ts';
import { type Wakeup, type Wakeups } from './store.ts';

/** First half of the two numbers of a node's lock: any number that nobody else uses. */
export const nodeLockClass = 1_128_354_628;

export interface PostgresNode {
  /** The number under which this node leases work now. */
  readonly nodeId: number;
  readonly wakeups: Wakeups;
  close(): Promise<void>;
}

interface Words {
  readonly from: number;
  readonly stations: readonly string[];
  readonly work: boolean;
}

/** A notification holds less than 8,000 bytes, and a station's name at most 64. */
const maxStationsInWords = 100;
const longestPauseMs = 5_000;

/** Reads what another node said; undefined for our own words and for what nobody here would say. */
function readWords(text: string | undefined, ownId: number): Words | undefined {
  try {
    const words = JSON.parse(text ?? '') as Partial<Words> | null;
    const isOurs = typeof words?.from !== 'number' || words.from === ownId;
    return isOurs || !Array.isArray(words.stations) ? undefined : (words as Words);
  } catch {
    return undefined;
  }
}

/** Joins the nodes of a database. @throws StoreError STORE_UNAVAILABLE when it cannot be reached now */
export async function joinPostgresNodes(
  config: PostgresConfig,
  parts: { readonly clock: Clock; readonly logger: Logger },
): Promise<PostgresNode> {
  let nodeId = 0;
  const channel = `cardwright_${schemaOf(config)}`;
  const listeners: ((wakeup: Wakeup) => void)[] = [];
  const stations = new Set<string>();
  let hasWork = false;
  let client: Client | undefined;
  let sending: Promise<void> | undefined;
  let reconnection: Timer | undefined;
  let isClosed = false;
  const isOver = (): boolean => isClosed;

  const tell = (wakeup: Wakeup): void => {
    for (const listener of listeners) listener(wakeup);
  };

  const connect = async (): Promise<void> => {
    const made = await connectClient(config);
    made.on('notification', ({ payload }) => {
      const words = readWords(payload, nodeId);
      for (const stationId of words?.stations ?? []) tell({ about: 'station', stationId });
      if (words?.work === true) tell({ about: 'work' });
    });
    const number = randomInt(1, 2 ** 31);
    try {
      await made.query(`SELECT pg_advisory_lock(${String(nodeLockClass)}, ${String(number)})`);
      await made.query(`LISTEN ${made.escapeIdentifier(channel)}`);
    } catch (error) {
      await made.end();
      throw error;
    }
    nodeId = number;
    client = made;
    made.once('end', () => {
      client = undefined;
      if (isOver()) return;
      parts.logger.warn('database.wake-up-lost', { nodeId });
      reconnectIn(0, 0);
    });
    if (isOver()) await made.end();
  };

  function reconnectIn(pauseMs: number, tries: number): void {
    reconnection = parts.clock.setTimeout(() => {
      connect().then(
        () => {
          parts.logger.event('database.wake-up-again', { nodeId });
          tell({ about: 'everything' });
        },
        () => {
          if (!isOver()) reconnectIn(Math.min(longestPauseMs, 50 * 2 ** Math.min(tries, 10)), tries + 1);
        },
      );
    }, pauseMs);
  }

  const sendAll = async (): Promise<void> => {
    // One turn of the event loop gathers what is said together; what is said meanwhile goes with the next.
    await new Promise((resolve) => setImmediate(resolve));
    while ((stations.size > 0 || hasWork) && client !== undefined) {
      const named = [...stations].slice(0, maxStationsInWords);
      const words: Words = { from: nodeId, stations: named, work: hasWork };
      for (const stationId of named) stations.delete(stationId);
      hasWork = false;
      try {
        await client.query('SELECT pg_notify($1, $2)', [channel, JSON.stringify(words)]);
      } catch {
        // Lost with the connection: polling finds it.
        break;
      }
    }
    // Nobody hears it now, and after the connection is back everything counts as said.
    stations.clear();
    sending = undefined;
  };

  await connect();
  return {
    get nodeId() {
      return nodeId;
    },
    wakeups: {
      publish: (wakeup) => {
        if (wakeup.about === 'work') hasWork = true;
        else stations.add(wakeup.stationId);
        sending ??= sendAll();
      },
      subscribe: (listener) => {
        listeners.push(listener);
      },
    },
    close: async () => {
      isClosed = true;
      reconnection?.cancel();
      await sending;
      await client?.end().catch(() => undefined);
    },
  };
}
