/**
 * The issuer's end of the notifications, written from the documentation: a token endpoint for client credentials,
 * and "Notify card operations". Keeps every call as it came.
 */
import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { type IncomingHttpHeaders, type IncomingMessage } from 'node:http';
import { createServer, type ServerOptions } from 'node:https';
import { type AddressInfo } from 'node:net';
import { setTimeout as pause } from 'node:timers/promises';
import { type Json } from './d1-client.ts';

export interface Notification {
  readonly path: string;
  readonly headers: IncomingHttpHeaders;
  readonly body: Json;
  readonly operations: readonly Json[];
  /** What the desk said. */
  readonly answered: number;
}

export interface DeskReply {
  readonly status: number;
  readonly headers?: Readonly<Record<string, string>>;
}

export interface NotificationDesk extends AsyncDisposable {
  readonly port: number;
  /** Every notification so far, in the order of arrival. */
  readonly received: readonly Notification[];
  /** Form bodies and `authorization` headers of token requests. */
  readonly tokenCalls: readonly { readonly authorization: string; readonly form: string }[];
  /** What is said about a card's next notifications, one reply each; afterwards 204. */
  answerCard(cardId: string, replies: readonly DeskReply[]): void;
  about(cardId: string): readonly Notification[];
  /** Waits until a card's operation has its final notification. */
  untilFinal(operationId: string, limitMs?: number): Promise<Json>;
}

async function textOf(message: IncomingMessage): Promise<string> {
  const chunks: Buffer[] = [];
  for await (const chunk of message) chunks.push(chunk as Buffer);
  return Buffer.concat(chunks).toString('utf8');
}

const operationsOf = (body: Json): Json[] => body['operations'] as Json[];

/** Opens the desk. `credentials` is `clientId:secret`, as registered with the API. */
export async function openNotificationDesk(
  tls: ServerOptions,
  credentials: string,
): Promise<NotificationDesk> {
  const received: Notification[] = [];
  const tokenCalls: { authorization: string; form: string }[] = [];
  const replies = new Map<string, DeskReply[]>();
  const tokens = new Set<string>();

  const giveToken = (authorization: string, form: string): [number, Json] => {
    tokenCalls.push({ authorization, form });
    const expected = `Basic ${Buffer.from(credentials).toString('base64')}`;
    if (authorization !== expected) return [401, { error: 'invalid_client' }];
    const token = randomBytes(24).toString('base64url');
    tokens.add(`Bearer ${token}`);
    // `expires_in` as text: the documented form of the outbound answer (trap 4).
    return [200, { access_token: token, token_type: 'Bearer', expires_in: '900' }];
  };
  const takeNotification = (message: IncomingMessage, text: string): DeskReply => {
    if (!tokens.has(message.headers.authorization ?? '')) return { status: 401 };
    const body = JSON.parse(text) as Json;
    const operations = operationsOf(body);
    const reply = replies.get(String(operations[0]?.['cardId']))?.shift() ?? { status: 204 };
    const { headers, url: path = '' } = message;
    received.push({ path, headers, body, operations, answered: reply.status });
    return reply;
  };

  const server = createServer(
    { ...tls, requestCert: true, rejectUnauthorized: true },
    (message, response) => {
      void (async () => {
        const text = await textOf(message);
        if (message.url === '/authz/d1/v1/oauth2/token') {
          const [status, body] = giveToken(message.headers.authorization ?? '', text);
          response.writeHead(status, { 'content-type': 'application/json' }).end(JSON.stringify(body));
          return;
        }
        const reply = takeNotification(message, text);
        response.writeHead(reply.status, reply.headers).end();
      })();
    },
  );
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const finalOf = (operationId: string): Json | undefined =>
    received
      .flatMap(({ operations }) => operations)
      .find((one) => one['operationId'] === operationId && one['status'] !== 'PENDING');
  return {
    port: (server.address() as AddressInfo).port,
    received,
    tokenCalls,
    answerCard: (cardId, next) => {
      replies.set(cardId, [...next]);
    },
    about: (cardId) => received.filter(({ operations }) => operations[0]?.['cardId'] === cardId),
    untilFinal: async (operationId, limitMs = 60_000) => {
      const deadline = Date.now() + limitMs;
      for (;;) {
        const found = finalOf(operationId);
        if (found !== undefined) return found;
        assert.ok(Date.now() < deadline, `no final notification of ${operationId}`);
        await pause(25);
      }
    },
    [Symbol.asyncDispose]: () =>
      new Promise((resolve) => {
        server.close(() => {
          resolve();
        });
        server.closeAllConnections();
      }),
  };
}
