/**
 * PIN blocks of ISO 9564-1, formats 0 to 4, over clear bytes: what a key adapter builds and reads inside its walls.
 *
 * Invariants: a PIN is a byte string of digit values, so that it can be wiped, and never a text; a block is read
 * strictly (control nibble, length, digits, fill, card number) or not at all, and why not is not told; every
 * buffer that held a PIN on the way is wiped.
 */
import { aesEcbDecrypt, aesEcbEncrypt } from './symmetric.ts';
import { unhex } from './bytes.ts';
import { EmvError } from './emv-error.ts';

/** Digit values 0 to 9, one a byte, 4 to 12 of them. Whoever made it wipes it. */
export type PinDigits = Uint8Array;

export const pinLengths = { min: 4, max: 12 } as const;

const fillDigit = 0xf;
const format4Fill = 0xa;

/** @throws EmvError DIGITS_INVALID for anything but 4 to 12 digit values; the message carries no digit */
export function requirePin(pin: PinDigits): void {
  const isPin =
    pin.length >= pinLengths.min && pin.length <= pinLengths.max && pin.every((digit) => digit <= 9);
  if (!isPin) throw new EmvError('DIGITS_INVALID', 'a PIN has 4 to 12 decimal digits');
}

/** Two nibbles a byte; `nibbles` is wiped. */
function pack(nibbles: Uint8Array): Uint8Array {
  const bytes = new Uint8Array(nibbles.length / 2);
  for (let at = 0; at < bytes.length; at++) {
    bytes[at] = ((nibbles[at * 2] ?? 0) << 4) | (nibbles[at * 2 + 1] ?? 0);
  }
  nibbles.fill(0);
  return bytes;
}

function unpack(bytes: Uint8Array): Uint8Array {
  const nibbles = new Uint8Array(bytes.length * 2);
  for (const [at, byte] of bytes.entries()) {
    nibbles[at * 2] = byte >> 4;
    nibbles[at * 2 + 1] = byte & 0xf;
  }
  return nibbles;
}

/** Control nibble, length, digits, and `fill` up to 16 nibbles. */
function pinField(format: number, pin: PinDigits, fill: (index: number) => number): Uint8Array {
  requirePin(pin);
  const nibbles = new Uint8Array(16);
  nibbles[0] = format;
  nibbles[1] = pin.length;
  nibbles.set(pin, 2);
  for (let at = 2 + pin.length; at < nibbles.length; at++) nibbles[at] = fill(at);
  return pack(nibbles);
}

/** The PIN in a clear field of 8 bytes, or undefined. The caller owns the result and wipes the field. */
function readPinField(
  format: number,
  field: Uint8Array,
  isFill: (nibble: number) => boolean,
): PinDigits | undefined {
  const nibbles = unpack(field);
  try {
    const [control, length = 0] = nibbles;
    if (control !== format || length < pinLengths.min || length > pinLengths.max) return undefined;
    const pin = nibbles.slice(2, 2 + length);
    if (pin.every((digit) => digit <= 9) && nibbles.subarray(2 + length).every(isFill)) return pin;
    pin.fill(0);
    return undefined;
  } finally {
    nibbles.fill(0);
  }
}

/** `0000` and the twelve rightmost digits of the card number without its check digit. @throws EmvError DIGITS_INVALID */
function panField(pan: string): Uint8Array {
  if (!/^\d{1,19}$/.test(pan)) throw new EmvError('DIGITS_INVALID', 'a card number is expected');
  return unhex(pan.slice(0, -1).slice(-12).padStart(16, '0'));
}

function mix(block: Uint8Array, other: Uint8Array): Uint8Array {
  return block.map((byte, at) => byte ^ (other[at] ?? 0));
}

function mixAndWipe(field: Uint8Array, pan: string): Uint8Array {
  const mixed = mix(field, panField(pan));
  field.fill(0);
  return mixed;
}

/** One random byte for each nibble that may have to be filled, which is `lowest` or above. */
function randomNibble(random: Uint8Array, lowest: number): (index: number) => number {
  if (random.length < 12) throw new EmvError('LENGTH_INVALID', 'twelve random bytes are expected as fill');
  return (index) => lowest + ((random[index - 4] ?? 0) % (16 - lowest));
}

/** Format 0: PIN and F fill, mixed with the card number; 8 bytes. @throws EmvError DIGITS_INVALID */
export function pinBlockFormat0(pin: PinDigits, pan: string): Uint8Array {
  return mixAndWipe(
    pinField(0, pin, () => fillDigit),
    pan,
  );
}

/** The PIN of a clear format 0 block, or undefined where it is none for this card number. */
export function readPinBlockFormat0(block: Uint8Array, pan: string): PinDigits | undefined {
  return readMixed(0, block, pan, (nibble) => nibble === fillDigit);
}

/** Format 1: PIN and `random` fill, no card number; 8 bytes. @throws EmvError DIGITS_INVALID, LENGTH_INVALID */
export function pinBlockFormat1(pin: PinDigits, random: Uint8Array): Uint8Array {
  return pinField(1, pin, randomNibble(random, 0));
}

/** Format 2, for the way from reader to chip and inside the chip only: PIN and F fill; 8 bytes. @throws EmvError DIGITS_INVALID */
export function pinBlockFormat2(pin: PinDigits): Uint8Array {
  return pinField(2, pin, () => fillDigit);
}

/** The PIN of a format 2 block, or undefined. */
export function readPinBlockFormat2(block: Uint8Array): PinDigits | undefined {
  if (block.length !== 8) return undefined;
  return readPinField(2, block, (nibble) => nibble === fillDigit);
}

/**
 * Format 3: as format 0, with `random` fill of A to F, so that equal PINs of one card differ.
 * @param random twelve bytes
 * @throws EmvError DIGITS_INVALID, LENGTH_INVALID
 */
export function pinBlockFormat3(pin: PinDigits, pan: string, random: Uint8Array): Uint8Array {
  return mixAndWipe(pinField(3, pin, randomNibble(random, 0xa)), pan);
}

/** The PIN of a clear format 3 block, or undefined where it is none for this card number. */
export function readPinBlockFormat3(block: Uint8Array, pan: string): PinDigits | undefined {
  return readMixed(3, block, pan, (nibble) => nibble >= 0xa);
}

function readMixed(
  format: number,
  block: Uint8Array,
  pan: string,
  isFill: (nibble: number) => boolean,
): PinDigits | undefined {
  if (block.length !== 8) return undefined;
  const field = mix(block, panField(pan));
  try {
    return readPinField(format, field, isFill);
  } finally {
    field.fill(0);
  }
}

/** How many digits beyond twelve, then the number (at least twelve digits), then zeros; 16 bytes. */
function format4PanField(pan: string): Uint8Array {
  if (!/^\d{1,19}$/.test(pan)) throw new EmvError('DIGITS_INVALID', 'a card number is expected');
  return unhex((String(Math.max(pan.length - 12, 0)) + pan.padStart(12, '0')).padEnd(32, '0'));
}

/**
 * Format 4, enciphered: the PIN field (A fill, then 8 random bytes) under AES, the card number mixed in, AES again.
 * @param key AES, 16, 24 or 32 bytes
 * @param random 8 bytes
 * @returns 16 bytes
 * @throws EmvError DIGITS_INVALID, LENGTH_INVALID, KEY_INVALID
 */
export function encipherPinBlockFormat4(
  key: Uint8Array,
  pin: PinDigits,
  pan: string,
  random: Uint8Array,
): Uint8Array {
  if (random.length !== 8) throw new EmvError('LENGTH_INVALID', 'eight random bytes are expected');
  const field = pinField(4, pin, () => format4Fill);
  const clear = new Uint8Array(16);
  clear.set(field, 0);
  clear.set(random, 8);
  field.fill(0);
  try {
    return aesEcbEncrypt(key, mix(aesEcbEncrypt(key, clear), format4PanField(pan)));
  } finally {
    clear.fill(0);
  }
}

/** The PIN of an enciphered format 4 block, or undefined where it is none under this key for this card number. */
export function decipherPinBlockFormat4(
  key: Uint8Array,
  block: Uint8Array,
  pan: string,
): PinDigits | undefined {
  if (block.length !== 16) return undefined;
  const clear = aesEcbDecrypt(key, mixFormat4Pan(aesEcbDecrypt(key, block), pan));
  try {
    return readPinBlockFormat4(clear);
  } finally {
    clear.fill(0);
  }
}

/**
 * What lies between the two decipherments of a format 4 block, for keys that are elsewhere: the card number mixed
 * out of `block`. @throws EmvError DIGITS_INVALID
 */
export function mixFormat4Pan(block: Uint8Array, pan: string): Uint8Array {
  return mix(block, format4PanField(pan));
}

/** The PIN of a format 4 block that was deciphered twice, or undefined where it is none. */
export function readPinBlockFormat4(clear: Uint8Array): PinDigits | undefined {
  if (clear.length !== 16) return undefined;
  return readPinField(4, clear.subarray(0, 8), (nibble) => nibble === format4Fill);
}
