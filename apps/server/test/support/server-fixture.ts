/**
 * A whole server for one test: real sockets, real certificates, a real database of either engine, with a fake
 * vault and a fake issuer on the other ends.
 */
import { randomInt, randomUUID } from 'node:crypto';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { luhnCheckDigit } from '@cardwright/domain';
import { createEcKeyPair, type EcKeyPair } from '@cardwright/runtime/certificate-authority';
import {
  type Clock,
  createLogger,
  createMtlsClient,
  type MtlsClient,
  systemClock,
} from '@cardwright/runtime';
import { createTestAuthority, type TestAuthority } from '@cardwright/testkit';
import { CompactEncrypt, importJWK, importPKCS8, SignJWT } from 'jose';
import { createServerApp, type ServerApp } from '../../src/app.ts';
import { type ServerConfig } from '../../src/config.ts';
import { type DispatchTimes } from '../../src/dispatch/dispatch-parts.ts';
import { type Engine, freshDatabase } from './engines.ts';
import { type FakeIssuer, startFakeIssuer } from './fake-issuer.ts';
import { type FakeVault, startFakeVault } from './fake-vault.ts';

export const issuerId = 'ISS0000001';
export const otherIssuerId = 'ISS0000002';
export const stationId = 'KIOSK-PS-101';
export const secondStationId = 'KIOSK-PS-102';
export const foreignStationId = 'KIOSK-PS-900';
export const publicOrigin = 'https://cardwright.test:8443';
export const signingKid = 'iss-key-1';

export interface Party {
  readonly certFile: string;
  readonly keyFile: string;
  readonly thumbprint: string;
}

/** What does not change between the servers of one test file: certificates, keys, fakes, configuration. */
export interface World {
  readonly folder: string;
  readonly config: ServerConfig;
  readonly vault: FakeVault;
  readonly issuer: FakeIssuer;
  readonly signing: EcKeyPair;
  readonly otherSigning: EcKeyPair;
  readonly parties: Record<
    | 'issuerClient'
    | 'otherIssuerClient'
    | 'strangerClient'
    | 'station'
    | 'secondStation'
    | 'unknownStation'
    | 'operator',
    Party
  >;
  file(name: string, text: string): string;
  client(origin: string, party: Party): MtlsClient;
  close(): Promise<void>;
}

interface Authorities {
  readonly server: TestAuthority;
  readonly issuers: TestAuthority;
  readonly stations: TestAuthority;
  readonly operators: TestAuthority;
  readonly internal: TestAuthority;
}

async function makeAuthorities(): Promise<Authorities> {
  const [server, issuers, stations, operators, internal] = await Promise.all(
    ['server', 'issuers', 'stations', 'operators', 'internal'].map((name) =>
      createTestAuthority(`${name} CA`),
    ),
  );
  if (!server || !issuers || !stations || !operators || !internal) throw new Error('an authority is missing');
  return { server, issuers, stations, operators, internal };
}

export interface WorldOptions {
  /** The embedded engine when absent. */
  readonly engine?: Engine;
  /** Adds outbound OAuth to the first issuer's notification target. */
  readonly oauth?: boolean;
  readonly waitLimitMs?: number;
  readonly remake?: ServerConfig['products'][number]['remake'];
}

/** Makes certificates, configuration and the fakes. */
export async function createWorld(options: WorldOptions = {}): Promise<World> {
  const folder = mkdtempSync(join(tmpdir(), 'cardwright-server-'));
  const file = (name: string, text: string): string => {
    const path = join(folder, name);
    writeFileSync(path, text, { mode: 0o600 });
    return path;
  };
  const ca = await makeAuthorities();
  const caFiles = Object.fromEntries(
    Object.entries(ca).map(([name, authority]) => [
      name,
      file(`${name}-ca.pem`, (authority as TestAuthority).ca),
    ]),
  ) as Record<keyof Authorities, string>;
  const issue = async (authority: TestAuthority, name: string, use: 'server' | 'client'): Promise<Party> => {
    const { cert, key, thumbprint } = await authority.issue(name, use);
    return { certFile: file(`${name}.pem`, cert), keyFile: file(`${name}.key`, key), thumbprint };
  };
  const serverTls = await issue(ca.server, 'server', 'server');
  const internalTls = await issue(ca.internal, 'internal-tls', 'server');
  const outbound = await issue(ca.internal, 'outbound', 'client');
  const parties = {
    issuerClient: await issue(ca.issuers, 'issuer-client', 'client'),
    otherIssuerClient: await issue(ca.issuers, 'other-issuer-client', 'client'),
    strangerClient: await issue(ca.issuers, 'stranger', 'client'),
    station: await issue(ca.stations, 'station', 'client'),
    secondStation: await issue(ca.stations, 'second-station', 'client'),
    unknownStation: await issue(ca.stations, 'unknown-station', 'client'),
    operator: await issue(ca.operators, 'operator', 'client'),
  };
  const [signing, otherSigning, token, payload] = [
    await createEcKeyPair(),
    await createEcKeyPair(),
    await createEcKeyPair(),
    await createEcKeyPair(),
  ];
  const internalServer = {
    certFile: internalTls.certFile,
    keyFile: internalTls.keyFile,
    clientCaFile: caFiles.internal,
  };
  const vault = await startFakeVault(internalServer, [issuerId, otherIssuerId]);
  const issuer = await startFakeIssuer(internalServer);
  const outboundFiles = { caFile: caFiles.internal, certFile: outbound.certFile, keyFile: outbound.keyFile };
  const listener = (clientCaFile: string) => ({ host: '127.0.0.1', port: 0, clientCaFile });
  const station = { issuerIds: [issuerId], payloadKey: payload.publicJwk };
  const config: ServerConfig = {
    environment: 'sandbox',
    dataFolder: join(folder, 'data'),
    database: await freshDatabase(options.engine ?? 'sqlite'),
    tls: { certFile: serverTls.certFile, keyFile: serverTls.keyFile },
    issuerListener: listener(caFiles.issuers),
    stationListener: listener(caFiles.stations),
    operatorListener: listener(caFiles.operators),
    publicOrigin,
    vault: { origin: vault.origin, ...outboundFiles },
    tokenSigningKeyFile: file('token.key', token.privatePem),
    issuers: [
      {
        issuerId,
        clientThumbprints: [parties.issuerClient.thumbprint],
        signingKeys: [{ kid: signingKid, jwk: signing.publicJwk }],
        defaultProductId: 'DEBIT_STD',
        notification: {
          origin: issuer.origin,
          ...outboundFiles,
          ...(options.oauth === true
            ? {
                oauth: {
                  tokenUrl: `${issuer.origin}/authz/d1/v1/oauth2/token`,
                  clientId: 'cardwright',
                  clientSecretFile: file('oauth.secret', 'a test secret'),
                },
              }
            : {}),
        },
      },
      {
        issuerId: otherIssuerId,
        clientThumbprints: [parties.otherIssuerClient.thumbprint],
        signingKeys: [{ kid: signingKid, jwk: otherSigning.publicJwk }],
      },
    ],
    products: [
      {
        productId: 'DEBIT_STD',
        paymentConfigs: ['CCD_3DES_01'],
        keyIndexes: { oda: ['01'], derivation: ['01'], cv: ['01'], pv: [] },
        remake: options.remake ?? { maxRemakes: 1, remakeAfterTerminate: false },
      },
    ],
    stations: [
      {
        ...station,
        stationId,
        clientThumbprint: parties.station.thumbprint,
        ...(options.waitLimitMs === undefined ? {} : { waitLimitMs: options.waitLimitMs }),
      },
      { ...station, stationId: secondStationId, clientThumbprint: parties.secondStation.thumbprint },
      {
        ...station,
        stationId: foreignStationId,
        issuerIds: [otherIssuerId],
        clientThumbprint: outbound.thumbprint,
      },
    ],
  };
  return {
    folder,
    config,
    vault,
    issuer,
    signing,
    otherSigning,
    parties,
    file,
    client: (origin, party) => createMtlsClient({ ...party, origin, caFile: caFiles.server }),
    close: async () => {
      await vault.close();
      await issuer.close();
      rmSync(folder, { recursive: true, force: true });
    },
  };
}

export interface RunningServer {
  readonly app: ServerApp;
  readonly origins: Record<'issuer' | 'station' | 'operator', string>;
  /** A client with a party's certificate; closed with the server. */
  client(listener: 'issuer' | 'station' | 'operator', party: Party): MtlsClient;
  stop(): Promise<void>;
}

export interface ServerOptions {
  readonly clock?: Clock;
  readonly times?: DispatchTimes;
}

/** Starts a server of this world. Stopping it keeps the data folder. */
export async function startServer(world: World, options: ServerOptions = {}): Promise<RunningServer> {
  const app = await createServerApp(world.config, {
    clock: options.clock ?? systemClock,
    logger: createLogger('server', { level: 'silent' }),
    random: () => 0.5,
    ...(options.times === undefined ? {} : { times: options.times }),
  });
  const addresses = await app.start();
  const origin = (port: number): string => `https://localhost:${String(port)}`;
  const origins = {
    issuer: origin(addresses.issuer.port),
    station: origin(addresses.station.port),
    operator: origin(addresses.operator.port),
  };
  const clients: MtlsClient[] = [];
  return {
    app,
    origins,
    client: (listener, party) => {
      const client = world.client(origins[listener], party);
      clients.push(client);
      return client;
    },
    stop: async () => {
      await Promise.all(clients.map((client) => client.close()));
      await app.stop();
    },
  };
}

/** Signs an assertion of the first issuer; claims and header may be changed. */
export async function signAssertion(
  world: World,
  claims: Readonly<Record<string, unknown>> = {},
  header: Readonly<Record<string, unknown>> = {},
  nowMs: number = Date.now(),
): Promise<string> {
  const nowS = Math.floor(nowMs / 1_000);
  const key = await importPKCS8(world.signing.privatePem, 'ES256');
  const payload = { iss: issuerId, sub: issuerId, iat: nowS, exp: nowS + 300, aud: publicOrigin, ...claims };
  return new SignJWT(payload)
    .setProtectedHeader({ alg: 'ES256', kid: signingKid, typ: 'JWT', ...header })
    .sign(key);
}

export const grantType = 'urn:ietf:params:oauth:grant-type:jwt-bearer';

/** Gets an access token over `client`. */
export async function getToken(world: World, client: MtlsClient, nowMs?: number): Promise<string> {
  const answer = await client.request({
    method: 'POST',
    path: '/authz/v1/oauth2/token',
    form: { grant_type: grantType, assertion: await signAssertion(world, {}, {}, nowMs) },
  });
  if (answer.status !== 200) throw new Error(`no token: ${answer.body}`);
  return (JSON.parse(answer.body) as { access_token: string }).access_token;
}

/** A fresh, valid test card number. */
export function makePan(): string {
  const digits = `999900${String(randomInt(0, 1_000_000_000)).padStart(9, '0')}`;
  return digits + luhnCheckDigit(digits);
}

export type CardPlaintext = Record<string, unknown>;

export const makeCard = (): CardPlaintext => ({
  pan: makePan(),
  exp: '3112',
  name: 'A SAMPLE',
  encodedName: 'SAMPLE/A',
});

/** Encrypts card data as an issuer would; each call gives other ciphertext. */
export async function encryptCard(world: World, card: CardPlaintext, kid?: string): Promise<string> {
  const { kid: recipientKid, ...jwk } = world.vault.recipientJwk;
  return new CompactEncrypt(Buffer.from(JSON.stringify(card)))
    .setProtectedHeader({ alg: 'ECDH-ES', enc: 'A256GCM', kid: kid ?? recipientKid })
    .encrypt(await importJWK(jwk, 'ECDH-ES'));
}

export const newCardId = (): string => `card_${randomUUID()}`;

export const productionPath = (cardId: string, issuer = issuerId): string =>
  `/banking/v1/issuers/${issuer}/physicalCards/${cardId}/operations:production`;
export const statusPath = (cardId: string, issuer = issuerId): string =>
  `/banking/v1/issuers/${issuer}/physicalCards/${cardId}/productionStatus`;

/** A complete, valid order body. */
export async function orderBody(
  world: World,
  changes: Record<string, unknown> = {},
): Promise<Record<string, unknown>> {
  return {
    distributionChannel: 'INSTANT',
    persoStation: stationId,
    cardProductId: 'DEBIT_STD',
    consumerId: 'cons-0042',
    services: { issuance: 'CREATION' },
    paymentApplication: {
      config: 'CCD_3DES_01',
      odaKeyIndex: '01',
      derivationKeyIndex: '01',
      cvKeyIndex: '01',
    },
    cardDesign: { customLines: ['DEBIT'], memberId: 'M123456' },
    encryptedData: changes['encryptedData'] ?? (await encryptCard(world, makeCard())),
    ...changes,
  };
}
