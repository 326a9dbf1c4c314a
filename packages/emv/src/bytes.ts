/**
 * Byte strings: hexadecimal, comparison, BCD.
 *
 * Invariants: hex is upper case; no function changes its arguments; results never share memory with arguments.
 */
import { timingSafeEqual } from 'node:crypto';
import { EmvError } from './emv-error.ts';

/** Upper-case hexadecimal of `bytes`. */
export function hex(bytes: Uint8Array): string {
  return Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength).toString('hex').toUpperCase();
}

/** Bytes of a hexadecimal text in either case, without separators. @throws EmvError HEX_INVALID */
export function unhex(text: string): Uint8Array {
  if (text.length % 2 !== 0 || !/^[0-9a-fA-F]*$/.test(text)) {
    throw new EmvError('HEX_INVALID', 'an even number of hexadecimal digits is expected');
  }
  return new Uint8Array(Buffer.from(text, 'hex'));
}

/** All parts one after another, in new memory. */
export function concatBytes(...parts: readonly Uint8Array[]): Uint8Array {
  const result = new Uint8Array(parts.reduce((sum, part) => sum + part.length, 0));
  let offset = 0;
  for (const part of parts) {
    result.set(part, offset);
    offset += part.length;
  }
  return result;
}

/** Compares in constant time for equal lengths, so that it also serves for MACs. */
export function equalBytes(a: Uint8Array, b: Uint8Array): boolean {
  return a.length === b.length && timingSafeEqual(a, b);
}

/** Bytewise exclusive or of two strings of one length. @throws EmvError LENGTH_INVALID */
export function xorBytes(a: Uint8Array, b: Uint8Array): Uint8Array {
  if (a.length !== b.length) throw new EmvError('LENGTH_INVALID', 'xor takes two byte strings of one length');
  return a.map((byte, index) => byte ^ (b[index] ?? 0));
}

/** Bytes of a 7-bit ASCII text. @throws EmvError DIGITS_INVALID for any other character */
export function ascii(text: string): Uint8Array {
  const bytes = new Uint8Array(text.length);
  for (let index = 0; index < text.length; index++) {
    const code = text.charCodeAt(index);
    if (code > 0x7f) throw new EmvError('DIGITS_INVALID', 'a 7-bit ASCII text is expected');
    bytes[index] = code;
  }
  return bytes;
}

/** Packed decimal: two digits a byte, an odd count gets a leading zero (EMV format n). @throws EmvError DIGITS_INVALID */
export function bcd(digits: string): Uint8Array {
  if (!/^\d*$/.test(digits)) throw new EmvError('DIGITS_INVALID', 'decimal digits are expected');
  return unhex(digits.length % 2 === 0 ? digits : `0${digits}`);
}

/**
 * Compressed numeric (EMV format cn): digits from the left, padded with F to `length` bytes, or to a whole byte.
 * @throws EmvError DIGITS_INVALID, LENGTH_INVALID when the digits do not fit
 */
export function compressedNumeric(digits: string, length: number = Math.ceil(digits.length / 2)): Uint8Array {
  if (!/^\d*$/.test(digits)) throw new EmvError('DIGITS_INVALID', 'decimal digits are expected');
  if (digits.length > length * 2) throw new EmvError('LENGTH_INVALID', 'more digits than the field holds');
  return unhex(digits.padEnd(length * 2, 'F'));
}

/** A non-negative integer as `length` bytes, most significant first. @throws EmvError LENGTH_INVALID */
export function uintBytes(value: number, length: number): Uint8Array {
  if (!Number.isSafeInteger(value) || value < 0 || value >= 256 ** length) {
    throw new EmvError('LENGTH_INVALID', `an integer of at most ${String(length)} bytes is expected`);
  }
  return unhex(value.toString(16).padStart(length * 2, '0'));
}
