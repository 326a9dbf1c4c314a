/**
 * First start: makes every certificate, key and configuration file of the sandbox, one folder per process.
 *
 * Invariant: a folder is complete or absent. Everything is made in a folder beside it and renamed into place,
 * so that a kill in the middle leaves nothing half-made. Private CA keys are not kept: nothing needs them again.
 */
import { randomBytes } from 'node:crypto';
import { existsSync, mkdirSync, readFileSync, renameSync, rmSync } from 'node:fs';
import { basename, dirname, join } from 'node:path';
import {
  type CertificateAuthority,
  createAuthority,
  createEcKeyPair,
  type EcKeyPair,
} from '@cardwright/runtime/certificate-authority';
import { issueInto, writePublic, writeSecret } from './secret-file.ts';
import { sandboxFacts as facts, type SandboxLayout, sandboxLayout, type SandboxPorts } from './layout.ts';

export interface SandboxSettings {
  readonly folder: string;
  readonly ports: SandboxPorts;
  readonly secureChannel: 'SCP02' | 'SCP03';
  readonly timing: 'fast' | 'realistic';
  readonly faults: readonly string[];
  /** Milliseconds until the simulated customer takes the card; null: never. */
  readonly takeAfterMs: number | null;
  /** How long the station waits for an operator to mend a fault; the agent's default when absent. */
  readonly operatorWaitMs?: number;
  /** The vault's `keys`: a PKCS#11 token. Default: keys in software. */
  readonly tokenKeys?: Readonly<Record<string, unknown>>;
  /** Address of a PostgreSQL that keeps the server's data, in a schema of its own; absent: the embedded engine. */
  readonly databaseUrl?: string;
}

const validityMs = 365 * 24 * 3600 * 1000;

interface Authorities {
  readonly server: CertificateAuthority;
  readonly internal: CertificateAuthority;
  readonly issuerClients: CertificateAuthority;
  readonly stations: CertificateAuthority;
  readonly operators: CertificateAuthority;
  readonly outbound: CertificateAuthority;
  readonly bank: CertificateAuthority;
}

const json = (value: unknown): string => `${JSON.stringify(value, null, 2)}\n`;
const caFile = (name: keyof Authorities): string => `../pki/${name}-ca.pem`;
const local = (port: number): string => `https://localhost:${String(port)}`;

async function makeAuthorities(layout: SandboxLayout): Promise<Authorities> {
  const make = async (file: keyof Authorities, commonName: string): Promise<CertificateAuthority> => {
    const authority = await createAuthority(`Cardwright sandbox ${commonName}`, validityMs);
    writePublic(join(layout.pki, `${file}-ca.pem`), authority.ca);
    return authority;
  };
  return {
    server: await make('server', 'server CA'),
    internal: await make('internal', 'internal CA'),
    issuerClients: await make('issuerClients', 'issuer client CA'),
    stations: await make('stations', 'station CA'),
    operators: await make('operators', 'operator CA'),
    outbound: await make('outbound', 'outbound CA'),
    bank: await make('bank', 'bank CA'),
  };
}

async function provisionVault(
  layout: SandboxLayout,
  ca: Authorities,
  { tokenKeys }: SandboxSettings,
): Promise<void> {
  const folder = layout.component('vault');
  const tls = { certFile: 'tls.pem', keyFile: 'tls.key' };
  await issueInto(folder, 'tls', ca.internal, 'vault', 'server');
  const serverThumbprint = await issueInto(
    layout.component('server'),
    'vault-client',
    ca.internal,
    'server',
    'client',
  );
  const sandboxThumbprint = await issueInto(
    layout.operator,
    'vault-client',
    ca.internal,
    'sandbox',
    'client',
  );
  if (tokenKeys === undefined) writeSecret(join(folder, 'master.key'), randomBytes(32));
  writePublic(
    layout.configFile('vault'),
    json({
      environment: 'sandbox',
      dataFolder: 'data',
      listener: { host: '127.0.0.1', port: layout.ports.vault, clientCaFile: caFile('internal') },
      tls,
      allowedClientThumbprints: [serverThumbprint, sandboxThumbprint],
      issuerIds: [facts.issuerId],
      ...(tokenKeys === undefined ? { masterKeyFile: 'master.key' } : { keys: tokenKeys }),
      iccKeyPoolSize: 8,
      testPanPrefixes: [facts.testPanPrefix],
    }),
  );
}

interface Registrations {
  readonly issuerThumbprint: string;
  readonly issuerSigningKey: EcKeyPair['publicJwk'];
  readonly stationThumbprint: string;
  readonly stationPayloadKey: EcKeyPair['publicJwk'];
  readonly oauthSecret: string;
}

async function provisionStation(
  layout: SandboxLayout,
  ca: Authorities,
  settings: SandboxSettings,
): Promise<Pick<Registrations, 'stationThumbprint' | 'stationPayloadKey'>> {
  const folder = layout.component('agent');
  const stationThumbprint = await issueInto(folder, 'station', ca.stations, facts.stationId, 'client');
  const stationPayloadKey = await makeEcKey(join(folder, 'payload.key'));
  writePublic(
    layout.configFile('agent'),
    json({
      environment: 'sandbox',
      stationId: facts.stationId,
      dataFolder: 'data',
      server: {
        origin: local(layout.ports.station),
        caFile: caFile('server'),
        certFile: 'station.pem',
        keyFile: 'station.key',
      },
      payloadKeyFile: 'payload.key',
      printer: {
        driver: 'evolis',
        host: '127.0.0.1',
        port: layout.ports.printer,
        device: facts.printerDevice,
      },
      chip: { driver: 'vpcd', host: '127.0.0.1', port: layout.ports.chip },
      ...(settings.operatorWaitMs === undefined ? {} : { operatorWaitMs: settings.operatorWaitMs }),
    }),
  );
  return { stationThumbprint, stationPayloadKey };
}

async function provisionIssuer(
  layout: SandboxLayout,
  ca: Authorities,
): Promise<Pick<Registrations, 'issuerThumbprint' | 'issuerSigningKey' | 'oauthSecret'>> {
  const folder = layout.component('issuer');
  await issueInto(folder, 'tls', ca.bank, 'bank notifications', 'server');
  const issuerThumbprint = await issueInto(
    folder,
    'd1-client',
    ca.issuerClients,
    `${facts.issuerId} PPR`,
    'client',
  );
  const issuerSigningKey = await makeEcKey(join(folder, 'signing.key'));
  const oauthSecret = randomBytes(24).toString('base64url');
  writeSecret(join(folder, 'oauth.secret'), oauthSecret);
  return { issuerThumbprint, issuerSigningKey, oauthSecret };
}

/** A product as the server knows it: which configuration and key indexes an order may name. */
function serverProduct(productId: string, paymentConfig: string): Readonly<Record<string, unknown>> {
  const keyIndexes = [facts.keyIndex];
  return {
    productId,
    paymentConfigs: [paymentConfig],
    keyIndexes: { oda: keyIndexes, derivation: keyIndexes, cv: keyIndexes, pv: keyIndexes },
    remake: { maxRemakes: 1, remakeAfterTerminate: false },
  };
}

/** Where the server keeps its data: the password in a file of its own, sandboxes on one database in schemas. */
function provisionDatabase(folder: string, databaseUrl: string | undefined): unknown {
  if (databaseUrl === undefined) return { engine: 'sqlite' };
  const address = new URL(databaseUrl);
  const password = decodeURIComponent(address.password);
  address.password = '';
  const schema = `cardwright_${randomBytes(6).toString('hex')}`;
  const database = { engine: 'postgresql', url: address.href, schema };
  if (password === '') return database;
  writeSecret(join(folder, 'database.password'), password);
  return { ...database, passwordFile: 'database.password' };
}

async function provisionServer(
  layout: SandboxLayout,
  ca: Authorities,
  known: Registrations,
  databaseUrl: string | undefined,
): Promise<void> {
  const folder = layout.component('server');
  const { ports } = layout;
  await issueInto(folder, 'tls', ca.server, 'localhost', 'server');
  await issueInto(folder, 'outbound', ca.outbound, 'cardwright notifications', 'client');
  await makeEcKey(join(folder, 'token-signing.key'));
  writeSecret(join(folder, 'oauth.secret'), known.oauthSecret);
  writePublic(
    layout.configFile('server'),
    json({
      environment: 'sandbox',
      dataFolder: 'data',
      database: provisionDatabase(folder, databaseUrl),
      tls: { certFile: 'tls.pem', keyFile: 'tls.key' },
      issuerListener: { host: '127.0.0.1', port: ports.issuerApi, clientCaFile: caFile('issuerClients') },
      stationListener: { host: '127.0.0.1', port: ports.station, clientCaFile: caFile('stations') },
      operatorListener: { host: '127.0.0.1', port: ports.operator, clientCaFile: caFile('operators') },
      publicOrigin: local(ports.issuerApi),
      vault: {
        origin: local(ports.vault),
        caFile: caFile('internal'),
        certFile: 'vault-client.pem',
        keyFile: 'vault-client.key',
      },
      tokenSigningKeyFile: 'token-signing.key',
      issuers: [
        {
          issuerId: facts.issuerId,
          clientThumbprints: [known.issuerThumbprint],
          signingKeys: [{ kid: facts.signingKid, jwk: known.issuerSigningKey }],
          defaultProductId: facts.productId,
          notification: {
            origin: local(ports.notifications),
            caFile: caFile('bank'),
            certFile: 'outbound.pem',
            keyFile: 'outbound.key',
            oauth: {
              tokenUrl: `${local(ports.notifications)}/authz/d1/v1/oauth2/token`,
              clientId: facts.oauthClientId,
              clientSecretFile: 'oauth.secret',
            },
          },
        },
      ],
      products: [
        serverProduct(facts.productId, facts.paymentConfig),
        serverProduct(facts.vsdcProductId, facts.vsdcPaymentConfig),
      ],
      stations: [
        {
          stationId: facts.stationId,
          issuerIds: [facts.issuerId],
          clientThumbprint: known.stationThumbprint,
          payloadKey: known.stationPayloadKey,
        },
      ],
    }),
  );
}

/** Writes the simulator's configuration: the one file that changes between two starts of one folder. */
export function writeSimulatorConfig(layout: SandboxLayout, settings: SandboxSettings): void {
  writePublic(
    layout.configFile('simulator'),
    json({
      dataFolder: 'data',
      evolis: { host: '127.0.0.1', port: layout.ports.printer },
      vpcd: { host: '127.0.0.1', port: layout.ports.chip },
      secureChannel: settings.secureChannel,
      blanks: 100,
      timing: settings.timing,
      takeAfterMs: settings.takeAfterMs,
      faults: settings.faults,
    }),
  );
}

/** Writes the issuer's configuration once the vault has said which key to encrypt to. */
export function writeIssuerConfig(layout: SandboxLayout, recipientJwk: unknown): void {
  const { keyIndex } = facts;
  const paymentApplication = (config: string): Readonly<Record<string, string>> => ({
    config,
    odaKeyIndex: keyIndex,
    derivationKeyIndex: keyIndex,
    cvKeyIndex: keyIndex,
  });
  writePublic(
    layout.configFile('issuer'),
    json({
      dataFolder: 'data',
      issuerId: facts.issuerId,
      notificationListener: {
        host: '127.0.0.1',
        port: layout.ports.notifications,
        clientCaFile: caFile('outbound'),
      },
      tls: { certFile: 'tls.pem', keyFile: 'tls.key' },
      api: { host: '127.0.0.1', port: layout.ports.issuerApp },
      d1: {
        origin: local(layout.ports.issuerApi),
        caFile: caFile('server'),
        certFile: 'd1-client.pem',
        keyFile: 'd1-client.key',
        signingKid: facts.signingKid,
        signingKeyFile: 'signing.key',
        recipientJwk,
        productId: facts.productId,
        paymentApplication: paymentApplication(facts.paymentConfig),
        otherProducts: [
          {
            productId: facts.vsdcProductId,
            paymentApplication: paymentApplication(facts.vsdcPaymentConfig),
          },
        ],
        defaultStation: facts.stationId,
      },
      oauth: { clientId: facts.oauthClientId, clientSecretFile: 'oauth.secret' },
    }),
  );
}

async function makeEcKey(keyFile: string): Promise<EcKeyPair['publicJwk']> {
  const { privatePem, publicJwk } = await createEcKeyPair();
  writeSecret(keyFile, privatePem);
  return publicJwk;
}

/** Makes the sandbox folder unless it is there already, and returns its layout. */
export async function provisionSandbox(settings: SandboxSettings): Promise<SandboxLayout> {
  const portsFile = join(settings.folder, 'ports.json');
  if (existsSync(portsFile)) {
    const ports = JSON.parse(readFileSync(portsFile, 'utf8')) as SandboxPorts;
    const layout = sandboxLayout(settings.folder, ports);
    writeSimulatorConfig(layout, settings);
    return layout;
  }
  const draft = join(dirname(settings.folder), `.${basename(settings.folder)}.${String(process.pid)}`);
  rmSync(draft, { recursive: true, force: true });
  mkdirSync(draft, { recursive: true, mode: 0o700 });
  const layout = sandboxLayout(draft, settings.ports);
  const ca = await makeAuthorities(layout);
  await provisionVault(layout, ca, settings);
  const station = await provisionStation(layout, ca, settings);
  const issuer = await provisionIssuer(layout, ca);
  await provisionServer(layout, ca, { ...station, ...issuer }, settings.databaseUrl);
  await issueInto(layout.operator, 'operator', ca.operators, 'sandbox operator', 'client');
  writeSimulatorConfig(layout, settings);
  writePublic(join(draft, 'ports.json'), json(settings.ports));
  renameSync(draft, settings.folder);
  return sandboxLayout(settings.folder, settings.ports);
}
