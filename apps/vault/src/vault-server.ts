/**
 * The vault's only door: HTTPS with mutual TLS, a short list of clients, schemas on every body.
 *
 * Invariants: the live certificate of every single request is on the allow-list; a bad request gets a code and a
 * field and never a 5xx; an unexpected fault is logged by name and answered without detail.
 */
import {
  check,
  FingerprintRequest,
  parseStrictJson,
  PayloadRequest,
  PrepareRequest,
  VaultChipBeginRequest,
  VaultCryptogramRequest,
  vaultPaths,
  VaultScriptRequest,
} from '@cardwright/protocol';
import { type Logger, peerThumbprint, type ServerTlsOptions } from '@cardwright/runtime';
import fastify, { type FastifyError, type FastifyInstance } from 'fastify';
import { type Static, type TSchema } from 'typebox';
import { type VaultService } from './vault-service.ts';
import { VaultRefusal } from './vault-refusal.ts';

/** A sealed plan is at most 256 KiB of base64url; nothing else is nearly as large. */
const bodyLimitBytes = 512 * 1024;
const namePattern = /^[A-Za-z0-9_-]{1,64}$/;

export interface VaultServerOptions {
  readonly tls: ServerTlsOptions;
  readonly allowedClientThumbprints: readonly string[];
  readonly service: VaultService;
  readonly logger: Logger;
}

function refusalOf(error: unknown): VaultRefusal | undefined {
  if (error instanceof VaultRefusal) return error;
  const status = (error as FastifyError).statusCode ?? 500;
  if (status === 413) return new VaultRefusal('MESSAGE_TOO_LARGE');
  if (status >= 400 && status < 500) return new VaultRefusal('BAD_MESSAGE');
  return undefined;
}

/** A Fastify instance that is not listening yet. */
export function createVaultServer(options: VaultServerOptions): FastifyInstance {
  const { service, logger } = options;
  const allowed = new Set(options.allowedClientThumbprints);
  const app = fastify({
    https: options.tls,
    bodyLimit: bodyLimitBytes,
    // Requests hold sealed card data: our own logger writes allow-listed fields only.
    logger: false,
    requestTimeout: 30_000,
  }) as unknown as FastifyInstance;

  app.addHook('onRequest', (request, _reply, done) => {
    const thumbprint = peerThumbprint(request.raw.socket);
    const isAllowed = thumbprint !== undefined && allowed.has(thumbprint);
    done(isAllowed ? undefined : new VaultRefusal('CLIENT_UNKNOWN'));
  });
  app.removeAllContentTypeParsers();
  app.addContentTypeParser('application/json', { parseAs: 'string' }, (_request, body, done) => {
    const parsed = parseStrictJson(String(body));
    if (parsed.ok) done(null, parsed.value);
    else done(new VaultRefusal('BAD_MESSAGE'));
  });
  app.setValidatorCompiler<TSchema>(({ schema }) => (data: unknown) => {
    const checked = check(schema, data);
    return checked.ok ? { value: checked.value } : { error: new VaultRefusal('BAD_MESSAGE', checked.field) };
  });
  app.setNotFoundHandler(() => {
    throw new VaultRefusal('NOT_FOUND');
  });
  app.setErrorHandler(async (error, request, reply) => {
    const refusal = refusalOf(error);
    const route = request.routeOptions.url ?? 'unknown';
    if (refusal === undefined) logger.fault('vault.request-failed', error, { route });
    else logger.event('vault.request-refused', { route, code: refusal.code });
    const { code, field, status } = refusal ?? new VaultRefusal('INTERNAL_ERROR');
    await reply.status(status).send({ code, field });
  });
  addRoutes(app, service);
  return app;
}

function addRoutes(app: FastifyInstance, service: VaultService): void {
  const post = <S extends TSchema>(
    path: string,
    body: S,
    serve: (body: Static<S>) => Promise<unknown>,
  ): void => {
    app.post(path, { schema: { body } }, async (request) => serve(request.body as Static<S>));
  };
  app.get(vaultPaths.health, () => service.health());
  app.get(vaultPaths.status, () => service.status());
  app.get(vaultPaths.publicKeys, () => service.publicKeys());
  post(vaultPaths.prepare, PrepareRequest, (body) => {
    // The id becomes part of a seal's context: nothing that could be read as a separator.
    if (!namePattern.test(body.operationId)) throw new VaultRefusal('BAD_MESSAGE', 'operationId');
    return service.prepare(body);
  });
  post(vaultPaths.fingerprint, FingerprintRequest, (body) => service.fingerprint(body));
  post(vaultPaths.payload, PayloadRequest, (body) => service.payload(body));
  post(vaultPaths.chipBegin, VaultChipBeginRequest, (body) => service.chipBegin(body));
  post(vaultPaths.script, VaultScriptRequest, (body) => service.script(body));
  post(vaultPaths.cryptogram, VaultCryptogramRequest, (body) => service.cryptogram(body));
}
