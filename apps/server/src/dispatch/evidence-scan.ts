/**
 * The last check before a station's words are kept: nothing in them may be, or hold, a card number (I7).
 *
 * Two nets. The wide one refuses every stand-alone run of 12 to 19 digits with a valid check digit. The fine one
 * knows the order's masked number and refuses any digits that fit it, wherever they stand, even inside a
 * hexadecimal dump.
 */
import { isLuhnValid } from '@cardwright/domain';

/** Stand-alone means: no hexadecimal digit touches it, so that chip identities and hashes pass. */
const standaloneDigits =
  /(?<![0-9A-Fa-f])(?:\d{12,19}|\d{4}(?:[ -]\d{4}){2,3}(?:[ -]\d{1,3})?)(?![0-9A-Fa-f])/g;

/** Times in epoch milliseconds, 2001 to 2286: thirteen digits that begin with 1 to 9 and mean nothing here. */
const earliestTimeMs = 1_000_000_000_000;
const latestTimeMs = 9_999_999_999_999;

function isTime(value: number): boolean {
  return Number.isInteger(value) && value >= earliestTimeMs && value <= latestTimeMs;
}

function holdsNumberOf(text: string, maskedPan: string | null): boolean {
  const mask = maskedPan === null ? null : /^(\d{6})(\*+)(\d{4})$/.exec(maskedPan);
  if (mask === null) return false;
  const [, first = '', hidden = '', last = ''] = mask;
  const fitting = new RegExp(`${first}\\d{${String(hidden.length)}}${last}`);
  return fitting.test(text.replace(/[ -]/g, ''));
}

function textHoldsCardNumber(text: string, maskedPan: string | null): boolean {
  for (const match of text.matchAll(standaloneDigits)) {
    const digits = match[0].replace(/[ -]/g, '');
    const isAllSame = new Set(digits).size === 1;
    if (!isAllSame && isLuhnValid(digits)) return true;
  }
  return holdsNumberOf(text, maskedPan);
}

/** True when any text, number or member name in `value` looks like a card number. */
export function holdsCardNumber(value: unknown, maskedPan: string | null): boolean {
  if (typeof value === 'string') return textHoldsCardNumber(value, maskedPan);
  if (typeof value === 'number') return !isTime(value) && textHoldsCardNumber(String(value), maskedPan);
  if (Array.isArray(value)) return value.some((item) => holdsCardNumber(item, maskedPan));
  if (typeof value !== 'object' || value === null) return false;
  return Object.entries(value).some(
    ([name, member]) => textHoldsCardNumber(name, maskedPan) || holdsCardNumber(member, maskedPan),
  );
}
