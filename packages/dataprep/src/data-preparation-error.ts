/** Faults of data preparation. Messages name rules and keys, never card data. */
export type DataPreparationErrorCode =
  | 'RECORD_TOO_LONG'
  | 'KEY_INDEX_UNKNOWN'
  | 'PIN_KEY_UNKNOWN'
  | 'PIN_BLOCK_INVALID'
  | 'PIN_MISSING'
  | 'SECURITY_CODE_MISMATCH'
  | 'EXPIRY_OUTLIVES_CERTIFICATE'
  | 'CERTIFICATE_INVALID'
  | 'TEMPLATE_VALUE_MISSING'
  | 'PREPARED_DATA_INVALID'
  | 'PLAN_INVALID';

export class DataPreparationError extends Error {
  override readonly name = 'DataPreparationError';
  readonly code: DataPreparationErrorCode;
  /** Name of the order's field that the fault is about, where there is one. */
  readonly field: string | undefined;

  constructor(code: DataPreparationErrorCode, message: string, field?: string) {
    super(message);
    this.code = code;
    this.field = field;
  }
}
