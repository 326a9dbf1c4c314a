/**
 * The station listener: HTTPS with client certificates of the station CA, and nothing that an issuer or operator
 * could use.
 *
 * Invariants: who speaks is decided on every message by the live certificate's thumbprint (I10); bodies are
 * strict JSON checked by schema; a refusal has a code from the station error table.
 */
import {
  ArmRequest,
  check,
  ChipScriptRequest,
  ClaimRequest,
  CryptogramEvidence,
  parseStrictJson,
  Report,
  type StationErrorCode,
  stationErrors,
  stationPaths,
} from '@cardwright/protocol';
import { mtlsServerOptions, peerThumbprint } from '@cardwright/runtime';
import Fastify, { type FastifyInstance, type FastifyReply, type FastifyRequest } from 'fastify';
import { type Static, type TSchema } from 'typebox';
import { type ListenerConfig, type ServerConfig, type StationConfig } from '../config.ts';
import { armJob } from '../dispatch/arm.ts';
import { beginChip, confirmCryptogram, releaseScript } from '../dispatch/chip-relay.ts';
import { claimJob } from '../dispatch/claim.ts';
import { type DispatchParts, type StationResult } from '../dispatch/dispatch-parts.ts';
import { takeReport } from '../dispatch/report.ts';
import { VaultRefusedError, VaultUnavailableError } from '../vault-link/vault-link.ts';
import { isUnavailable } from '../store/store-error.ts';
import { serveDoorbell } from './doorbell-stream.ts';

const bodyLimitBytes = 64 * 1_024;

function send(reply: FastifyReply, httpStatus: number, body: unknown): FastifyReply {
  return reply.code(httpStatus).type('application/json; charset=utf-8').send(JSON.stringify(body));
}

function sendError(reply: FastifyReply, code: StationErrorCode, message: string): FastifyReply {
  return send(reply, stationErrors[code].httpStatus, { code, message });
}

/** Answers with a failure that was thrown: never with its text. */
function sendFault(parts: DispatchParts, reply: FastifyReply, error: unknown): FastifyReply {
  if (error instanceof VaultUnavailableError) {
    parts.logger.warn('station.vault-unavailable', { reason: error.reason });
    void reply.header('retry-after', '2');
    return sendError(reply, 'VAULT_UNAVAILABLE', 'The vault does not answer');
  }
  if (error instanceof VaultRefusedError) {
    parts.logger.fault('station.vault-refused', error);
    return sendError(reply, 'VAULT_REFUSED', 'The vault refused the request');
  }
  if (isUnavailable(error)) {
    parts.logger.fault('station.store-unavailable', error);
    void reply.header('retry-after', '2');
    return sendError(reply, 'STORE_UNAVAILABLE', 'The database does not answer');
  }
  const status = (error as { statusCode?: unknown } | null)?.statusCode;
  if (typeof status === 'number' && status >= 400 && status < 500) {
    return sendError(reply, 'BAD_MESSAGE', 'The message cannot be read');
  }
  parts.logger.fault('station.request-failed', error);
  return sendError(reply, 'INTERNAL_ERROR', 'An internal error');
}

type Handler<T> = (station: StationConfig, body: T, jobId: string) => Promise<StationResult<unknown>>;

/** Builds the listener; `app.listen` starts it. */
export function createStationListener(
  config: ServerConfig,
  listener: ListenerConfig,
  parts: DispatchParts,
): FastifyInstance {
  const app = Fastify({
    https: mtlsServerOptions({ ...config.tls, clientCaFile: listener.clientCaFile }),
    bodyLimit: bodyLimitBytes,
    exposeHeadRoutes: false,
    forceCloseConnections: true,
    routerOptions: { maxParamLength: 256 },
    frameworkErrors: (_error, _request, reply) => {
      void sendError(reply, 'BAD_MESSAGE', 'The address cannot be read');
    },
  }) as unknown as FastifyInstance;
  const speaker = (request: FastifyRequest): StationConfig | undefined => {
    const thumbprint = peerThumbprint(request.raw.socket);
    return thumbprint === undefined ? undefined : parts.catalogue.stationsByThumbprint.get(thumbprint);
  };
  const identify = async (
    request: FastifyRequest,
    reply: FastifyReply,
  ): Promise<FastifyReply | undefined> => {
    if (speaker(request) !== undefined) return undefined;
    return sendError(reply, 'STATION_UNKNOWN', 'The certificate belongs to no station');
  };
  app.addHook('onRequest', identify);
  app.removeAllContentTypeParsers();
  app.addContentTypeParser('application/json', { parseAs: 'string' }, (_request, text, done) => {
    done(null, parseStrictJson(String(text)));
  });
  app.setErrorHandler((error, _request, reply) => sendFault(parts, reply, error));
  app.setNotFoundHandler((_request, reply) => sendError(reply, 'BAD_MESSAGE', 'There is nothing here'));

  const post = <S extends TSchema>(path: string, schema: S, handler: Handler<Static<S>>): void => {
    app.post<{ Params: { jobId?: string } }>(path, async (request, reply) => {
      const station = speaker(request);
      if (station === undefined)
        return sendError(reply, 'STATION_UNKNOWN', 'The certificate belongs to no station');
      const parsed = request.body as ReturnType<typeof parseStrictJson> | undefined;
      const checked = parsed?.ok === true ? check(schema, parsed.value) : undefined;
      if (checked?.ok !== true) {
        return sendError(reply, 'BAD_MESSAGE', checked === undefined ? 'body' : checked.field || 'body');
      }
      const result = await handler(station, checked.value, request.params.jobId ?? '');
      return result.ok ? send(reply, 200, result.value) : sendError(reply, result.code, result.message);
    });
  };
  // A colon begins a parameter in the router; doubled, it stands for itself.
  post(stationPaths.claim.replace(':', '::'), ClaimRequest, (station, body) =>
    claimJob(parts, station, body),
  );
  post(stationPaths.arm(':jobId'), ArmRequest, ({ stationId }, body, jobId) =>
    armJob(parts, stationId, jobId, body),
  );
  post(stationPaths.chipBegin(':jobId'), ArmRequest, ({ stationId }, body, jobId) =>
    beginChip(parts, stationId, jobId, body),
  );
  post(stationPaths.chipScript(':jobId'), ChipScriptRequest, ({ stationId }, body, jobId) =>
    releaseScript(parts, stationId, jobId, body),
  );
  post(stationPaths.cryptogram(':jobId'), CryptogramEvidence, ({ stationId }, body, jobId) =>
    confirmCryptogram(parts, stationId, jobId, body),
  );
  post(stationPaths.reports(':jobId'), Report, ({ stationId }, body, jobId) =>
    takeReport(parts, stationId, jobId, body),
  );
  app.get(stationPaths.events, async (request, reply) => {
    const station = speaker(request);
    if (station === undefined)
      return sendError(reply, 'STATION_UNKNOWN', 'The certificate belongs to no station');
    await serveDoorbell(parts, station.stationId, reply);
    return reply;
  });
  return app;
}
