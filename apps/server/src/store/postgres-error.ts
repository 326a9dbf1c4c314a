/**
 * Reading PostgreSQL's SQLSTATE codes: which failures ask for another try, and which say that the database is away.
 *
 * Invariant: decided by codes, never by texts. A failure without a code is the connection's, not the statement's.
 */
import { DatabaseError } from 'pg';
import { StoreError } from './store-error.ts';

const serializationFailure = '40001';
const deadlockDetected = '40P01';
const uniqueViolation = '23505';

/** Connection, operator's intervention, resources, a server that only reads, waits that were cut short. */
const unavailableStates: readonly RegExp[] = [
  /^08/,
  /^28/,
  /^3D000$/,
  /^57/,
  /^53/,
  /^58/,
  /^25006$/,
  /^25P03$/,
  /^55P03$/,
];

function sqlStateOf(error: unknown): string | undefined {
  return error instanceof DatabaseError ? error.code : undefined;
}

/**
 * True when the transaction lost against another one and may simply be run again. A unique key counts: whoever was
 * first has committed by now, so that the second run sees it and decides with it.
 */
export function isConflict(error: unknown): boolean {
  const state = sqlStateOf(error);
  return state === serializationFailure || state === deadlockDetected || state === uniqueViolation;
}

/** What a failed statement or connection is to the server. The database's own words go no further. */
export function storeFaultOf(error: unknown): unknown {
  const state = sqlStateOf(error);
  if (state !== undefined) {
    return unavailableStates.some((pattern) => pattern.test(state))
      ? new StoreError('STORE_UNAVAILABLE', `the database cannot be used now (${state})`)
      : error;
  }
  if (error instanceof StoreError) return error;
  const { code } = (error ?? {}) as { code?: unknown };
  const reason = typeof code === 'string' ? code : 'connection lost';
  return new StoreError('STORE_UNAVAILABLE', `the database cannot be reached (${reason})`);
}
