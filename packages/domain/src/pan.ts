/** The card number: its check digit (ISO/IEC 7812-1) and the one format in which it may be shown. */

/** True when `digits` is all digits and its last one is the Luhn check digit. */
export function isLuhnValid(digits: string): boolean {
  if (!/^\d{2,}$/.test(digits)) return false;
  let sum = 0;
  for (let i = 0; i < digits.length; i++) {
    let digit = digits.charCodeAt(digits.length - 1 - i) - 48;
    if (i % 2 === 1) digit = digit > 4 ? digit * 2 - 9 : digit * 2;
    sum += digit;
  }
  return sum % 10 === 0;
}

/** The Luhn check digit for `digits` (all digits, without it). */
export function luhnCheckDigit(digits: string): string {
  for (let check = 0; check <= 9; check++) {
    if (isLuhnValid(digits + String(check))) return String(check);
  }
  throw new RangeError('luhnCheckDigit takes digits only');
}

/** The one truncated form of a PAN: first six and last four digits (PCI DSS 3.4.1), the rest as asterisks. */
export function maskPan(pan: string): string {
  if (pan.length < 12) return '*'.repeat(pan.length);
  return pan.slice(0, 6) + '*'.repeat(pan.length - 10) + pan.slice(-4);
}
