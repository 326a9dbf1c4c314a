/**
 * The one error of this package: a stable code, and at most the name of a field or a place in the template.
 *
 * Invariant: never carries a field's value, so it can be logged.
 */
export type ArtworkErrorCode =
  | 'DESIGN_UNKNOWN'
  | 'DESIGN_INVALID'
  | 'SVG_UNSAFE'
  | 'GLYPH_MISSING'
  | 'TEXT_DOES_NOT_FIT'
  | 'FIELD_HAS_NO_ZONE';

export class ArtworkError extends Error {
  readonly code: ArtworkErrorCode;
  /** The card field (`name`, `customLines[1]`) or the place in the template that is at fault. */
  readonly subject: string;

  constructor(code: ArtworkErrorCode, subject: string, explanation: string) {
    super(`${code}: ${subject}: ${explanation}`);
    this.name = 'ArtworkError';
    this.code = code;
    this.subject = subject;
  }
}
