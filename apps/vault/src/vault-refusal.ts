/**
 * Refusals of the vault as its client sees them: a code, the field in error, an HTTP status. Never a value.
 */
export const vaultRefusals = {
  BAD_MESSAGE: 400,
  PLAN_INVALID: 400,
  STATION_KEY_INVALID: 400,
  CLIENT_UNKNOWN: 401,
  NOT_FOUND: 404,
  MESSAGE_TOO_LARGE: 413,
  INTERNAL_ERROR: 500,
} as const;
export type VaultRefusalCode = keyof typeof vaultRefusals;

/** Raised where a request cannot be served; becomes the answer `{code, field}`. */
export class VaultRefusal extends Error {
  override readonly name = 'VaultRefusal';
  readonly code: VaultRefusalCode;
  readonly field: string;

  constructor(code: VaultRefusalCode, field = '') {
    super(`${code} ${field}`.trim());
    this.code = code;
    this.field = field;
  }

  get status(): number {
    return vaultRefusals[this.code];
  }
}
