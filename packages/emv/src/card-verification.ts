/** Card verification values (CVV, CVV2, iCVV): three digits from card data under a pair of DES keys. */
import { hex, unhex, xorBytes } from './bytes.ts';
import { EmvError } from './emv-error.ts';
import { desEcbEncrypt, tdesEcbEncrypt } from './symmetric.ts';

/** Service codes that select the kind of value: chip (tag 57) and printed; the stripe uses the real one. */
export const icvvServiceCode = '999';
export const cvv2ServiceCode = '000';

/**
 * The two 8-byte halves of the input: PAN, expiry, service code, zeros to 32 digits.
 * @throws EmvError DIGITS_INVALID
 */
export function cvvBlocks(
  pan: string,
  expiryYYMM: string,
  serviceCode: string,
): { first: Uint8Array; second: Uint8Array } {
  if (!/^\d{8,19}$/.test(pan) || !/^\d{4}$/.test(expiryYYMM) || !/^\d{3}$/.test(serviceCode)) {
    throw new EmvError(
      'DIGITS_INVALID',
      'a PAN, four expiry digits and three service code digits are expected',
    );
  }
  const block = unhex((pan + expiryYYMM + serviceCode).padEnd(32, '0'));
  return { first: block.slice(0, 8), second: block.slice(8) };
}

/** Decimalises an 8-byte result: its digits from left to right, then its letters minus ten; `count` of them. */
export function decimalize(block: Uint8Array, count: number): string {
  const text = hex(block);
  const digits = text.replace(/[A-F]/g, '');
  const letters = text.replace(/\d/g, '').replace(/[A-F]/g, (letter) => String(parseInt(letter, 16) - 10));
  return (digits + letters).slice(0, count);
}

/**
 * Card verification value, three digits.
 * @param cvk both keys, 16 bytes
 * @param serviceCode the card's own for the stripe, 999 for the chip, 000 for the printed value
 * @throws EmvError DIGITS_INVALID, KEY_INVALID
 */
export function cvv(cvk: Uint8Array, pan: string, expiryYYMM: string, serviceCode: string): string {
  const { first, second } = cvvBlocks(pan, expiryYYMM, serviceCode);
  const chained = desEcbEncrypt(cvk.subarray(0, 8), first);
  return decimalize(tdesEcbEncrypt(cvk, xorBytes(chained, second)), 3);
}
