/**
 * PIN verification values over clear keys and PINs: the four digits of the Visa method, and IBM 3624 with offset.
 *
 * Invariants: PINs come as digit values and are not kept; what leaves is meant for card or host and does not tell
 * the PIN without the key.
 */
import { unhex } from './bytes.ts';
import { decimalize } from './card-verification.ts';
import { EmvError } from './emv-error.ts';
import { type PinDigits, requirePin } from './pin-block.ts';
import { tdesEcbEncrypt } from './symmetric.ts';

/**
 * What is enciphered for a PIN verification value, 8 bytes: 11 rightmost card number digits without the check
 * digit, key index, first four PIN digits. The caller wipes it.
 * @param pvki index of the key, one digit
 * @param pan at least 12 digits
 * @throws EmvError DIGITS_INVALID
 */
export function pvvBlock(pvki: string, pan: string, pin: PinDigits): Uint8Array {
  requirePin(pin);
  if (!/^\d{12,19}$/.test(pan) || !/^\d$/.test(pvki)) {
    throw new EmvError('DIGITS_INVALID', 'a card number and a key index of one digit are expected');
  }
  const block = new Uint8Array(8);
  block.set(unhex(pan.slice(-12, -1) + pvki), 0);
  block[6] = ((pin[0] ?? 0) << 4) | (pin[1] ?? 0);
  block[7] = ((pin[2] ?? 0) << 4) | (pin[3] ?? 0);
  return block;
}

/**
 * PIN verification value, four digits: the block of {@link pvvBlock}, 3DES, decimalised.
 * @param pvk both keys, 16 bytes
 * @throws EmvError DIGITS_INVALID, KEY_INVALID
 */
export function pvv(pvk: Uint8Array, pvki: string, pan: string, pin: PinDigits): string {
  const block = pvvBlock(pvki, pan, pin);
  try {
    return decimalize(tdesEcbEncrypt(pvk, block), 4);
  } finally {
    block.fill(0);
  }
}

/** What IBM 3624 works on besides the key. */
export interface Ibm3624Rules {
  /** Sixteen decimal digits: what each hexadecimal digit becomes. */
  readonly decimalizationTable: string;
  /** Which digits of the card number are enciphered, and the hexadecimal digit that fills them up to sixteen. */
  readonly validationStart: number;
  readonly validationLength: number;
  readonly pad: string;
}

/**
 * First `length` digits of the natural PIN. The caller wipes it.
 * @throws EmvError DIGITS_INVALID, KEY_INVALID
 */
function naturalPin(pvk: Uint8Array, rules: Ibm3624Rules, pan: string, length: number): PinDigits {
  const { decimalizationTable: table, validationStart: start, validationLength, pad } = rules;
  const validation = pan.slice(start, start + validationLength);
  const isSound =
    /^\d{16}$/.test(table) &&
    /^[0-9A-F]$/.test(pad) &&
    /^\d{1,16}$/.test(validation) &&
    validation.length === validationLength;
  if (!isSound) throw new EmvError('DIGITS_INVALID', 'validation data or decimalization table is wrong');
  const enciphered = tdesEcbEncrypt(pvk, unhex(validation.padEnd(16, pad)));
  const digits = new Uint8Array(length);
  for (const at of digits.keys()) {
    const nibble = ((enciphered[at >> 1] ?? 0) >> (at % 2 === 0 ? 4 : 0)) & 0xf;
    digits[at] = Number(table.charAt(nibble));
  }
  enciphered.fill(0);
  return digits;
}

/**
 * The PIN that belongs to an offset, for PINs the bank makes. The caller wipes it.
 * @param offset 4 to 12 digits
 * @throws EmvError DIGITS_INVALID, KEY_INVALID
 */
export function ibm3624Pin(pvk: Uint8Array, rules: Ibm3624Rules, pan: string, offset: string): PinDigits {
  if (!/^\d{4,12}$/.test(offset)) throw new EmvError('DIGITS_INVALID', 'an offset has 4 to 12 digits');
  const pin = naturalPin(pvk, rules, pan, offset.length);
  for (const [at, digit] of pin.entries()) pin[at] = (digit + Number(offset.charAt(at))) % 10;
  return pin;
}

/**
 * The offset that belongs to a PIN, as many digits as the PIN has.
 * @throws EmvError DIGITS_INVALID, KEY_INVALID
 */
export function ibm3624Offset(pvk: Uint8Array, rules: Ibm3624Rules, pan: string, pin: PinDigits): string {
  requirePin(pin);
  const natural = naturalPin(pvk, rules, pan, pin.length);
  try {
    return Array.from(natural, (digit, at) => String(((pin[at] ?? 0) - digit + 10) % 10)).join('');
  } finally {
    natural.fill(0);
  }
}
