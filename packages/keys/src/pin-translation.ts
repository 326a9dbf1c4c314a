/**
 * Opens an issuer's PIN block for exactly as long as one callback runs, and builds the chip's reference PIN from it.
 *
 * Invariants: a clear PIN exists only inside `withPin`, as bytes that are wiped before it returns; every block that
 * is no PIN under its key, for its card number, is refused alike; each format takes its own kind of key, so that no
 * key is used by two ciphers.
 */
import { randomBytes } from 'node:crypto';
import {
  mixFormat4Pan,
  pad80,
  pinBlockFormat1,
  pinBlockFormat2,
  type PinDigits,
  readPinBlockFormat0,
  readPinBlockFormat3,
  readPinBlockFormat4,
} from '@cardwright/emv';
import {
  type DekMode,
  type EncipheredPin,
  type IssuerPinFormat,
  type KeyAlgorithm,
  KeyError,
  type ReferencePinFormat,
} from './key-port.ts';

/** Algorithms a PIN key may have, by the format it deciphers. */
export const pinKeyAlgorithms: Readonly<Record<IssuerPinFormat, readonly KeyAlgorithm[]>> = {
  'ISO9564-0': ['TDES-2KEY'],
  'ISO9564-3': ['TDES-2KEY'],
  'ISO9564-4': ['AES-128', 'AES-256'],
};

/** One ECB decipherment of a whole block under the issuer's PIN key, wherever that key is. */
export type DecipherPin = (block: Uint8Array) => Uint8Array | Promise<Uint8Array>;

async function openPin(
  decipher: DecipherPin,
  { format, block, pan }: Omit<EncipheredPin, 'key'>,
): Promise<PinDigits | undefined> {
  if (!/^\d{12,19}$/.test(pan) || block.length !== (format === 'ISO9564-4' ? 16 : 8)) return undefined;
  const once = await decipher(block);
  if (format !== 'ISO9564-4') {
    try {
      return format === 'ISO9564-0' ? readPinBlockFormat0(once, pan) : readPinBlockFormat3(once, pan);
    } finally {
      once.fill(0);
    }
  }
  const clear = await decipher(mixFormat4Pan(once, pan));
  try {
    return readPinBlockFormat4(clear);
  } finally {
    clear.fill(0);
  }
}

/**
 * Runs `use` with the clear PIN, then wipes it. `use` must not keep it.
 * @throws KeyError PIN_BLOCK_INVALID, alike for every cause
 */
export async function withPin<T>(
  decipher: DecipherPin,
  enciphered: Omit<EncipheredPin, 'key'>,
  use: (pin: PinDigits) => T | Promise<T>,
): Promise<T> {
  const pin = await openPin(decipher, enciphered);
  if (!pin) throw new KeyError('PIN_BLOCK_INVALID', 'the PIN block was refused');
  try {
    return await use(pin);
  } finally {
    pin.fill(0);
  }
}

/** The clear value of DGI 8010, padded where the card's cipher block is longer than it is. The caller wipes it. */
export function referencePin(pin: PinDigits, format: ReferencePinFormat, mode: DekMode): Uint8Array {
  const block = format === 'ISO9564-2' ? pinBlockFormat2(pin) : pinBlockFormat1(pin, randomBytes(12));
  if (mode === 'TDES-ECB') return block;
  const padded = pad80(block, 16);
  block.fill(0);
  return padded;
}
