/**
 * The issuer listener: HTTPS with client certificates of the issuer CA, serving the D1-compatible API and its
 * OpenAPI description.
 *
 * Invariants: every answer, even to nonsense, has D1's error body and a correlation id; nothing that a client sends
 * makes a 5xx; no client text comes back.
 */
import { type KeyObject } from 'node:crypto';
import { correlationIdPattern, d1Document, d1Routes, routerPath } from '@cardwright/protocol';
import { type Clock, mtlsServerOptions, newId, peerThumbprint } from '@cardwright/runtime';
import Fastify, { type FastifyInstance, type FastifyReply, type FastifyRequest } from 'fastify';
import { type ListenerConfig, type ServerConfig } from '../config.ts';
import { type Access, createAccessTokens } from './access-token.ts';
import {
  type D1Refusal,
  refusalBody,
  refuseFormat,
  refuseInternal,
  refuseMediaType,
  refuseNotFound,
  refuseTooLarge,
  refuseUnauthorized,
  refuseUnavailable,
  sendRefusal,
} from './d1-refusal.ts';
import { isUnavailable } from '../store/store-error.ts';
import { bodyOf, registerBodyParsers } from './issuer-body.ts';
import {
  type Answer,
  orderProduction,
  type ProductionParts,
  readProductionStatus,
} from './production-endpoint.ts';
import { requestToken } from './token-endpoint.ts';

const bodyLimitBytes = 64 * 1_024;
const answerLimitMs = 30_000;
const retryAfterS = 5;

export interface IssuerListenerParts extends ProductionParts {
  readonly clock: Clock;
  readonly tokenSigningKey: KeyObject;
}

/**
 * Both spellings of each path, and `:` or `%3A`, mean one resource (OD-2.3, traps 2 and 3). The address is brought
 * to the documented spelling before it is routed.
 */
export function canonicalUrl(url: string): string {
  const question = url.indexOf('?');
  const path = question === -1 ? url : url.slice(0, question);
  const canonical = path
    // Anchored: a card may be called `physicalcards`.
    .replace(/^(\/banking\/v1\/issuers\/[^/]*)\/physicalcards\//, '$1/physicalCards/')
    .replace(/\/productionstatus$/, '/productionStatus')
    .replace(/\/operations%3[Aa]production$/, '/operations:production');
  return question === -1 ? canonical : canonical + url.slice(question);
}

function refusalOf(error: unknown): D1Refusal | undefined {
  // Whether the order is stored is not known: the same order again is a replay or a first one.
  if (isUnavailable(error)) return refuseUnavailable(retryAfterS);
  const { statusCode, code } = (error ?? {}) as { statusCode?: unknown; code?: unknown };
  if (statusCode === 413) return refuseTooLarge;
  if (statusCode === 415) return refuseMediaType;
  if (typeof statusCode === 'number' && statusCode >= 400 && statusCode < 500) {
    return refuseFormat(code === 'FST_ERR_BAD_URL' ? 'path' : 'body');
  }
  return undefined;
}

function sendJson(reply: FastifyReply, httpStatus: number, body: unknown): FastifyReply {
  return reply
    .code(httpStatus)
    .header('cache-control', 'no-store')
    .type('application/json; charset=utf-8')
    .send(JSON.stringify(body));
}

function sendAnswer(
  reply: FastifyReply,
  httpStatus: number,
  answer: Answer<unknown>,
): FastifyReply | Promise<unknown> {
  return answer.ok ? sendJson(reply, httpStatus, answer.value) : sendRefusal(reply, answer);
}

/** The id that goes through logs and back to the client: theirs when it is well formed, else ours (OD-4.4). */
function correlationIdOf(request: FastifyRequest): string {
  const given = request.headers['x-correlation-id'];
  return typeof given === 'string' && correlationIdPattern.test(given) ? given : newId();
}

/** Answers what Node's parser refused before there was a request: too long headers, broken HTTP. */
function answerBrokenRequest(
  error: Error & { code?: string },
  socket: { writable: boolean; end(text: string): void; destroy(): void },
): void {
  if (error.code === 'ECONNRESET' || !socket.writable) {
    socket.destroy();
    return;
  }
  const body = JSON.stringify(refusalBody(refuseFormat('headers')));
  socket.end(
    `HTTP/1.1 400 Bad Request\r\ncontent-type: application/json; charset=utf-8\r\nx-correlation-id: ${newId()}\r\n` +
      `content-length: ${String(Buffer.byteLength(body))}\r\nconnection: close\r\n\r\n${body}`,
  );
}

function createFastify(config: ServerConfig, listener: ListenerConfig): FastifyInstance {
  return Fastify({
    https: {
      ...mtlsServerOptions({ ...config.tls, clientCaFile: listener.clientCaFile }),
      maxHeaderSize: 16 * 1_024,
      // Node would answer such a request itself, without a body.
      requireHostHeader: false,
    },
    bodyLimit: bodyLimitBytes,
    requestTimeout: answerLimitMs,
    exposeHeadRoutes: false,
    forceCloseConnections: true,
    // As long as an address can be: a long parameter is malformed, not an unknown path.
    routerOptions: { maxParamLength: 16 * 1_024 },
    rewriteUrl: (request) => canonicalUrl(request.url ?? '/'),
    frameworkErrors: (error, request, reply) => {
      const typed = reply as unknown as FastifyReply;
      void typed.header('x-correlation-id', correlationIdOf(request));
      void sendRefusal(typed, refusalOf(error) ?? refuseFormat('path'));
    },
    clientErrorHandler: answerBrokenRequest,
  });
}

/** Builds the listener; `app.listen` starts it. */
export function createIssuerListener(
  config: ServerConfig,
  listener: ListenerConfig,
  parts: IssuerListenerParts,
): FastifyInstance {
  const { issuers } = parts.catalogue;
  const tokens = createAccessTokens(parts.tokenSigningKey, config.publicOrigin, issuers, parts.clock);
  const tokenParts = { ...parts, issuers, publicOrigin: config.publicOrigin, tokens };
  const app = createFastify(config, listener);
  app.decorateRequest('correlationId', '');
  app.decorateRequest('access', null);
  app.addHook('onRequest', async (request, reply) => {
    request.correlationId = correlationIdOf(request);
    void reply.header('x-correlation-id', request.correlationId);
  });
  app.setErrorHandler((error, request, reply) => {
    const refusal = refusalOf(error);
    if (refusal === undefined || refusal.errorCode === 'SERVICE_UNAVAILABLE') {
      parts.logger.fault('issuer-api.request-failed', error, { correlationId: request.correlationId });
    }
    return sendRefusal(reply, refusal ?? refuseInternal);
  });
  // Node would answer an unknown expectation with an empty 417; nothing here depends on one.
  app.server.on('checkExpectation', (request, response) => {
    app.server.emit('request', request, response);
  });
  app.setNotFoundHandler((_request, reply) => sendRefusal(reply, refuseNotFound));

  const document = JSON.stringify(d1Document(config.publicOrigin));
  app.get(routerPath(d1Routes.openapi), (_request, reply) =>
    reply.type('application/json; charset=utf-8').send(document),
  );

  void app.register((scope: FastifyInstance, _options, done) => {
    registerBodyParsers(scope, true);
    scope.post(routerPath(d1Routes.token), async (request, reply) => {
      const thumbprint = peerThumbprint(request.raw.socket);
      const body = bodyOf(request);
      const result = await requestToken(tokenParts, body.ok ? body.value : undefined, thumbprint ?? '');
      void reply.header('pragma', 'no-cache');
      return sendJson(reply, result.httpStatus, result.body);
    });
    done();
  });

  void app.register((scope: FastifyInstance, _options, done) => {
    registerBodyParsers(scope, false);
    // Before the body is read: a stranger's bytes are not worth parsing.
    scope.addHook('onRequest', async (request, reply) => {
      const bearer = /^Bearer ([A-Za-z0-9._~+/=-]+)$/i.exec(request.headers.authorization ?? '')?.[1];
      const thumbprint = peerThumbprint(request.raw.socket);
      const access =
        bearer === undefined || thumbprint === undefined
          ? undefined
          : await tokens.verify(bearer, thumbprint);
      if (access === undefined) return sendRefusal(reply, refuseUnauthorized);
      request.access = access;
      return undefined;
    });
    scope.post(routerPath(d1Routes.production), async (request, reply) => {
      const body = bodyOf(request);
      if (request.access === null) return sendRefusal(reply, refuseUnauthorized);
      if (!body.ok) return sendRefusal(reply, refuseFormat(body.field));
      const { access, params, correlationId } = request;
      return sendAnswer(reply, 202, await orderProduction(parts, access, params, body.value, correlationId));
    });
    scope.get(routerPath(d1Routes.productionStatus), async (request, reply) => {
      if (request.access === null) return sendRefusal(reply, refuseUnauthorized);
      return sendAnswer(reply, 200, await readProductionStatus(parts, request.access, request.params));
    });
    done();
  });
  return app;
}

declare module 'fastify' {
  interface FastifyRequest {
    correlationId: string;
    access: Access | null;
  }
}
