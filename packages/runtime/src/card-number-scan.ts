/**
 * Finds digit runs that look like a card number: 13 to 19 digits, standing alone, with a valid check digit.
 * The last line behind typed secrets and allow-listed fields: whoever finds one refuses the record.
 */
import { isLuhnValid } from '@cardwright/domain';

// Digits inside an identifier or a hexadecimal value are not card numbers: a run counts only when no letter,
// digit or hyphen touches it. Groups of four are how people write them.
const standalone = /(?<![0-9A-Za-z-])(?:\d{13,19}|\d{4}(?:[ -]\d{4}){2,3}[ -]?\d{1,7})(?![0-9A-Za-z-])/g;

/** True when `text` holds something that looks like a card number. */
export function looksLikeCardNumber(text: string): boolean {
  for (const match of text.matchAll(standalone)) {
    const digits = match[0].replace(/[ -]/g, '');
    if (digits.length >= 13 && digits.length <= 19 && isLuhnValid(digits)) return true;
  }
  return false;
}
