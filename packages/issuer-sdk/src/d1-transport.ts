/**
 * One HTTPS request to the API over mutual TLS, read whole and parsed.
 *
 * Invariants: the server's certificate must chain to the CA given; redirects are not followed; an answer is read
 * up to a limit; a failure becomes a `D1ConnectionError` without request content.
 */
import { Agent } from 'undici';
import { D1ConnectionError, D1UnreadableAnswerError, readRetryAfter } from './d1-error.ts';

export interface TlsIdentity {
  /** PEM of the CA that the API's certificate chains to. */
  readonly ca: string | Buffer;
  /** PEM of the issuer's client certificate and its private key. */
  readonly cert: string | Buffer;
  readonly key: string | Buffer;
}

export interface D1Request {
  readonly method: 'GET' | 'POST';
  readonly path: string;
  readonly token?: string;
  readonly json?: unknown;
  readonly form?: Readonly<Record<string, string>>;
  readonly correlationId?: string;
}

export interface D1Answer {
  readonly status: number;
  /** Parsed JSON; undefined when the body is empty or no JSON. */
  readonly body: unknown;
  readonly retryAfterMs: number | undefined;
}

export interface D1Transport {
  request(request: D1Request): Promise<D1Answer>;
  close(): Promise<void>;
}

export interface D1TransportOptions {
  /** `https://host:port` */
  readonly origin: string;
  readonly tls: TlsIdentity;
  /** Limit for a whole request, connection included. */
  readonly timeoutMs: number;
}

const maxAnswerBytes = 4 * 1024 * 1024;

function parseJson(text: string): unknown {
  try {
    return JSON.parse(text) as unknown;
  } catch {
    return undefined;
  }
}

function headersOf(request: D1Request): Record<string, string> {
  const headers: Record<string, string> = { accept: 'application/json' };
  if (request.json !== undefined) headers['content-type'] = 'application/json';
  if (request.form !== undefined) headers['content-type'] = 'application/x-www-form-urlencoded';
  if (request.token !== undefined) headers['authorization'] = `Bearer ${request.token}`;
  if (request.correlationId !== undefined) headers['x-correlation-id'] = request.correlationId;
  return headers;
}

function bodyOf(request: D1Request): string | null {
  if (request.json !== undefined) return JSON.stringify(request.json);
  return request.form === undefined ? null : new URLSearchParams(request.form).toString();
}

async function readBody(body: AsyncIterable<Buffer>): Promise<string> {
  const chunks: Buffer[] = [];
  let size = 0;
  for await (const chunk of body) {
    size += chunk.length;
    if (size > maxAnswerBytes) throw new D1UnreadableAnswerError('answer too large');
    chunks.push(chunk);
  }
  return Buffer.concat(chunks).toString('utf8');
}

/** Connections to one origin, kept alive and shared. Throws `TypeError` when the origin is not HTTPS. */
export function createD1Transport(options: D1TransportOptions): D1Transport {
  const url = new URL(options.origin);
  if (url.protocol !== 'https:' || url.pathname !== '/') {
    throw new TypeError('origin must be https://host[:port] without a path');
  }
  const agent = new Agent({
    connect: { ...options.tls, minVersion: 'TLSv1.2', timeout: options.timeoutMs },
    // A resumed session would skip the certificates that both sides are known by.
    maxCachedSessions: 0,
  });
  return {
    request: async (request) => {
      try {
        const answer = await agent.request({
          origin: url.origin,
          path: request.path,
          method: request.method,
          headers: headersOf(request),
          body: bodyOf(request),
          signal: AbortSignal.timeout(options.timeoutMs),
        });
        const header = answer.headers['retry-after'];
        const body = parseJson(await readBody(answer.body as AsyncIterable<Buffer>));
        const retryAfterMs = readRetryAfter(typeof header === 'string' ? header : undefined, Date.now());
        return { status: answer.statusCode, body, retryAfterMs };
      } catch (error) {
        if (error instanceof D1UnreadableAnswerError) throw error;
        throw new D1ConnectionError(error);
      }
    },
    close: () => agent.destroy(),
  };
}
