/**
 * First start: makes every certificate, key and configuration file of the sandbox, one folder per process.
 *
 * Invariant: a folder is complete or absent. Everything is made in a folder beside it and renamed into place,
 * so that a kill in the middle leaves nothing half-made. Private CA keys are not kept: nothing needs them again.
 */
import { randomBytes, type webcrypto } from 'node:crypto';
import { existsSync, mkdirSync, readFileSync, renameSync, rmSync } from 'node:fs';
import { basename, dirname, join } from 'node:path';
import {
  type Authority,
  issueCertificate,
  makeAuthority,
  makeEcKey,
  writePublic,
  writeSecret,
} from './certificates.ts';
import { sandboxFacts as facts, type SandboxLayout, sandboxLayout, type SandboxPorts } from './layout.ts';

export interface SandboxSettings {
  readonly folder: string;
  readonly ports: SandboxPorts;
  readonly secureChannel: 'SCP02' | 'SCP03';
  readonly timing: 'fast' | 'realistic';
  readonly faults: readonly string[];
  /** Milliseconds until the simulated customer takes the card; null: never. */
  readonly takeAfterMs: number | null;
}

interface Authorities {
  readonly server: Authority;
  readonly internal: Authority;
  readonly issuerClients: Authority;
  readonly stations: Authority;
  readonly operators: Authority;
  readonly outbound: Authority;
  readonly bank: Authority;
}

const json = (value: unknown): string => `${JSON.stringify(value, null, 2)}\n`;
const caFile = (name: keyof Authorities): string => `../pki/${name}-ca.pem`;
const local = (port: number): string => `https://localhost:${String(port)}`;

async function makeAuthorities(layout: SandboxLayout): Promise<Authorities> {
  const make = async (file: keyof Authorities, commonName: string): Promise<Authority> => {
    const authority = await makeAuthority(`Cardwright sandbox ${commonName}`);
    writePublic(join(layout.pki, `${file}-ca.pem`), authority.certificate.toString('pem') + '\n');
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

async function provisionVault(layout: SandboxLayout, ca: Authorities): Promise<void> {
  const folder = layout.component('vault');
  const tls = { certFile: 'tls.pem', keyFile: 'tls.key' };
  await issueCertificate(ca.internal, { commonName: 'vault', use: 'server' }, inFolder(folder, tls));
  const serverThumbprint = await issueCertificate(
    ca.internal,
    { commonName: 'server', use: 'client' },
    inFolder(layout.component('server'), { certFile: 'vault-client.pem', keyFile: 'vault-client.key' }),
  );
  const sandboxThumbprint = await issueCertificate(
    ca.internal,
    { commonName: 'sandbox', use: 'client' },
    inFolder(layout.operator, { certFile: 'vault-client.pem', keyFile: 'vault-client.key' }),
  );
  writeSecret(join(folder, 'master.key'), randomBytes(32));
  writePublic(
    layout.configFile('vault'),
    json({
      environment: 'sandbox',
      dataFolder: 'data',
      listener: { host: '127.0.0.1', port: layout.ports.vault, clientCaFile: caFile('internal') },
      tls,
      allowedClientThumbprints: [serverThumbprint, sandboxThumbprint],
      issuerIds: [facts.issuerId],
      masterKeyFile: 'master.key',
      iccKeyPoolSize: 8,
      testPanPrefixes: [facts.testPanPrefix],
    }),
  );
}

interface Registrations {
  readonly issuerThumbprint: string;
  readonly issuerSigningKey: webcrypto.JsonWebKey;
  readonly stationThumbprint: string;
  readonly stationPayloadKey: webcrypto.JsonWebKey;
  readonly oauthSecret: string;
}

async function provisionStation(
  layout: SandboxLayout,
  ca: Authorities,
): Promise<Pick<Registrations, 'stationThumbprint' | 'stationPayloadKey'>> {
  const folder = layout.component('agent');
  const stationThumbprint = await issueCertificate(
    ca.stations,
    { commonName: facts.stationId, use: 'client' },
    inFolder(folder, { certFile: 'station.pem', keyFile: 'station.key' }),
  );
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
    }),
  );
  return { stationThumbprint, stationPayloadKey };
}

async function provisionIssuer(
  layout: SandboxLayout,
  ca: Authorities,
): Promise<Pick<Registrations, 'issuerThumbprint' | 'issuerSigningKey' | 'oauthSecret'>> {
  const folder = layout.component('issuer');
  await issueCertificate(
    ca.bank,
    { commonName: 'bank notifications', use: 'server' },
    inFolder(folder, { certFile: 'tls.pem', keyFile: 'tls.key' }),
  );
  const issuerThumbprint = await issueCertificate(
    ca.issuerClients,
    { commonName: `${facts.issuerId} PPR`, use: 'client' },
    inFolder(folder, { certFile: 'd1-client.pem', keyFile: 'd1-client.key' }),
  );
  const issuerSigningKey = await makeEcKey(join(folder, 'signing.key'));
  const oauthSecret = randomBytes(24).toString('base64url');
  writeSecret(join(folder, 'oauth.secret'), oauthSecret);
  return { issuerThumbprint, issuerSigningKey, oauthSecret };
}

async function provisionServer(layout: SandboxLayout, ca: Authorities, known: Registrations): Promise<void> {
  const folder = layout.component('server');
  const { ports } = layout;
  await issueCertificate(
    ca.server,
    { commonName: 'localhost', use: 'server' },
    inFolder(folder, { certFile: 'tls.pem', keyFile: 'tls.key' }),
  );
  await issueCertificate(
    ca.outbound,
    { commonName: 'cardwright notifications', use: 'client' },
    inFolder(folder, { certFile: 'outbound.pem', keyFile: 'outbound.key' }),
  );
  await makeEcKey(join(folder, 'token-signing.key'));
  writeSecret(join(folder, 'oauth.secret'), known.oauthSecret);
  const keyIndexes = [facts.keyIndex];
  writePublic(
    layout.configFile('server'),
    json({
      environment: 'sandbox',
      dataFolder: 'data',
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
        {
          productId: facts.productId,
          paymentConfigs: [facts.paymentConfig],
          keyIndexes: { oda: keyIndexes, derivation: keyIndexes, cv: keyIndexes, pv: keyIndexes },
          remake: { maxRemakes: 1, remakeAfterTerminate: false },
        },
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
        paymentApplication: {
          config: facts.paymentConfig,
          odaKeyIndex: keyIndex,
          derivationKeyIndex: keyIndex,
          cvKeyIndex: keyIndex,
        },
        defaultStation: facts.stationId,
      },
      oauth: { clientId: facts.oauthClientId, clientSecretFile: 'oauth.secret' },
    }),
  );
}

function inFolder(
  folder: string,
  files: { certFile: string; keyFile: string },
): { certFile: string; keyFile: string } {
  return { certFile: join(folder, files.certFile), keyFile: join(folder, files.keyFile) };
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
  await provisionVault(layout, ca);
  const station = await provisionStation(layout, ca);
  const issuer = await provisionIssuer(layout, ca);
  await provisionServer(layout, ca, { ...station, ...issuer });
  await issueCertificate(
    ca.operators,
    { commonName: 'sandbox operator', use: 'client' },
    inFolder(layout.operator, { certFile: 'operator.pem', keyFile: 'operator.key' }),
  );
  writeSimulatorConfig(layout, settings);
  writePublic(join(draft, 'ports.json'), json(settings.ports));
  renameSync(draft, settings.folder);
  return sandboxLayout(settings.folder, settings.ports);
}
