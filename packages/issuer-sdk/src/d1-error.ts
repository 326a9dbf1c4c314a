/**
 * The errors of this client: what the API refused, what the network did, and what could not be read.
 *
 * Invariant: no error carries a token, a key, card data or a body. Words from the other side are kept only when
 * they look like a code or a field name.
 */
import { d1Errors } from '@cardwright/protocol';

/** Common to all errors of the client: whether the same call may succeed later with the same ids. */
export abstract class D1Error extends Error {
  abstract readonly retryable: boolean;
  /** How long the other side asked to wait, in milliseconds. */
  readonly retryAfterMs: number | undefined;

  constructor(message: string, retryAfterMs?: number, options?: ErrorOptions) {
    super(message, options);
    this.retryAfterMs = retryAfterMs;
  }
}

/** The API answered with a status that is no success. */
export class D1ApiError extends D1Error {
  override readonly name: string = 'D1ApiError';
  readonly status: number;
  /** `FIELD_INVALID_VALUE`, `CONFLICT`, …; new values must be tolerated. Undefined when none could be read. */
  readonly errorCode: string | undefined;
  /** Dotted name of the first field in error, for the codes that name one. */
  readonly field: string | undefined;
  readonly retryable: boolean;

  constructor(answer: { status: number; errorCode?: string; field?: string; retryAfterMs?: number }) {
    const about = [answer.errorCode, answer.field].filter((part) => part !== undefined).join(' ');
    super(`The API answered ${String(answer.status)} ${about}`.trimEnd(), answer.retryAfterMs);
    this.status = answer.status;
    this.errorCode = answer.errorCode;
    this.field = answer.field;
    this.retryable = answer.status === 429 || answer.status >= 500;
  }
}

/**
 * The API gave no access token (a clock that is off, a certificate or key that is not registered). The call itself
 * was never made, so nothing is decided about it: mend the cause and call again.
 */
export class D1TokenError extends D1ApiError {
  override readonly name = 'D1TokenError';
}

/**
 * No answer came: the connection failed, was cut or took too long. Whether the request was carried out is
 * unknown; sending it again with the same `issuerRequestId` is safe.
 */
export class D1ConnectionError extends D1Error {
  override readonly name = 'D1ConnectionError';
  readonly retryable = true;
  /** System code of the cause, such as `ECONNREFUSED` or `CERT_HAS_EXPIRED`. */
  readonly reason: string;

  constructor(cause: unknown) {
    const code = (cause as { code?: unknown } | null)?.code;
    const reason = typeof code === 'string' ? code : cause instanceof Error ? cause.name : 'UNKNOWN';
    super(`No answer from the API: ${reason}`);
    this.reason = reason;
  }
}

/** A success whose content is not what the contract says. */
export class D1UnreadableAnswerError extends D1Error {
  override readonly name = 'D1UnreadableAnswerError';
  readonly retryable = false;
  /** The part of the answer that could not be read; never its value. */
  readonly field: string;

  constructor(field: string) {
    super(`The answer of the API cannot be read: ${field}`);
    this.field = field;
  }
}

const codePattern = /^[A-Z][A-Z0-9_]{0,63}$/;
const fieldPattern = /^[A-Za-z][A-Za-z0-9_.[\]]{0,95}$/;
/** A day: the longest wait that is taken over from `Retry-After`. */
const longestRetryAfterMs = 24 * 3600 * 1000;

function namesField(code: string | undefined): boolean {
  return code !== undefined && code in d1Errors && d1Errors[code as keyof typeof d1Errors].names === 'field';
}

/** `Retry-After` in either of its forms, as milliseconds from `nowMs`. */
export function readRetryAfter(header: string | undefined, nowMs: number): number | undefined {
  if (header === undefined) return undefined;
  const text = header.trim();
  const waitMs = /^\d{1,9}$/.test(text) ? Number(text) * 1000 : Date.parse(text) - nowMs;
  return Number.isFinite(waitMs) ? Math.min(Math.max(waitMs, 0), longestRetryAfterMs) : undefined;
}

/** Reads an error body `{"errorCode","error"}` as liberally as possible; a strange body only loses detail. */
export function readApiError(status: number, body: unknown, retryAfterMs: number | undefined): D1ApiError {
  const record = (typeof body === 'object' && body !== null ? body : {}) as Record<string, unknown>;
  const { errorCode, error } = record;
  const code = typeof errorCode === 'string' && codePattern.test(errorCode) ? errorCode : undefined;
  const field = namesField(code) && typeof error === 'string' && fieldPattern.test(error) ? error : undefined;
  return new D1ApiError({
    status,
    ...(code === undefined ? {} : { errorCode: code }),
    ...(field === undefined ? {} : { field }),
    ...(retryAfterMs === undefined ? {} : { retryAfterMs }),
  });
}
