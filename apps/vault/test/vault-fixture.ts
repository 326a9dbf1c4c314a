/** A vault with its own folder, certificates and clients, on a real TLS socket; and an issuer's view of it. */
import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { mkdir, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { type IncomingMessage } from 'node:http';
import { request } from 'node:https';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Writable } from 'node:stream';
import { describe } from 'node:test';
import { luhnCheckDigit } from '@cardwright/domain';
import {
  type PrepareAnswer,
  type PrepareRequest,
  vaultPaths,
  type VaultPublicKeys,
} from '@cardwright/protocol';
import { createLogger, createMtlsClient, type MtlsClient } from '@cardwright/runtime';
import { createTestAuthority, type TestAuthority, type TestCertificate } from '@cardwright/testkit';
import { CompactEncrypt, importJWK } from 'jose';
import { createToken, type TestToken, type TokenKind, tokenKinds } from '../../../tools/pkcs11-tokens.ts';
import { startVault } from '../src/vault-process.ts';

export const issuerId = 'ISS0000001';
const body = `999900${String(randomBytes(4).readUInt32BE() % 1_000_000_000).padStart(9, '0')}`;
export const pan = body + luhnCheckDigit(body);
export const cardData = { pan, exp: '2906', name: '山田太郎', encodedName: 'YAMADA/TARO', cvv2: '739' };

export interface VaultFolder {
  readonly folder: string;
  readonly configFile: string;
  readonly authority: TestAuthority;
  readonly client: TestCertificate;
}

/** Writes certificates, master key and configuration of a vault into a new folder. */
export async function makeVaultFolder(changes: Record<string, unknown> = {}): Promise<VaultFolder> {
  const folder = await mkdtemp(join(tmpdir(), 'cardwright-vault-'));
  const authority = await createTestAuthority('vault clients');
  const server = await authority.issue('vault', 'server');
  const client = await authority.issue('server', 'client');
  await writeFile(join(folder, 'ca.pem'), authority.ca);
  await writeFile(join(folder, 'vault.pem'), server.cert);
  await writeFile(join(folder, 'vault.key'), server.key);
  await writeFile(join(folder, 'master.key'), randomBytes(32));
  const configFile = join(folder, 'vault.json');
  const config = {
    environment: 'sandbox',
    dataFolder: 'data',
    listener: { host: '127.0.0.1', port: 0, clientCaFile: 'ca.pem' },
    tls: { certFile: 'vault.pem', keyFile: 'vault.key' },
    allowedClientThumbprints: [client.thumbprint],
    issuerIds: [issuerId, 'ISS0000002'],
    emvDataIssuerIds: ['ISS0000002'],
    masterKeyFile: 'master.key',
    iccKeyPoolSize: 2,
    testPanPrefixes: ['999900'],
    ...changes,
  };
  await writeFile(configFile, JSON.stringify(config));
  return { folder, configFile, authority, client };
}

/** Moves the keys of a vault that never started into a new token of its own. */
export async function useToken(
  { folder, configFile }: VaultFolder,
  kind: TokenKind,
  changes: Record<string, unknown> = {},
): Promise<TestToken> {
  const tokenFolder = join(folder, 'token');
  await mkdir(tokenFolder);
  const token = createToken(kind, tokenFolder);
  Object.assign(process.env, token.environment);
  await writeFile(join(folder, 'pin'), `${token.pin}\n`);
  const config = JSON.parse(await readFile(configFile, 'utf8')) as Record<string, unknown>;
  const keys = {
    adapter: 'pkcs11',
    module: token.module,
    libraryParameters: token.libraryParameters,
    tokenLabel: token.token.label,
    pinFile: 'pin',
    allowHostKeyBytes: true,
    ...changes,
  };
  await writeFile(configFile, JSON.stringify({ ...config, keys, masterKeyFile: undefined }));
  return token;
}

/** A suite for each place that keys may be in; `makePlace` makes a vault folder that uses it. */
export function describeOverKeyAdapters(
  title: string,
  suite: (makePlace: () => Promise<VaultFolder>, adapter: 'software' | TokenKind) => void,
): void {
  for (const adapter of ['software', ...tokenKinds] as const) {
    const makePlace = async (): Promise<VaultFolder> => {
      const place = await makeVaultFolder();
      if (adapter !== 'software') await useToken(place, adapter);
      return place;
    };
    void describe(`${title} (${adapter})`, () => {
      suite(makePlace, adapter);
    });
  }
}

/** A client that shows `certificate` (or none) and trusts the vault's CA. */
export async function connect(
  { folder }: VaultFolder,
  origin: string,
  certificate: TestCertificate | undefined,
): Promise<MtlsClient> {
  const caFile = join(folder, 'ca.pem');
  if (certificate === undefined) return createMtlsClient({ origin, caFile });
  const name = certificate.thumbprint.slice(0, 8);
  const [certFile, keyFile] = [join(folder, `client-${name}.pem`), join(folder, `client-${name}.key`)];
  await writeFile(certFile, certificate.cert);
  await writeFile(keyFile, certificate.key);
  return createMtlsClient({ origin, caFile, certFile, keyFile });
}

export interface Answer {
  readonly status: number;
  readonly json: unknown;
  readonly text: string;
}

export interface RunningVault {
  readonly place: VaultFolder;
  readonly origin: string;
  /** Everything the vault logged so far. */
  log(): string;
  post(path: string, json: unknown): Promise<Answer>;
  get(path: string): Promise<Answer>;
  stop(): Promise<void>;
}

/** Starts a vault in this process. */
export async function runVault(place: VaultFolder): Promise<RunningVault> {
  const lines: string[] = [];
  const stream = new Writable({
    write: (chunk: Buffer, _encoding, done) => {
      lines.push(chunk.toString('utf8'));
      done();
    },
  });
  const steps: (() => void | Promise<void>)[] = [];
  const takeApart = async (): Promise<void> => {
    for (const step of steps.splice(0).reverse()) await step();
  };
  const origin = await startVault(place.configFile, {
    logger: createLogger('vault', { stream }),
    onShutdown: (_name, action) => {
      steps.push(action);
    },
  }).catch(async (error: unknown) => {
    await takeApart();
    throw error;
  });
  const client = await connect(place, origin, place.client);
  const answer = async (method: 'GET' | 'POST', path: string, json?: unknown): Promise<Answer> => {
    const { status, body: text } = await client.request({
      method,
      path,
      ...(json !== undefined && { json }),
    });
    return { status, text, json: JSON.parse(text) as unknown };
  };
  return {
    place,
    origin,
    log: () => lines.join(''),
    post: (path, json) => answer('POST', path, json),
    get: (path) => answer('GET', path),
    stop: async () => {
      await client.close();
      await takeApart();
    },
  };
}

export async function removeVaultFolder({ folder }: VaultFolder): Promise<void> {
  await rm(folder, { recursive: true });
}

/** Encrypts as an issuer does, to the key that the vault publishes. */
export async function encryptCardData(
  vault: RunningVault,
  data: unknown,
  issuer = issuerId,
): Promise<string> {
  const published = (await vault.get(vaultPaths.publicKeys)).json as VaultPublicKeys;
  const jwk = published.recipientKeys.find((key) => key.issuerId === issuer)?.jwk;
  if (jwk?.kid === undefined) throw new Error(`no recipient key for ${issuer}`);
  const plaintext = typeof data === 'string' ? data : JSON.stringify(data);
  return new CompactEncrypt(new TextEncoder().encode(plaintext))
    .setProtectedHeader({ alg: 'ECDH-ES', enc: 'A256GCM', kid: jwk.kid })
    .encrypt(await importJWK({ ...jwk }, 'ECDH-ES'));
}

/** Sends bytes as they are, with the allowed client's certificate; a new connection each time. */
export async function postRaw(
  { place, origin }: RunningVault,
  path: string,
  contentType: string,
  text: string,
): Promise<Answer> {
  const { promise, resolve, reject } = Promise.withResolvers<IncomingMessage>();
  const sent = request(
    new URL(path, origin),
    {
      method: 'POST',
      headers: { 'content-type': contentType },
      ca: place.authority.ca,
      cert: place.client.cert,
      key: place.client.key,
      agent: false,
    },
    resolve,
  );
  sent.on('error', reject).end(text);
  const response = await promise;
  const chunks: Buffer[] = [];
  for await (const chunk of response) chunks.push(chunk as Buffer);
  const body = Buffer.concat(chunks).toString('utf8');
  return { status: response.statusCode ?? 0, text: body, json: JSON.parse(body) as unknown };
}

/** Prepares an order that must succeed. */
export async function prepare(
  vault: RunningVault,
  data: unknown = cardData,
  issuer = issuerId,
): Promise<Extract<PrepareAnswer, { result: 'prepared' }>> {
  const encryptedData = await encryptCardData(vault, data, issuer);
  const order = await prepareRequest(vault, data, { encryptedData, issuerId: issuer });
  const answer = (await vault.post(vaultPaths.prepare, order)).json as PrepareAnswer;
  if (answer.result !== 'prepared') throw new Error(`rejected: ${answer.field}`);
  return answer;
}

/** No answer of the vault holds the card number, the security code or the name. */
export function assertClean({ text }: Answer): void {
  for (const secret of [pan, `"${cardData.cvv2}"`, cardData.encodedName, cardData.name]) {
    assert(!text.includes(secret), 'an answer holds card data');
  }
}

/** A prepare request for `data`, with changes to its members. */
export async function prepareRequest(
  vault: RunningVault,
  data: unknown = cardData,
  changes: Partial<PrepareRequest> = {},
): Promise<PrepareRequest> {
  return {
    issuerId,
    operationId: 'operation-1',
    cardId: 'card-1',
    productId: 'DEBIT_STD',
    paymentApplication: { config: 'CCD_3DES_01', odaKeyIndex: '01', derivationKeyIndex: 1, cvKeyIndex: '1' },
    cardDesign: { customLines: ['DEBIT'] },
    encryptedData: await encryptCardData(vault, data),
    ...changes,
  };
}
