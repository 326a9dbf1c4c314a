/** The one error this package throws. Refusals of a check (a bad certificate, a wrong MAC) are values instead. */
export type EmvErrorCode =
  | 'HEX_INVALID'
  | 'DIGITS_INVALID'
  | 'LENGTH_INVALID'
  | 'PADDING_INVALID'
  | 'TLV_TRUNCATED'
  | 'TLV_TAG_INVALID'
  | 'TLV_LENGTH_INVALID'
  | 'TLV_TOO_DEEP'
  | 'DOL_INVALID'
  | 'DGI_INVALID'
  | 'AFL_INVALID'
  | 'APDU_INVALID'
  | 'RECORD_INVALID'
  | 'KEY_INVALID';

/** Bytes or texts that do not have the format a specification asks for. Messages never quote the data. */
export class EmvError extends Error {
  override readonly name = 'EmvError';
  readonly code: EmvErrorCode;

  constructor(code: EmvErrorCode, message: string) {
    super(`${code}: ${message}`);
    this.code = code;
  }
}
