/**
 * Mutual TLS, in one place for every hop.
 *
 * Invariants: a listener refuses a connection without a certificate of its own client CA; TLS 1.2 runs only
 * ECDHE with AEAD ciphers; no session tickets, because a resumed session would pass without a certificate check
 * (and a revoked client would resume). Identity is checked again on every request with `peerThumbprint`.
 */
import { createHash, constants as cryptoConstants } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { type Socket } from 'node:net';
import { TLSSocket } from 'node:tls';
import { Agent, type Dispatcher } from 'undici';

const ciphers = [
  'TLS_AES_256_GCM_SHA384',
  'TLS_CHACHA20_POLY1305_SHA256',
  'TLS_AES_128_GCM_SHA256',
  'ECDHE-ECDSA-AES256-GCM-SHA384',
  'ECDHE-RSA-AES256-GCM-SHA384',
  'ECDHE-ECDSA-CHACHA20-POLY1305',
  'ECDHE-RSA-CHACHA20-POLY1305',
  'ECDHE-ECDSA-AES128-GCM-SHA256',
  'ECDHE-RSA-AES128-GCM-SHA256',
].join(':');

export interface ServerTlsFiles {
  readonly certFile: string;
  readonly keyFile: string;
  readonly clientCaFile: string;
}

export interface ServerTlsOptions {
  readonly cert: Buffer;
  readonly key: Buffer;
  readonly ca: Buffer;
  readonly requestCert: true;
  readonly rejectUnauthorized: true;
  readonly minVersion: 'TLSv1.2';
  readonly ciphers: string;
  readonly secureOptions: number;
}

/** Options for an HTTPS listener that demands a client certificate. @throws when a file cannot be read */
export function mtlsServerOptions(files: ServerTlsFiles): ServerTlsOptions {
  return {
    cert: readFileSync(files.certFile),
    key: readFileSync(files.keyFile),
    ca: readFileSync(files.clientCaFile),
    requestCert: true,
    rejectUnauthorized: true,
    minVersion: 'TLSv1.2',
    ciphers,
    secureOptions: cryptoConstants.SSL_OP_NO_TICKET,
  };
}

/** SHA-256 of a DER certificate, base64url: the `x5t#S256` of RFC 8705. */
export function certificateThumbprint(der: Uint8Array): string {
  return createHash('sha256').update(der).digest('base64url');
}

/** Thumbprint of the live peer's certificate, or undefined when there is none or it was not authorized. */
export function peerThumbprint(socket: Socket): string | undefined {
  if (!(socket instanceof TLSSocket) || !socket.authorized) return undefined;
  // After the peer has gone Node returns an empty object here, whatever its types say.
  const { raw } = socket.getPeerCertificate() as { raw?: Buffer };
  return raw === undefined ? undefined : certificateThumbprint(raw);
}

export interface ClientTlsFiles {
  readonly origin: string;
  readonly caFile: string;
  readonly certFile?: string;
  readonly keyFile?: string;
  /** Limit for a whole request, connection included. */
  readonly timeoutMs?: number;
}

export interface ClientRequest {
  readonly method: 'GET' | 'POST' | 'PUT' | 'DELETE';
  readonly path: string;
  readonly json?: unknown;
  readonly form?: Readonly<Record<string, string>>;
  readonly headers?: Readonly<Record<string, string>>;
  readonly signal?: AbortSignal;
  readonly timeoutMs?: number;
}

export interface ClientAnswer {
  readonly status: number;
  readonly headers: Readonly<Record<string, string | string[] | undefined>>;
  readonly body: string;
}

export interface MtlsClient {
  /** Sends a request and reads the whole answer, at most 4 MiB. Redirects are not followed. */
  request(request: ClientRequest): Promise<ClientAnswer>;
  /** Opens a response as a stream (server-sent events). @throws when the status is not 200 */
  stream(
    path: string,
    options: { readonly headers?: Record<string, string>; readonly signal: AbortSignal },
  ): Promise<AsyncIterable<Uint8Array>>;
  close(): Promise<void>;
}

const maxAnswerBytes = 4 * 1024 * 1024;

async function readLimited(body: Dispatcher.ResponseData['body']): Promise<string> {
  const chunks: Buffer[] = [];
  let size = 0;
  for await (const chunk of body as AsyncIterable<Buffer>) {
    size += chunk.length;
    if (size > maxAnswerBytes) throw new Error(`answer larger than ${String(maxAnswerBytes)} bytes`);
    chunks.push(chunk);
  }
  return Buffer.concat(chunks).toString('utf8');
}

function encodeBody(request: ClientRequest): { body: string | null; type: string | undefined } {
  if (request.json !== undefined) return { body: JSON.stringify(request.json), type: 'application/json' };
  if (request.form !== undefined) {
    return { body: new URLSearchParams(request.form).toString(), type: 'application/x-www-form-urlencoded' };
  }
  return { body: null, type: undefined };
}

/** A client that trusts only the CA given and shows its own certificate when it has one. */
export function createMtlsClient(files: ClientTlsFiles): MtlsClient {
  const timeoutMs = files.timeoutMs ?? 15_000;
  const agent = new Agent({
    connect: {
      ca: readFileSync(files.caFile),
      ...(files.certFile === undefined ? {} : { cert: readFileSync(files.certFile) }),
      ...(files.keyFile === undefined ? {} : { key: readFileSync(files.keyFile) }),
      minVersion: 'TLSv1.2',
      timeout: timeoutMs,
    },
    // A cached TLS session would skip the certificate exchange that our identity rests on.
    maxCachedSessions: 0,
    bodyTimeout: 0,
  });
  return {
    request: async (request) => {
      const { body, type } = encodeBody(request);
      const limit = AbortSignal.timeout(request.timeoutMs ?? timeoutMs);
      const answer = await agent.request({
        origin: files.origin,
        path: request.path,
        method: request.method,
        headers: { ...(type === undefined ? {} : { 'content-type': type }), ...request.headers },
        body,
        signal: request.signal === undefined ? limit : AbortSignal.any([limit, request.signal]),
      });
      return { status: answer.statusCode, headers: answer.headers, body: await readLimited(answer.body) };
    },
    stream: async (path, options) => {
      const answer = await agent.request({
        origin: files.origin,
        path,
        method: 'GET',
        headers: { accept: 'text/event-stream', ...options.headers },
        signal: options.signal,
        headersTimeout: timeoutMs,
      });
      if (answer.statusCode !== 200) {
        await answer.body.dump();
        throw new Error(`stream refused with status ${String(answer.statusCode)}`);
      }
      return answer.body as AsyncIterable<Uint8Array>;
    },
    close: () => agent.destroy(),
  };
}
