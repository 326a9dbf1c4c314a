/** Faults of the store, with stable codes, and the reading of the embedded engine's own error numbers. */
export type StoreErrorCode =
  | 'STORE_IN_USE'
  | 'STORE_MIGRATION_CHANGED'
  | 'STORE_TOO_NEW'
  | 'STORE_TRANSACTION_WAITED'
  | 'STORE_CLOSED'
  | 'STORE_NOT_DURABLE'
  | 'STORE_UNAVAILABLE';

export class StoreError extends Error {
  override readonly name = 'StoreError';
  readonly code: StoreErrorCode;

  constructor(code: StoreErrorCode, message: string) {
    super(message);
    this.code = code;
  }
}

/** True when the database cannot be used now: whether the work was done is not known, and it may be tried again. */
export function isUnavailable(error: unknown): boolean {
  return error instanceof StoreError && error.code === 'STORE_UNAVAILABLE';
}

const sqliteBusy = 5;

/** True when another process has the database file. */
export function isInUse(error: unknown): boolean {
  const number = (error as { errcode?: unknown } | null)?.errcode;
  return typeof number === 'number' && (number & 0xff) === sqliteBusy;
}
