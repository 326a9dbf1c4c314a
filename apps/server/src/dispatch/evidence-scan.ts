/**
 * The last check before a station's words are kept: nothing in them may be, or hold, a card number (I7).
 *
 * Two nets. The wide one refuses every stand-alone run of 12 to 19 digits with a valid check digit. The fine one
 * knows the order's masked number and refuses any digits that fit it, wherever they stand, even inside a
 * hexadecimal dump.
 */
import { isLuhnValid } from '@cardwright/domain';

/**
 * Stand-alone means: no hexadecimal digit touches it and it is no fraction of a number, so that chip identities,
 * hashes and measured times pass.
 */
const standaloneDigits =
  /(?<![0-9A-Fa-f])(?<!\d\.)(?:\d{12,19}|\d{4}(?:[ -]\d{4}){2,3}(?:[ -]\d{1,3})?)(?![0-9A-Fa-f])/g;

/** Our own identifiers: one in some thousands ends in twelve digits with a valid check digit. */
const uuid = /[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}/gi;

/** Epoch milliseconds from 2001 to 2065: thirteen digits that begin as no card number of that length does. */
const epochMs = /^[12]\d{12}$/;

function holdsNumberOf(text: string, maskedPan: string | null): boolean {
  const mask = maskedPan === null ? null : /^(\d{6})(\*+)(\d{4})$/.exec(maskedPan);
  if (mask === null) return false;
  const [, first = '', hidden = '', last = ''] = mask;
  const fitting = new RegExp(`${first}\\d{${String(hidden.length)}}${last}`);
  return fitting.test(text.replace(/[ -]/g, ''));
}

function textHoldsCardNumber(text: string, maskedPan: string | null): boolean {
  for (const match of text.replace(uuid, '').matchAll(standaloneDigits)) {
    const digits = match[0].replace(/[ -]/g, '');
    const isAllSame = new Set(digits).size === 1;
    if (!isAllSame && !epochMs.test(digits) && isLuhnValid(digits)) return true;
  }
  return holdsNumberOf(text, maskedPan);
}

/** True when any text, number or member name in `value` looks like a card number. */
export function holdsCardNumber(value: unknown, maskedPan: string | null): boolean {
  if (typeof value === 'string') return textHoldsCardNumber(value, maskedPan);
  if (typeof value === 'number')
    return Number.isInteger(value) && textHoldsCardNumber(String(value), maskedPan);
  if (Array.isArray(value)) return value.some((item) => holdsCardNumber(item, maskedPan));
  if (typeof value !== 'object' || value === null) return false;
  return Object.entries(value).some(
    ([name, member]) => textHoldsCardNumber(name, maskedPan) || holdsCardNumber(member, maskedPan),
  );
}
