/**
 * The server's configuration: one JSON file, checked as a whole before anything starts.
 *
 * Invariant: no insecure default. Every listener demands client certificates; simulated stations are refused in
 * production.
 */
import { type RemakePolicy } from '@cardwright/domain';
import { CardProductId, IssuerId, normalizeKeyIndex, PersoStation, PublicJwk } from '@cardwright/protocol';
import { ConfigError, readConfig } from '@cardwright/runtime';
import { type Static, Type } from 'typebox';

const closed = { additionalProperties: false } as const;
const File = Type.String({ minLength: 1 });
const Origin = Type.String({ pattern: '^https://[^/]+$' });
const Thumbprint = Type.String({ pattern: '^[A-Za-z0-9_-]{43}$', description: 'SHA-256 of the certificate' });
const KeyIndexes = Type.Array(Type.String({ pattern: '^[A-Za-z0-9_-]{1,16}$' }));
const Listener = Type.Object(
  { host: Type.String(), port: Type.Integer({ minimum: 0, maximum: 65_535 }), clientCaFile: File },
  closed,
);
export type ListenerConfig = Static<typeof Listener>;

/** Plain HTTP without any data: `/healthz` and `/readyz`. */
const HealthListener = Type.Object(
  { host: Type.String(), port: Type.Integer({ minimum: 0, maximum: 65_535 }) },
  closed,
);
export type HealthListenerConfig = Static<typeof HealthListener>;

const SqliteDatabase = Type.Object({ engine: Type.Literal('sqlite') }, closed);
const PostgresDatabase = Type.Object(
  {
    engine: Type.Literal('postgresql'),
    /** `postgres://user@host:port/database`, or the parts one by one. Never both a password here and in production. */
    url: Type.Optional(Type.String({ pattern: '^postgres(ql)?://' })),
    /** A name, an address, or the folder of a local socket. */
    host: Type.Optional(Type.String({ minLength: 1 })),
    port: Type.Optional(Type.Integer({ minimum: 1, maximum: 65_535 })),
    database: Type.Optional(Type.String({ minLength: 1 })),
    user: Type.Optional(Type.String({ minLength: 1 })),
    /** Read again at each new connection, so that it can be changed under a running server. */
    passwordFile: Type.Optional(File),
    /** Where our tables are; made when it is missing. Absent: the database's default. */
    schema: Type.Optional(Type.String({ pattern: '^[a-z_][a-z0-9_]{0,40}$' })),
    tls: Type.Optional(
      Type.Object({ caFile: File, certFile: Type.Optional(File), keyFile: Type.Optional(File) }, closed),
    ),
    /** Connections for transactions; one more listens. */
    poolSize: Type.Optional(Type.Integer({ minimum: 1, maximum: 200 })),
    /** Production requires one unless this says `optional`. */
    synchronousStandby: Type.Optional(Type.Union([Type.Literal('required'), Type.Literal('optional')])),
  },
  closed,
);
export type PostgresConfig = Static<typeof PostgresDatabase>;
const Database = Type.Union([SqliteDatabase, PostgresDatabase]);
export type DatabaseConfig = Static<typeof Database>;

const OutboundOauth = Type.Object(
  {
    tokenUrl: Type.String({ pattern: '^https://' }),
    clientId: Type.String({ minLength: 1 }),
    clientSecretFile: File,
    scope: Type.Optional(Type.String()),
  },
  closed,
);
export type OutboundOauthConfig = Static<typeof OutboundOauth>;

const NotificationTarget = Type.Object(
  {
    origin: Origin,
    caFile: File,
    certFile: File,
    keyFile: File,
    oauth: Type.Optional(OutboundOauth),
  },
  closed,
);
export type NotificationTarget = Static<typeof NotificationTarget>;

const Issuer = Type.Object(
  {
    issuerId: IssuerId,
    clientThumbprints: Type.Array(Thumbprint, { minItems: 1, maxItems: 4 }),
    signingKeys: Type.Array(
      Type.Object({ kid: Type.String({ pattern: '^[A-Za-z0-9._-]{1,128}$' }), jwk: PublicJwk }, closed),
      { minItems: 1, maxItems: 5 },
    ),
    defaultProductId: Type.Optional(CardProductId),
    /** Absent: this issuer is not notified and polls instead. */
    notification: Type.Optional(NotificationTarget),
  },
  closed,
);
export type IssuerConfig = Static<typeof Issuer>;

const Product = Type.Object(
  {
    productId: CardProductId,
    paymentConfigs: Type.Array(Type.String({ pattern: '^[A-Za-z0-9_-]{1,64}$' }), { minItems: 1 }),
    keyIndexes: Type.Object(
      { oda: KeyIndexes, derivation: KeyIndexes, cv: KeyIndexes, pv: KeyIndexes },
      closed,
    ),
    remake: Type.Object(
      { maxRemakes: Type.Integer({ minimum: 0, maximum: 9 }), remakeAfterTerminate: Type.Boolean() },
      closed,
    ),
  },
  closed,
);
export type ProductConfig = Static<typeof Product> & { readonly remake: RemakePolicy };

const Station = Type.Object(
  {
    stationId: PersoStation,
    issuerIds: Type.Array(IssuerId, { minItems: 1 }),
    clientThumbprint: Thumbprint,
    payloadKey: PublicJwk,
    waitLimitMs: Type.Optional(Type.Integer({ minimum: 1_000 })),
  },
  closed,
);
export type StationConfig = Static<typeof Station>;

export const ServerConfig = Type.Object(
  {
    environment: Type.Union([Type.Literal('sandbox'), Type.Literal('production')]),
    dataFolder: File,
    tls: Type.Object({ certFile: File, keyFile: File }, closed),
    issuerListener: Listener,
    stationListener: Listener,
    operatorListener: Listener,
    healthListener: Type.Optional(HealthListener),
    /** Absent: the embedded engine, in the data folder. */
    database: Type.Optional(Database),
    /** How many server nodes this installation has; more than one needs a database that they share. */
    nodes: Type.Optional(Type.Integer({ minimum: 1 })),
    /** Scheme, host and port that issuers use: `aud` of assertions and issuer of access tokens. */
    publicOrigin: Origin,
    vault: Type.Object({ origin: Origin, caFile: File, certFile: File, keyFile: File }, closed),
    /** PKCS#8 PEM, P-256. */
    tokenSigningKeyFile: File,
    issuers: Type.Array(Issuer),
    products: Type.Array(Product),
    stations: Type.Array(Station),
  },
  closed,
);
export type ServerConfig = Static<typeof ServerConfig>;

export const defaultWaitLimitMs = 15 * 60 * 1_000;
const simulatedStation = /^KIOSK-SIM-/;

function repeated(values: readonly string[]): string[] {
  return [...new Set(values.filter((value, at) => values.indexOf(value) !== at))];
}

/** What is wrong with where the data is kept. Says nothing of the address: it may hold a password. */
function findDatabaseFaults(config: ServerConfig): string[] {
  const isProduction = config.environment === 'production';
  const { database } = config;
  if (database?.engine !== 'postgresql') {
    return isProduction && (config.nodes ?? 1) > 1
      ? ['database.engine: several nodes need postgresql, the embedded engine belongs to one process']
      : [];
  }
  const faults: string[] = [];
  const { url, host, passwordFile, tls } = database;
  if ((url === undefined) === (host === undefined)) faults.push('database: give either url or host');
  const address = url === undefined || !URL.canParse(url) ? undefined : new URL(url);
  if (url !== undefined && address === undefined) faults.push('database.url: not an address');
  if (address !== undefined && address.password !== '') {
    if (isProduction) faults.push('database.url: a password belongs in passwordFile');
    if (passwordFile !== undefined) faults.push('database: a password in url and passwordFile');
  }
  if (address?.searchParams.has('sslmode') === true) faults.push('database.url: use tls instead of sslmode');
  const isLocalSocket =
    host?.startsWith('/') === true || address?.searchParams.get('host')?.startsWith('/') === true;
  if (isProduction && tls === undefined && !isLocalSocket) faults.push('database.tls: needed in production');
  if ((tls?.certFile === undefined) !== (tls?.keyFile === undefined)) {
    faults.push('database.tls: certFile and keyFile go together');
  }
  return faults;
}

/** What the schema cannot say. Returns every fault found. */
export function findConfigFaults(config: ServerConfig): string[] {
  const faults: string[] = [];
  const productIds = config.products.map((product) => product.productId);
  const issuerIds = config.issuers.map((issuer) => issuer.issuerId);
  const lists: [string, string[]][] = [
    ['issuers: issuerId appears twice', issuerIds],
    ['products: productId appears twice', productIds],
    ['stations: stationId appears twice', config.stations.map((station) => station.stationId)],
    ['stations: clientThumbprint appears twice', config.stations.map((station) => station.clientThumbprint)],
    [
      'issuers: a client thumbprint appears twice',
      config.issuers.flatMap((issuer) => issuer.clientThumbprints),
    ],
  ];
  for (const [fault, values] of lists) {
    if (repeated(values).length > 0) faults.push(fault);
  }
  config.issuers.forEach((issuer, at) => {
    const place = `issuers.${String(at)}`;
    if (issuer.defaultProductId !== undefined && !productIds.includes(issuer.defaultProductId)) {
      faults.push(`${place}.defaultProductId: no such product`);
    }
    if (repeated(issuer.signingKeys.map((key) => key.kid)).length > 0) {
      faults.push(`${place}.signingKeys: kid appears twice`);
    }
  });
  config.stations.forEach((station, at) => {
    const place = `stations.${String(at)}`;
    if (station.issuerIds.some((issuerId) => !issuerIds.includes(issuerId))) {
      faults.push(`${place}.issuerIds: no such issuer`);
    }
    if (config.environment === 'production' && simulatedStation.test(station.stationId)) {
      faults.push(`${place}.stationId: simulated stations are not for production`);
    }
  });
  config.products.forEach((product, at) => {
    for (const [name, indexes] of Object.entries(product.keyIndexes)) {
      if (repeated(indexes.map(normalizeKeyIndex)).length > 0) {
        faults.push(`products.${String(at)}.keyIndexes.${name}: one index appears twice`);
      }
    }
  });
  faults.push(...findDatabaseFaults(config));
  if (config.environment === 'production' && process.env['CARDWRIGHT_CRASH_AT'] !== undefined) {
    faults.push('environment: crash points are not for production');
  }
  return faults;
}

/** Reads and checks the configuration file. @throws ConfigError with every fault */
export function readServerConfig(file: string): ServerConfig {
  const config = readConfig(ServerConfig, file);
  const faults = findConfigFaults(config);
  if (faults.length > 0) throw new ConfigError(file, faults);
  return config;
}
