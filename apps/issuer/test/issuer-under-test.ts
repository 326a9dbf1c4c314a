/**
 * The issuer as a whole for tests: real process or in process, its files in a temporary folder, a small API server
 * on the other side, and a caller of its notification endpoints.
 */
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { request as httpsRequest } from 'node:https';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { type TestContext } from 'node:test';
import { fileURLToPath } from 'node:url';
import { createTestAuthority, type TestAuthority } from '@cardwright/testkit';
import { type D1TestServer, startD1TestServer } from '../../../packages/issuer-sdk/test/d1-test-server.ts';
import { type IssuerConfig, readIssuerConfig } from '../src/config.ts';
import { createEventLog } from '../src/event-log.ts';
import { startIssuer } from '../src/issuer.ts';

export const issuerId = 'ISS0000001';
export const clientSecret = 'a secret: with ÿ>? in it';

export interface Answer {
  readonly status: number;
  readonly body: Record<string, unknown>;
}

export interface IssuerFolder {
  readonly folder: string;
  readonly configFile: string;
  readonly config: IssuerConfig;
  readonly d1: D1TestServer;
  /** Signs the clients that may call the notification endpoints. */
  readonly callers: TestAuthority;
  readonly serverCa: string;
}

/** Writes configuration and keys of an issuer that orders at `d1`. */
export async function prepareIssuer(t: TestContext): Promise<IssuerFolder> {
  const folder = mkdtempSync(join(tmpdir(), 'issuer-'));
  t.after(() => {
    rmSync(folder, { recursive: true, force: true });
  });
  const d1 = await startD1TestServer(t);
  const [callers, servers] = await Promise.all([
    createTestAuthority('Callers'),
    createTestAuthority('Servers'),
  ]);
  const own = await servers.issue('localhost', 'server');
  const { tls, signing, recipientKey } = d1.options;
  const files: Record<string, string> = {
    'callers.pem': callers.ca,
    'tls.pem': own.cert,
    'tls.key': own.key,
    'd1-ca.pem': String(tls.ca),
    'd1.pem': String(tls.cert),
    'd1.key': String(tls.key),
    'signing.key': signing.privateKeyPem,
    'oauth.secret': `${clientSecret}\n`,
  };
  for (const [name, content] of Object.entries(files)) writeFileSync(join(folder, name), content);
  const config = {
    dataFolder: 'data',
    issuerId,
    notificationListener: { host: '127.0.0.1', port: 0, clientCaFile: 'callers.pem' },
    tls: { certFile: 'tls.pem', keyFile: 'tls.key' },
    api: { host: '127.0.0.1', port: 0 },
    d1: {
      origin: d1.options.origin,
      caFile: 'd1-ca.pem',
      certFile: 'd1.pem',
      keyFile: 'd1.key',
      signingKid: signing.kid,
      signingKeyFile: 'signing.key',
      recipientJwk: recipientKey,
      productId: 'DEBIT_STD',
      paymentApplication: { config: 'CCD_3DES_01', odaKeyIndex: '01', derivationKeyIndex: '01' },
      defaultStation: 'KIOSK-PS-101',
    },
    oauth: { clientId: 'cardwright', clientSecretFile: 'oauth.secret' },
    reconcileIntervalMs: 50,
  };
  const configFile = join(folder, 'issuer.json');
  writeFileSync(configFile, JSON.stringify(config));
  return { folder, configFile, config: readIssuerConfig(configFile), d1, callers, serverCa: servers.ca };
}

export interface IssuerPorts {
  readonly apiPort: number;
  readonly notificationPort: number;
}

/** Runs the issuer in this process until the test ends. */
export async function startInProcess(
  t: TestContext,
  issuer: IssuerFolder,
): Promise<IssuerPorts & { close(): Promise<void> }> {
  const running = await startIssuer(issuer.config, createEventLog('silent'));
  let closed: Promise<void> | undefined;
  const close = (): Promise<void> => (closed ??= running.close());
  t.after(close);
  return { ...running, close };
}

export interface IssuerProcess extends IssuerPorts {
  readonly child: ChildProcess;
  /** Every line it has written to standard output. */
  readonly lines: string[];
  kill(signal: 'SIGKILL' | 'SIGTERM'): Promise<void>;
}

/** Runs the issuer as its own process and waits for `issuer.ready`. */
export async function startProcess(t: TestContext, issuer: IssuerFolder): Promise<IssuerProcess> {
  const main = fileURLToPath(new URL('../src/main.ts', import.meta.url));
  const child = spawn(process.execPath, [main, '--config', issuer.configFile], {
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  const exited = once(child, 'exit');
  t.after(() => child.kill('SIGKILL'));
  const lines: string[] = [];
  const ports = await new Promise<IssuerPorts>((resolve, reject) => {
    createInterface({ input: child.stdout }).on('line', (line) => {
      lines.push(line);
      const record = JSON.parse(line) as { event: string } & IssuerPorts;
      if (record.event === 'issuer.ready') resolve(record);
    });
    child.on('exit', () => {
      reject(new Error(`the issuer ended before it was ready:\n${lines.join('\n')}`));
    });
  });
  return {
    ...ports,
    child,
    lines,
    kill: async (signal) => {
      child.kill(signal);
      await exited;
    },
  };
}

/** Calls the card API. */
export async function callApi(ports: IssuerPorts, path: string, body?: unknown): Promise<Answer> {
  const answer = await fetch(`http://127.0.0.1:${String(ports.apiPort)}${path}`, {
    ...(body === undefined
      ? {}
      : { method: 'POST', body: JSON.stringify(body), headers: { 'content-type': 'application/json' } }),
  });
  return { status: answer.status, body: (await answer.json()) as Record<string, unknown> };
}

export interface Caller {
  /** Raw request over mutual TLS. */
  post(path: string, headers: Record<string, string>, body: string): Promise<Answer>;
  token(): Promise<string>;
  notify(operations: unknown, token?: string): Promise<Answer>;
}

/** A caller with a client certificate, as the API is one. */
export async function createCaller(
  issuer: IssuerFolder,
  ports: IssuerPorts,
  authority = issuer.callers,
): Promise<Caller> {
  const identity = await authority.issue('cardwright', 'client');
  const post: Caller['post'] = (path, headers, body) =>
    new Promise((resolve, reject) => {
      const request = httpsRequest(
        {
          host: 'localhost',
          port: ports.notificationPort,
          path,
          method: 'POST',
          headers,
          ca: issuer.serverCa,
          cert: identity.cert,
          key: identity.key,
          agent: false,
        },
        (response) => {
          const chunks: Buffer[] = [];
          response.on('data', (chunk: Buffer) => chunks.push(chunk));
          response.on('end', () => {
            const text = Buffer.concat(chunks).toString('utf8');
            const parsed = text === '' ? {} : (JSON.parse(text) as Record<string, unknown>);
            resolve({ status: response.statusCode ?? 0, body: parsed });
          });
        },
      );
      request.on('error', reject);
      request.end(body);
    });
  const token = async (): Promise<string> => {
    const basic = Buffer.from(`cardwright:${clientSecret}`).toString('base64');
    const answer = await post(
      '/authz/d1/v1/oauth2/token',
      { authorization: `Basic ${basic}`, 'content-type': 'application/x-www-form-urlencoded' },
      'grant_type=client_credentials',
    );
    return String(answer.body['access_token']);
  };
  return {
    post,
    token,
    notify: async (operations, given) =>
      post(
        `/notifications/d1/v2/issuers/${issuerId}/cards`,
        { authorization: `Bearer ${given ?? (await token())}`, 'content-type': 'application/json' },
        JSON.stringify({ operations }),
      ),
  };
}

/** Looks again and again until `look` gives a value. @throws after ten seconds, naming `what` */
export async function until<T>(what: string, look: () => Promise<T | undefined> | T | undefined): Promise<T> {
  const deadline = Date.now() + 10_000;
  for (;;) {
    const found = await look();
    if (found !== undefined) return found;
    if (Date.now() > deadline) throw new Error(`waited in vain for ${what}`);
    await new Promise((resolve) => setTimeout(resolve, 10));
  }
}

/** One operation as the API would report it. */
export function operation(
  cardId: string,
  status: string,
  detailsStatus: string,
  more: Record<string, unknown> = {},
): Record<string, unknown> {
  return {
    operationId: 'op-1',
    operation: 'PRODUCE',
    status,
    startTime: '2025-01-17T06:28:02.492Z',
    cardId,
    details: { status: detailsStatus },
    ...more,
  };
}
