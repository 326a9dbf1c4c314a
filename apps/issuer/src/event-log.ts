/**
 * What this process says about itself: named events with ids and codes, as JSON lines.
 *
 * Invariant: fields are ids, codes and numbers chosen by this code. Never a name, a card number, a token or a
 * body; of an error only its name and code.
 */
import { pino } from 'pino';

export type EventFields = Readonly<Record<string, string | number | boolean | null>>;

export interface EventLog {
  event(name: string, fields?: EventFields): void;
  fault(name: string, error: unknown, fields?: EventFields): void;
}

function describe(error: unknown): EventFields {
  if (!(error instanceof Error)) return { errorName: typeof error };
  const code = (error as { code?: unknown }).code;
  return { errorName: error.name, errorCode: typeof code === 'string' ? code : null };
}

/** A log on standard output. */
export function createEventLog(level: 'info' | 'silent' = 'info'): EventLog {
  const sink = pino({ base: { component: 'issuer' }, level, timestamp: pino.stdTimeFunctions.isoTime });
  return {
    event: (name, fields = {}) => {
      sink.info({ event: name, ...fields });
    },
    fault: (name, error, fields = {}) => {
      sink.error({ event: name, ...fields, ...describe(error) });
    },
  };
}
