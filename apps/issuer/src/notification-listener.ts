/**
 * The endpoints that the API calls at this issuer, over mutual TLS: a token, and notifications.
 *
 * Invariants: 204 is said only after everything in the call is stored; 400 only for what can never become
 * readable, because it will not come again; anything else makes the API send again.
 */
import { readFileSync } from 'node:fs';
import { constants as cryptoConstants } from 'node:crypto';
import { TLSSocket } from 'node:tls';
import { createNotificationReceiver, notificationKey } from '@cardwright/issuer-sdk';
import { fastify, type FastifyInstance, type FastifyRequest } from 'fastify';
import { type IssuerConfig } from './config.ts';
import { type EventLog } from './event-log.ts';
import { type OrderStore } from './order-store.ts';
import { createOutboundTokens, tokenLifeSeconds } from './outbound-tokens.ts';

const maxBodyBytes = 1_048_576;

/** Fingerprint of the live client certificate; empty only when the socket is already gone. */
function certificateOf(request: FastifyRequest): string {
  const { socket } = request.raw;
  return socket instanceof TLSSocket && socket.authorized
    ? ((socket.getPeerCertificate() as { fingerprint256?: string }).fingerprint256 ?? '')
    : '';
}

function createListener(config: IssuerConfig): FastifyInstance {
  const https = {
    cert: readFileSync(config.tls.certFile),
    key: readFileSync(config.tls.keyFile),
    ca: readFileSync(config.notificationListener.clientCaFile),
    requestCert: true,
    rejectUnauthorized: true,
    minVersion: 'TLSv1.2',
    // A resumed session would skip the certificate that the caller is known by.
    secureOptions: cryptoConstants.SSL_OP_NO_TICKET,
  } as const;
  const server = fastify({ https, bodyLimit: maxBodyBytes, logger: false });
  return server;
}

function addTokenEndpoint(server: FastifyInstance, tokens: ReturnType<typeof createOutboundTokens>): void {
  server.post('/authz/d1/v1/oauth2/token', (request, reply) => {
    const form = request.body instanceof URLSearchParams ? request.body : undefined;
    if (form === undefined) {
      return reply.code(400).send({ error: 'invalid_request', error_description: 'a form is expected' });
    }
    if (form.get('grant_type') !== 'client_credentials') {
      return reply
        .code(400)
        .send({ error: 'unsupported_grant_type', error_description: 'only client_credentials' });
    }
    const token = tokens.issue(request.headers.authorization, certificateOf(request));
    if (token === undefined) {
      void reply.header('www-authenticate', 'Basic');
      return reply.code(401).send({ error: 'invalid_client', error_description: 'unknown client' });
    }
    const end = new Date(Date.now() + tokenLifeSeconds * 1000).toISOString();
    return reply.header('cache-control', 'no-store').send({
      access_token: token,
      token_type: 'Bearer',
      expires_in: String(tokenLifeSeconds),
      expires_at: end,
    });
  });
}

/** Builds the listener; the caller opens and closes it. */
export function createNotificationListener(
  config: IssuerConfig,
  store: OrderStore,
  log: EventLog,
): FastifyInstance {
  const server = createListener(config);
  const clientSecret = readFileSync(config.oauth.clientSecretFile, 'utf8').trim();
  const tokens = createOutboundTokens({ clientId: config.oauth.clientId, clientSecret });
  const receiver = createNotificationReceiver({
    memory: { has: (key) => store.hasNotification(key), add: () => undefined },
    onOperation: (operation) => {
      store.recordNotification(operation);
      const { cardId, operationId, status } = operation;
      const known = store.find(cardId)?.operationId === operationId;
      const event = known ? 'notification.received' : 'notification.of-unknown-order';
      // Ids of an order that is not ours could be anything; only their key is known to be well formed.
      log.event(
        event,
        known ? { cardId, operationId, status } : { keyLength: notificationKey(operation).length },
      );
    },
  });

  server.addContentTypeParser(
    'application/x-www-form-urlencoded',
    { parseAs: 'string' },
    (_request, body, done) => {
      done(null, new URLSearchParams(String(body)));
    },
  );
  server.setErrorHandler((error: { statusCode?: number }, _request, reply) => {
    const status = error.statusCode ?? 500;
    if (status >= 500) log.fault('notification.failed', error);
    return reply
      .code(status)
      .send(
        status >= 500
          ? { errorCode: 'INTERNAL_ERROR', error: 'not stored' }
          : { errorCode: 'FIELD_INVALID_FORMAT', error: 'body' },
      );
  });
  addTokenEndpoint(server, tokens);
  server.post<{ Params: { issuerId: string } }>(
    '/notifications/d1/v2/issuers/:issuerId/cards',
    // Before the body is read: a stranger's body is none of our business.
    {
      onRequest: async (request, reply) => {
        if (!tokens.accepts(request.headers.authorization, certificateOf(request))) {
          void reply.header('www-authenticate', 'Bearer');
          await reply.code(401).send({ errorCode: 'AUTHORIZER_UNAUTHORIZED', error: 'no valid token' });
        }
      },
    },
    async (request, reply) => {
      if (request.params.issuerId !== config.issuerId) {
        return reply.code(404).send({ errorCode: 'NOT_FOUND', error: 'no such issuer' });
      }
      const verdict = await receiver.receive(request.body);
      if (verdict.accepted) return reply.code(204).send();
      log.event('notification.malformed', { field: verdict.field });
      return reply.code(400).send({ errorCode: 'FIELD_INVALID_FORMAT', error: verdict.field });
    },
  );
  return server;
}
