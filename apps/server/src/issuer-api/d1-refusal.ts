/**
 * Refusals of the issuer API: values with a documented code, never exceptions (OD-4.1, OD-4.2).
 *
 * Invariant: `error` is a field name or a fixed text. A value that came in is never sent back, not even when it
 * came as the name of a member.
 */
import { type D1Error, type D1ErrorCode, d1Errors } from '@cardwright/protocol';
import { type FastifyReply } from 'fastify';

export interface D1Refusal {
  readonly ok: false;
  readonly errorCode: D1ErrorCode;
  readonly error: string;
  readonly retryAfterS?: number;
}

export const refuseFormat = (field: string): D1Refusal => ({
  ok: false,
  errorCode: 'FIELD_INVALID_FORMAT',
  error: field === '' ? 'body' : field,
});
export const refuseValue = (field: string): D1Refusal => ({
  ok: false,
  errorCode: 'FIELD_INVALID_VALUE',
  error: field,
});
export const refuseUnauthorized: D1Refusal = {
  ok: false,
  errorCode: 'AUTHORIZER_UNAUTHORIZED',
  error: 'The access token is missing, expired or not valid',
};
export const refuseForbidden: D1Refusal = {
  ok: false,
  errorCode: 'FORBIDDEN',
  error: 'The access token does not allow this action',
};
export const refuseNotFound: D1Refusal = {
  ok: false,
  errorCode: 'NOT_FOUND',
  error: 'There is nothing here',
};
export const refuseConflict = (field: 'issuerRequestId' | 'cardId'): D1Refusal => ({
  ok: false,
  errorCode: 'CONFLICT',
  error: field,
});
export const refuseTooLarge: D1Refusal = {
  ok: false,
  errorCode: 'PAYLOAD_TOO_LARGE',
  error: 'The body is too large',
};
export const refuseMediaType: D1Refusal = {
  ok: false,
  errorCode: 'UNSUPPORTED_MEDIA_TYPE',
  error: 'The body must be JSON',
};
export const refuseInternal: D1Refusal = {
  ok: false,
  errorCode: 'INTERNAL_ERROR',
  error: 'An internal error',
};
export const refuseUnavailable = (retryAfterS: number): D1Refusal => ({
  ok: false,
  errorCode: 'SERVICE_UNAVAILABLE',
  error: 'The service is not available now',
  retryAfterS,
});

/** A name as people give to members: no run of digits that could be a number of a card or of a person. */
const plainName = /^[A-Za-z_](?:(?!\d{5})[A-Za-z0-9_-]){0,63}(?:\[\d{1,4}\])*$/;

/**
 * The part of a dotted field name that may be sent back. Clients invent member names, and what does not look like
 * one could be card data; the path is then cut before it.
 */
export function showableField(field: string): string {
  const parts = field.split('.');
  const strange = parts.findIndex((part) => !plainName.test(part));
  const shown = (strange === -1 ? parts : parts.slice(0, strange)).join('.');
  return shown === '' ? 'body' : shown;
}

export function refusalBody(refusal: D1Refusal): D1Error {
  const { errorCode, error } = refusal;
  return { errorCode, error: d1Errors[errorCode].names === 'field' ? showableField(error) : error };
}

/** Answers a request with a refusal. */
export async function sendRefusal(reply: FastifyReply, refusal: D1Refusal): Promise<FastifyReply> {
  if (refusal.retryAfterS !== undefined) void reply.header('retry-after', String(refusal.retryAfterS));
  if (refusal.errorCode === 'AUTHORIZER_UNAUTHORIZED') void reply.header('www-authenticate', 'Bearer');
  return reply
    .code(d1Errors[refusal.errorCode].httpStatus)
    .header('cache-control', 'no-store')
    .type('application/json; charset=utf-8')
    .send(JSON.stringify(refusalBody(refusal)));
}
