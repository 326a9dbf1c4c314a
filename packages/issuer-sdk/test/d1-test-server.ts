/**
 * A small server that speaks the issuer-facing contract over mutual TLS, for tests of the client alone. It checks
 * assertions and tokens for real and answers orders as the test scripts it.
 */
import { type IncomingMessage, type ServerResponse } from 'node:http';
import { createServer } from 'node:https';
import { type AddressInfo } from 'node:net';
import { type TestContext } from 'node:test';
import { createTestAuthority, type TestAuthority } from '@cardwright/testkit';
import {
  compactDecrypt,
  type CryptoKey,
  exportJWK,
  exportPKCS8,
  generateKeyPair,
  type JWK,
  jwtVerify,
} from 'jose';
import {
  createIssuerClient,
  type CardOrder,
  type IssuerClient,
  type IssuerClientOptions,
} from '../src/index.ts';

export const issuerId = 'ISS0000001';

export interface ScriptedAnswer {
  readonly status: number;
  readonly body?: unknown;
  readonly headers?: Record<string, string>;
  /** Cut the connection instead of answering. */
  readonly cut?: boolean;
  /** Do not answer at all. */
  readonly hold?: boolean;
}

export interface SeenRequest {
  readonly method: string;
  readonly path: string;
  readonly authorization: string | undefined;
  readonly body: string;
}

export interface D1TestServer {
  readonly client: IssuerClient;
  /** Answers to orders and status requests, first to last; the last one repeats. */
  script: ScriptedAnswer[];
  tokenLife: number | string;
  /** When false, no token is given to anybody. */
  givesTokens: boolean;
  /** Asked before the script, for tests where the answer depends on the request. */
  handler: ((request: SeenRequest) => ScriptedAnswer | undefined) | undefined;
  /** Every token request and its verdict. */
  readonly tokenRequests: { ok: boolean; claims: Record<string, unknown>; header: Record<string, unknown> }[];
  readonly requests: SeenRequest[];
  readonly authority: TestAuthority;
  readonly options: IssuerClientOptions;
  decrypt(jwe: string): Promise<{ header: Record<string, unknown>; plaintext: unknown }>;
  /** Refuses every token handed out so far. */
  revokeTokens(): void;
}

function readAll(request: IncomingMessage): Promise<string> {
  return new Promise((resolve, reject) => {
    const chunks: Buffer[] = [];
    request.on('data', (chunk: Buffer) => chunks.push(chunk));
    request.on('end', () => {
      resolve(Buffer.concat(chunks).toString('utf8'));
    });
    request.on('error', reject);
  });
}

function send(response: ServerResponse, answer: ScriptedAnswer): void {
  if (answer.hold === true) return;
  if (answer.cut === true) {
    response.socket?.destroy();
    return;
  }
  response.writeHead(answer.status, { 'content-type': 'application/json', ...answer.headers });
  response.end(answer.body === undefined ? '' : JSON.stringify(answer.body));
}

interface Keys {
  readonly signing: { publicKey: CryptoKey; privateKeyPem: string };
  readonly recipient: { publicJwk: JWK; privateKey: CryptoKey };
}

async function makeKeys(): Promise<Keys> {
  const signing = await generateKeyPair('ES256', { extractable: true });
  const recipient = await generateKeyPair('ECDH-ES', { extractable: true });
  return {
    signing: { publicKey: signing.publicKey, privateKeyPem: await exportPKCS8(signing.privateKey) },
    recipient: {
      publicJwk: { ...(await exportJWK(recipient.publicKey)), kid: 'recipient-1' },
      privateKey: recipient.privateKey,
    },
  };
}

/** Starts server and client; both end with the test. */
export async function startD1TestServer(
  t: TestContext,
  changes: Partial<IssuerClientOptions> = {},
): Promise<D1TestServer> {
  const authority = await createTestAuthority();
  const keys = await makeKeys();
  const valid = new Set<string>();
  const state: Pick<
    D1TestServer,
    'script' | 'handler' | 'tokenLife' | 'givesTokens' | 'tokenRequests' | 'requests'
  > = {
    givesTokens: true,
    handler: undefined,
    script: [{ status: 202, body: { operationId: 'op-1' } }],
    tokenLife: 900,
    tokenRequests: [],
    requests: [],
  };

  const answerToken = async (body: string, origin: string): Promise<ScriptedAnswer> => {
    const form = new URLSearchParams(body);
    try {
      const { payload, protectedHeader } = await jwtVerify(
        form.get('assertion') ?? '',
        keys.signing.publicKey,
        {
          algorithms: ['ES256'],
          issuer: issuerId,
          subject: issuerId,
          audience: origin,
        },
      );
      if (!state.givesTokens) throw new Error('no token today');
      state.tokenRequests.push({ ok: true, claims: payload, header: protectedHeader });
    } catch {
      state.tokenRequests.push({ ok: false, claims: {}, header: {} });
      return {
        status: 400,
        body: { error: 'invalid_grant', error_description: 'the assertion is not valid' },
      };
    }
    const token = `token-${String(state.tokenRequests.length)}`;
    valid.add(token);
    return {
      status: 200,
      body: {
        access_token: token,
        expires_in: state.tokenLife,
        scope: 'all',
        token_type: 'Bearer',
        more: true,
      },
    };
  };

  const serverCertificate = await authority.issue('localhost', 'server');
  const server = createServer(
    { ...serverCertificate, ca: authority.ca, requestCert: true, rejectUnauthorized: true },
    (request, response) => {
      void readAll(request).then(async (body) => {
        const { authorization } = request.headers;
        const path = request.url ?? '';
        if (path === '/authz/v1/oauth2/token') {
          send(response, await answerToken(body, origin));
          return;
        }
        const seen = { method: request.method ?? '', path, authorization, body };
        state.requests.push(seen);
        if (!valid.has(authorization?.replace('Bearer ', '') ?? '')) {
          send(response, {
            status: 401,
            body: { errorCode: 'AUTHORIZER_UNAUTHORIZED', error: 'no valid token' },
          });
          return;
        }
        const special = state.handler?.(seen);
        if (special !== undefined) {
          send(response, special);
          return;
        }
        const next = state.script.length > 1 ? state.script.shift() : state.script[0];
        send(response, next ?? { status: 500 });
      });
    },
  );
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const origin = `https://localhost:${String((server.address() as AddressInfo).port)}`;

  const options: IssuerClientOptions = {
    origin,
    issuerId,
    tls: { ca: authority.ca, ...(await authority.issue(`${issuerId} PPR`, 'client')) },
    signing: { kid: 'iss-key-1', privateKeyPem: keys.signing.privateKeyPem },
    recipientKey: keys.recipient.publicJwk,
    retry: { firstDelayMs: 1, longestDelayMs: 4 },
    timeoutMs: 5_000,
    ...changes,
  };
  const client = createIssuerClient(options);
  t.after(async () => {
    await client.close();
    server.closeAllConnections();
    await new Promise((resolve) => server.close(resolve));
  });
  return Object.assign(state, {
    client,
    authority,
    options,
    revokeTokens: () => {
      valid.clear();
    },
    decrypt: async (jwe: string) => {
      const { plaintext, protectedHeader } = await compactDecrypt(jwe, keys.recipient.privateKey);
      const text = new TextDecoder().decode(plaintext);
      return { header: protectedHeader, plaintext: JSON.parse(text) as unknown };
    },
  });
}

/** An order with a card number made for this run. */
export function cardOrder(pan: string): CardOrder {
  return {
    cardId: 'card-1',
    persoStation: 'KIOSK-PS-101',
    cardProductId: 'DEBIT_STD',
    issuerRequestId: 'req-1',
    services: { issuance: 'CREATION' },
    paymentApplication: { config: 'CCD_3DES_01', odaKeyIndex: '01', derivationKeyIndex: '01' },
    card: { pan, exp: '2912', name: 'HANAKO KOTORI', cvv2: '123' },
  };
}
