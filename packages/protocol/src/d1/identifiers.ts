/** Identifiers of the D1 dialect, with their documented or decided patterns (d1-api contract, chapter 2-4). */
import { Type } from 'typebox';

export const IssuerId = Type.String({ pattern: '^[A-Za-z0-9_-]{10}$', description: 'Exactly 10 characters' });
export const CardId = Type.String({
  pattern: '^[A-Za-z0-9_-]{1,48}$',
  description: "The issuer's technical id of the card; never the card number",
});
export const OperationId = Type.String({ pattern: '^[A-Za-z0-9_-]{1,64}$' });
export const PersoStation = Type.String({ pattern: '^[A-Za-z0-9_-]{1,64}$' });
export const IssuerRequestId = Type.String({ pattern: '^[A-Za-z0-9_-]{1,64}$' });
export const CardProductId = Type.String({ pattern: '^[A-Za-z0-9_-]{1,48}$' });
export const ConsumerId = Type.String({ pattern: '^[A-Za-z0-9_-]{1,64}$' });
export const KeyIndex = Type.Union([
  Type.String({ pattern: '^[A-Za-z0-9_-]{1,16}$' }),
  Type.Integer({ minimum: 0, maximum: 9_999_999 }),
]);

/** Pattern of `x-correlation-id`: what we emit, and what we accept without replacing it (OD-4.4). */
export const correlationIdPattern = /^[A-Za-z0-9_-]{1,64}$/;

/** Two spellings of one key index: all-digit values compare as numbers, so `"01"` equals `1` (OD-3.6). */
export function normalizeKeyIndex(index: string | number): string {
  const text = String(index);
  // As text: sixteen digits are more than a number holds exactly.
  return /^\d+$/.test(text) ? text.replace(/^0+(?=\d)/, '') : text;
}
