/**
 * A stand-in for an issuer's back end: a token endpoint and a notification endpoint over real mutual TLS. Tests
 * decide what it answers and read what it got.
 */
import { createServer } from 'node:https';
import { type AddressInfo } from 'node:net';
import { type CardOperation } from '@cardwright/protocol';
import { mtlsServerOptions, type ServerTlsFiles } from '@cardwright/runtime';

export interface FakeAnswer {
  readonly status: number;
  readonly headers?: Record<string, string>;
}

export interface Delivery {
  readonly path: string;
  readonly authorization: string | undefined;
  readonly operations: CardOperation[];
  readonly status: number;
}

export interface TokenCall {
  readonly authorization: string | undefined;
  readonly contentType: string | undefined;
  readonly form: Record<string, string>;
}

export interface FakeIssuer {
  readonly origin: string;
  /** All notification calls, in the order in which they came. */
  readonly deliveries: Delivery[];
  readonly tokenCalls: TokenCall[];
  /** Decides the answer to a notification call. 204 by default. */
  answer: (operations: CardOperation[], call: number) => FakeAnswer;
  /** The token endpoint's answer, without the token itself. */
  tokenAnswer: Record<string, unknown>;
  close(): Promise<void>;
}

export async function startFakeIssuer(tls: ServerTlsFiles): Promise<FakeIssuer> {
  const server = createServer(mtlsServerOptions(tls), (request, reply) => {
    void (async () => {
      const chunks: Buffer[] = [];
      for await (const chunk of request as AsyncIterable<Buffer>) chunks.push(chunk);
      const text = Buffer.concat(chunks).toString('utf8');
      const { authorization } = request.headers;
      if (request.url?.endsWith('/oauth2/token') === true) {
        const form = Object.fromEntries(new URLSearchParams(text));
        issuer.tokenCalls.push({ authorization, contentType: request.headers['content-type'], form });
        const token = `token-${String(issuer.tokenCalls.length)}`;
        reply.writeHead(200, { 'content-type': 'application/json' });
        reply.end(JSON.stringify({ access_token: token, token_type: 'Bearer', ...issuer.tokenAnswer }));
        return;
      }
      const { operations } = JSON.parse(text) as { operations: CardOperation[] };
      const { status, headers = {} } = issuer.answer(operations, issuer.deliveries.length);
      issuer.deliveries.push({ path: request.url ?? '', authorization, operations, status });
      reply.writeHead(status, headers).end();
    })();
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const issuer: FakeIssuer = {
    origin: `https://localhost:${String((server.address() as AddressInfo).port)}`,
    deliveries: [],
    tokenCalls: [],
    answer: () => ({ status: 204 }),
    tokenAnswer: { expires_in: '900' },
    close: () =>
      new Promise((resolve) => {
        server.close(() => {
          resolve();
        });
        server.closeAllConnections();
      }),
  };
  return issuer;
}
