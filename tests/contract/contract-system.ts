/**
 * The real system, once for all contract tests, with a second issuer onboarded, stations of which one never
 * connects, and the first issuer's notifications sent to the tests' own desk.
 */
import { generateKeyPairSync } from 'node:crypto';
import { appendFileSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { Agent } from 'node:https';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createTestAuthority, type TestCertificate } from '@cardwright/testkit';
import { provisionSandbox } from '../../apps/cli/src/sandbox/provision.ts';
import { freePorts } from '../../apps/cli/src/sandbox/free-ports.ts';
import { type Sandbox, startSandbox } from '../../apps/cli/src/sandbox/sandbox.ts';
import { createD1Client, type D1Client, type Json, type Onboarding } from './d1-client.ts';
import { type RecipientJwk } from './jose-by-hand.ts';
import { type NotificationDesk, openNotificationDesk } from './notification-desk.ts';

/** Known to the first issuer, but no agent ever connects: orders for it stay PENDING. */
export const offlineStation = 'KIOSK-PS-102';
/** Belongs to the second issuer. */
export const foreignStation = 'KIOSK-PS-900';
export const otherIssuerId = 'ISS0000002';

export interface ContractSystem extends AsyncDisposable {
  readonly folder: string;
  readonly sandbox: Sandbox;
  readonly client: D1Client;
  readonly otherClient: D1Client;
  readonly desk: NotificationDesk;
  /** A certificate of the client CA that belongs to no issuer, and one of a CA that nobody trusts. */
  readonly strangers: Record<'unregistered' | 'otherCa', TestCertificate>;
  /** Values that were sent and must be nowhere: not in an answer, not in a log, not in a database. */
  readonly canaries: Set<string>;
}

interface ServerFile {
  issuers: (Json & { notification: Json & { oauth: Json } })[];
  stations: Json[];
}

const readText = (...path: string[]): string => readFileSync(join(...path), 'utf8');
const readJson = (...path: string[]): unknown => JSON.parse(readText(...path));
const newAgent = (): Agent => new Agent({ keepAlive: true, maxSockets: 8, maxCachedSessions: 0 });

async function onboard(
  folder: string,
  deskPort: number,
): Promise<Pick<ContractSystem, 'strangers'> & { other: TestCertificate; otherKeyPem: string }> {
  const [clients, stations, nobody] = await Promise.all([
    createTestAuthority('second client CA'),
    createTestAuthority('second station CA'),
    createTestAuthority('nobody knows this CA'),
  ]);
  appendFileSync(join(folder, 'pki', 'issuerClients-ca.pem'), `\n${clients.ca}`);
  appendFileSync(join(folder, 'pki', 'stations-ca.pem'), `\n${stations.ca}`);
  const other = await clients.issue(`${otherIssuerId} PPR`, 'client');
  const signing = generateKeyPairSync('ec', { namedCurve: 'P-256' });
  const file = join(folder, 'server', 'config.json');
  const config = readJson(file) as ServerFile;
  const [first] = config.issuers;
  const [station] = config.stations;
  if (first === undefined || station === undefined) throw new Error('the sandbox has no issuer or station');
  const origin = `https://localhost:${String(deskPort)}`;
  first.notification.oauth['tokenUrl'] = `${origin}/authz/d1/v1/oauth2/token`;
  first.notification['origin'] = origin;
  const { notification, ...rest } = first;
  config.issuers = [
    { ...rest, notification },
    {
      issuerId: otherIssuerId,
      clientThumbprints: [other.thumbprint],
      signingKeys: [{ kid: 'iss-key-1', jwk: signing.publicKey.export({ format: 'jwk' }) }],
    } as unknown as ServerFile['issuers'][number],
  ];
  const addStation = async (stationId: string, issuerId: unknown): Promise<void> => {
    const { thumbprint } = await stations.issue(stationId, 'client');
    config.stations.push({ ...station, stationId, issuerIds: [issuerId], clientThumbprint: thumbprint });
  };
  await addStation(offlineStation, first['issuerId']);
  await addStation(foreignStation, otherIssuerId);
  writeFileSync(file, JSON.stringify(config));
  return {
    other,
    otherKeyPem: signing.privateKey.export({ format: 'pem', type: 'pkcs8' }).toString(),
    strangers: {
      unregistered: await clients.issue('nobody PPR', 'client'),
      otherCa: await nobody.issue('ISS0000001 PPR', 'client'),
    },
  };
}

/** Starts everything. Disposing stops every process and removes the folder. */
export async function startContractSystem(): Promise<ContractSystem> {
  const parent = mkdtempSync(join(tmpdir(), 'cardwright-contract-'));
  const folder = join(parent, 'data');
  const settings = {
    folder,
    ports: await freePorts(),
    secureChannel: 'SCP03' as const,
    timing: 'fast' as const,
    faults: [],
    takeAfterMs: 100,
  };
  await provisionSandbox(settings);
  const bank = join(folder, 'issuer');
  const desk = await openNotificationDesk(
    {
      cert: readText(bank, 'tls.pem'),
      key: readText(bank, 'tls.key'),
      ca: readText(folder, 'pki', 'outbound-ca.pem'),
    },
    `cardwright:${readText(bank, 'oauth.secret').trim()}`,
  );
  const { other, otherKeyPem, strangers } = await onboard(folder, desk.port);
  const sandbox = await startSandbox(settings);
  const { d1 } = readJson(bank, 'config.json') as { d1: { recipientJwk: RecipientJwk; signingKid: string } };
  const issuer: Onboarding = {
    origin: sandbox.urls.issuerApi,
    issuerId: 'ISS0000001',
    ca: readText(folder, 'pki', 'server-ca.pem'),
    cert: readText(bank, 'd1-client.pem'),
    key: readText(bank, 'd1-client.key'),
    kid: d1.signingKid,
    signingKeyPem: readText(bank, 'signing.key'),
    recipientJwk: d1.recipientJwk,
  };
  const client = createD1Client(issuer, newAgent());
  const otherClient = createD1Client(
    { ...issuer, issuerId: otherIssuerId, cert: other.cert, key: other.key, signingKeyPem: otherKeyPem },
    newAgent(),
  );
  return {
    folder,
    sandbox,
    client,
    otherClient,
    desk,
    strangers,
    canaries: new Set(),
    [Symbol.asyncDispose]: async () => {
      client.close();
      otherClient.close();
      await sandbox.stop();
      await desk[Symbol.asyncDispose]();
      rmSync(parent, { recursive: true, force: true });
    },
  };
}
