/**
 * Structured logs by allow-list: an event has a name and flat fields of plain values, nothing else.
 *
 * Invariant: a record in which anything looks like a card number is not written; `log.refused` is written
 * instead, so that the leak is noticed and the number is not repeated.
 */
import { pino, type DestinationStream } from 'pino';
import { looksLikeCardNumber } from './card-number-scan.ts';

export type LogFields = Readonly<Record<string, string | number | boolean | null | undefined>>;

export interface Logger {
  /** Something happened. `name` is dotted and constant: `order.accepted`. */
  event(name: string, fields?: LogFields): void;
  /** Something is worth a look but was dealt with. */
  warn(name: string, fields?: LogFields): void;
  /** A fault: the error's name and code are written, never its message when that could echo input. */
  fault(name: string, error: unknown, fields?: LogFields): void;
}

export interface LoggerOptions {
  readonly level?: 'info' | 'warn' | 'error' | 'silent';
  readonly stream?: DestinationStream;
}

function describeError(error: unknown): LogFields {
  if (!(error instanceof Error)) return { errorName: typeof error };
  const code = (error as { code?: unknown }).code;
  const where = error.stack?.split('\n').find((line) => line.trimStart().startsWith('at '));
  return {
    errorName: error.name,
    errorCode: typeof code === 'string' ? code : null,
    // The place, not the message: messages may echo input.
    errorAt: where?.trim().replace(/\(?(file:\/\/)?\/.*\/(?=[^/]+:\d+:\d+)/, '(') ?? null,
  };
}

function isSafe(fields: LogFields): boolean {
  return Object.values(fields).every((value) => typeof value !== 'string' || !looksLikeCardNumber(value));
}

/** A logger for one component, writing JSON lines to standard output unless told otherwise. */
export function createLogger(component: string, options: LoggerOptions = {}): Logger {
  const settings = {
    base: { component },
    level: options.level ?? 'info',
    timestamp: pino.stdTimeFunctions.isoTime,
  };
  const sink = options.stream === undefined ? pino(settings) : pino(settings, options.stream);
  const write = (level: 'info' | 'warn' | 'error', event: string, fields: LogFields): void => {
    if (isSafe(fields)) sink[level]({ event, ...fields });
    else sink.error({ event: 'log.refused', refusedEvent: event, reason: 'looks like a card number' });
  };
  return {
    event: (name, fields = {}) => {
      write('info', name, fields);
    },
    warn: (name, fields = {}) => {
      write('warn', name, fields);
    },
    fault: (name, error, fields = {}) => {
      write('error', name, { ...fields, ...describeError(error) });
    },
  };
}
