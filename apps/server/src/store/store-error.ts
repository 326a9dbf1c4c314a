/** Faults of the store, with stable codes, and the reading of the engine's own error numbers. */
export type StoreErrorCode =
  'STORE_IN_USE' | 'STORE_MIGRATION_CHANGED' | 'STORE_TOO_NEW' | 'STORE_TRANSACTION_WAITED' | 'STORE_CLOSED';

export class StoreError extends Error {
  override readonly name = 'StoreError';
  readonly code: StoreErrorCode;

  constructor(code: StoreErrorCode, message: string) {
    super(message);
    this.code = code;
  }
}

const sqliteBusy = 5;
const sqliteUnique = 2067;
const sqlitePrimaryKey = 1555;

function engineNumber(error: unknown): number | undefined {
  const number = (error as { errcode?: unknown } | null)?.errcode;
  return typeof number === 'number' ? number : undefined;
}

/** True when a unique or primary key refused the write. */
export function isUniqueViolation(error: unknown): boolean {
  const number = engineNumber(error);
  return number === sqliteUnique || number === sqlitePrimaryKey;
}

/** True when another process has the database file. */
export function isInUse(error: unknown): boolean {
  const number = engineNumber(error);
  return number !== undefined && (number & 0xff) === sqliteBusy;
}
