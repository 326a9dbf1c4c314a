/**
 * Card numbers for tests: Luhn, a random number under the sandbox prefix, and masking.
 *
 * Invariant: `makeTestPan` makes numbers only under a prefix that no scheme has assigned to an issuer here.
 */
import { randomInt } from 'node:crypto';

/** The only prefix that a sandbox takes orders for. */
export const testPanPrefix = '999900';

/** The Luhn check digit that belongs after `digits` (ISO/IEC 7812-1 annex B). */
export function luhnCheckDigit(digits: string): string {
  let sum = 0;
  for (let fromRight = 0; fromRight < digits.length; fromRight += 1) {
    const digit = Number(digits.charAt(digits.length - 1 - fromRight));
    const doubled = fromRight % 2 === 0 ? digit * 2 : digit;
    sum += doubled > 9 ? doubled - 9 : doubled;
  }
  return String((10 - (sum % 10)) % 10);
}

/** True for 12 to 19 digits whose last one is their Luhn check digit. */
export function isValidPan(pan: string): boolean {
  return /^\d{12,19}$/.test(pan) && luhnCheckDigit(pan.slice(0, -1)) === pan.slice(-1);
}

/** A random, Luhn-valid test card number of `length` digits. */
export function makeTestPan(length = 16): string {
  let digits = testPanPrefix;
  while (digits.length < length - 1) digits += String(randomInt(10));
  return digits + luhnCheckDigit(digits);
}

/** First six and last four digits; what lies between becomes bullets. */
export function maskPan(pan: string): string {
  return `${pan.slice(0, 6)}${'•'.repeat(Math.max(pan.length - 10, 0))}${pan.slice(-4)}`;
}
