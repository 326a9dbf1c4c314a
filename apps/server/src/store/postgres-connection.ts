/**
 * Connections to PostgreSQL: a pool whose every client has its own Kysely, and clients outside of the pool.
 *
 * Invariants: a broken connection is never used again and never ends the process; a wait for a lock, for a free
 * connection or for an answer ends by itself; the password is read when a connection is made and is in no text of
 * ours. There is no limit of the server's on COMMIT: cutting its wait for the standby short would make a commit
 * that was never acknowledged look like a durable one to whoever reads it next.
 */
import { readFileSync } from 'node:fs';
import { Kysely, PostgresDialect } from 'kysely';
import { Client, type ClientConfig, type CustomTypesConfig, Pool, type PoolClient, types } from 'pg';
import { type PostgresConfig } from '../config.ts';
import { storeFaultOf } from './postgres-error.ts';
import { type Tables } from './tables.ts';

const connectLimitMs = 5_000;
const lockLimitMs = 5_000;
const answerLimitMs = 10_000;
const idleInTransactionLimitMs = 15_000;
const defaultPoolSize = 10;

/** BIGINT holds epoch milliseconds and counts: exact as a number, or a bug. */
function readBigint(text: string): number {
  const value = Number(text);
  if (!Number.isSafeInteger(value)) throw new RangeError('a BIGINT is past what a number holds');
  return value;
}

const typeParsers: CustomTypesConfig = {
  getTypeParser: (oid, format) =>
    oid === types.builtins.INT8 && format !== 'binary'
      ? readBigint
      : (types.getTypeParser(oid) as () => unknown),
};

function readPassword(file: string): string {
  return readFileSync(file, 'utf8').trim();
}

/** The parts of an address. The library's own reading of one would put its empty password over our file. */
function partsOf(url: string): ClientConfig {
  const { hostname, port, pathname, username, password, searchParams } = new URL(url);
  const host = searchParams.get('host') ?? hostname;
  return {
    ...(host === '' ? {} : { host: host.replace(/^\[|\]$/g, '') }),
    ...(port === '' ? {} : { port: Number(port) }),
    ...(pathname.length < 2 ? {} : { database: decodeURIComponent(pathname.slice(1)) }),
    ...(username === '' ? {} : { user: decodeURIComponent(username) }),
    ...(password === '' ? {} : { password: decodeURIComponent(password) }),
  };
}

function clientConfig(config: PostgresConfig, answerMs: number = answerLimitMs): ClientConfig {
  const { url, host, port, database, user, passwordFile, schema, tls } = config;
  return {
    ...(url === undefined ? {} : partsOf(url)),
    ...(host === undefined ? {} : { host }),
    ...(port === undefined ? {} : { port }),
    ...(database === undefined ? {} : { database }),
    ...(user === undefined ? {} : { user }),
    ...(passwordFile === undefined ? {} : { password: () => readPassword(passwordFile) }),
    ...(schema === undefined ? {} : { options: `-c search_path=${schema}` }),
    ...(tls === undefined
      ? {}
      : {
          ssl: {
            ca: readFileSync(tls.caFile),
            ...(tls.certFile === undefined ? {} : { cert: readFileSync(tls.certFile) }),
            ...(tls.keyFile === undefined ? {} : { key: readFileSync(tls.keyFile) }),
            rejectUnauthorized: true,
            minVersion: 'TLSv1.2',
          },
        }),
    application_name: 'cardwright-server',
    connectionTimeoutMillis: connectLimitMs,
    lock_timeout: lockLimitMs,
    query_timeout: answerMs,
    idle_in_transaction_session_timeout: idleInTransactionLimitMs,
    keepAlive: true,
    keepAliveInitialDelayMillis: connectLimitMs,
    types: typeParsers,
  };
}

/** The database's schema that holds our tables, also part of the names that all nodes on it share. */
export const schemaOf = (config: PostgresConfig): string => config.schema ?? 'public';

/**
 * A client of its own, for what lasts: migrations, listening. `answerLimitMs` 0: no limit.
 * @throws StoreError STORE_UNAVAILABLE
 */
export async function connectClient(
  config: PostgresConfig,
  limits: { readonly answerLimitMs?: number } = {},
): Promise<Client> {
  const client = new Client(clientConfig(config, limits.answerLimitMs));
  // An unheard `error` would end the process; the loss shows at the next query and as `end`.
  client.on('error', () => undefined);
  try {
    await client.connect();
  } catch (error) {
    throw storeFaultOf(error);
  }
  return client;
}

/** One connection of the pool while somebody has it. */
export interface Leased {
  readonly kysely: Kysely<Tables>;
  /** Runs one statement. @throws StoreError STORE_UNAVAILABLE, DatabaseError */
  query(text: string, values?: readonly unknown[]): Promise<{ readonly command: string }>;
  /** How many warnings the server has sent on this connection. */
  warnings(): number;
  /** Gives it back; a broken one is thrown away. */
  release(isBroken: boolean): void;
}

interface Member {
  readonly kysely: Kysely<Tables>;
  readonly query: Leased['query'];
  warnings: number;
}

export interface PostgresPool {
  lease(): Promise<Leased>;
  close(): Promise<void>;
}

function adopt(client: PoolClient): Member {
  const ask = async (text: string, values: readonly unknown[] = []) => {
    try {
      return await client.query<Record<string, unknown>>(text, [...values]);
    } catch (error) {
      throw storeFaultOf(error);
    }
  };
  const connection = { query: ask, release: () => undefined };
  // Kysely asks for a connection at each query: it always gets this one.
  const pool = {
    connect: () => Promise.resolve(connection),
    end: () => Promise.resolve(),
    options: {},
  };
  const dialect = new PostgresDialect({ pool: pool as never });
  const member: Member = { kysely: new Kysely<Tables>({ dialect }), query: ask, warnings: 0 };
  client.on('error', () => undefined);
  client.on('notice', (notice) => {
    if (notice.severity === 'WARNING') member.warnings++;
  });
  return member;
}

export function createPostgresPool(config: PostgresConfig): PostgresPool {
  const pool = new Pool({ ...clientConfig(config), max: config.poolSize ?? defaultPoolSize });
  pool.on('error', () => undefined);
  const members = new WeakMap<PoolClient, Member>();
  return {
    lease: async () => {
      let client: PoolClient;
      try {
        client = await pool.connect();
      } catch (error) {
        throw storeFaultOf(error);
      }
      const member = members.get(client) ?? adopt(client);
      members.set(client, member);
      return {
        kysely: member.kysely,
        query: member.query,
        warnings: () => member.warnings,
        release: (isBroken) => {
          client.release(isBroken);
        },
      };
    },
    close: () => pool.end(),
  };
}
