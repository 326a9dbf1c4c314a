/**
 * EMV keys of one card and of one transaction (EMV Book 2, Annex A1).
 *
 * The functions ending in `Data` give the cipher input, so that a key vault can derive without showing keys; the
 * others run the cipher over clear keys for the virtual card and for tests.
 */
import { createHash } from 'node:crypto';
import { concatBytes, uintBytes, unhex, xorBytes } from './bytes.ts';
import { EmvError } from './emv-error.ts';
import { oddParity, tdesEcbEncrypt } from './symmetric.ts';

/** A: last 16 digits of PAN and PSN. B: the same up to 16 PAN digits, SHA-1 decimalisation above. */
export type UdkOption = 'A' | 'B';

/**
 * Input of the ICC master key derivation, 16 bytes: Y and its complement.
 * UDK = oddParity(3DES-ECB(IMK, udkData(…))).
 * @param pan 8 to 19 digits
 * @param psn PAN sequence number, one or two digits (5F34 of the card)
 * @throws EmvError DIGITS_INVALID
 */
export function udkData(option: UdkOption, pan: string, psn: string): Uint8Array {
  if (!/^\d{8,19}$/.test(pan) || !/^\d{1,2}$/.test(psn)) {
    throw new EmvError('DIGITS_INVALID', 'a PAN has 8 to 19 digits and its sequence number one or two');
  }
  const digits = pan + psn.padStart(2, '0');
  const y = option === 'B' && pan.length > 16 ? decimalizedHash(digits) : digits.slice(-16).padStart(16, '0');
  const left = unhex(y);
  return concatBytes(
    left,
    left.map((byte) => byte ^ 0xff),
  );
}

/** Option B: the first 16 decimal digits of SHA-1 in hexadecimal, filled up with its letters as a→0 … f→5. */
function decimalizedHash(digits: string): string {
  const packed = digits.length % 2 === 0 ? digits : `0${digits}`;
  const hash = createHash('sha1').update(unhex(packed)).digest('hex');
  const decimal = hash.replace(/[a-f]/g, '');
  const letters = hash.replace(/\d/g, '').replace(/[a-f]/g, (letter) => String(parseInt(letter, 16) - 10));
  return (decimal + letters).slice(0, 16);
}

/** ICC master key (UDK), 16 bytes with odd parity, from a 16-byte issuer master key. @throws EmvError */
export function deriveUdk(imk: Uint8Array, option: UdkOption, pan: string, psn: string): Uint8Array {
  return oddParity(tdesEcbEncrypt(imk, udkData(option, pan, psn)));
}

/**
 * Input of the EMV common session key derivation (A1.3), 16 bytes: R with its third byte F0, then 0F.
 * SK = oddParity(3DES-ECB(UDK, cskData(r))).
 * @param r 8 bytes: ATC and six zeros for application cryptograms, the first cryptogram for scripts
 * @throws EmvError LENGTH_INVALID
 */
export function cskData(r: Uint8Array): Uint8Array {
  if (r.length !== 8) throw new EmvError('LENGTH_INVALID', 'a diversification value has 8 bytes');
  const left = r.slice();
  const right = r.slice();
  left[2] = 0xf0;
  right[2] = 0x0f;
  return concatBytes(left, right);
}

/** EMV common session key, 16 bytes with odd parity. @throws EmvError LENGTH_INVALID, KEY_INVALID */
export function deriveCsk(udk: Uint8Array, r: Uint8Array): Uint8Array {
  return oddParity(tdesEcbEncrypt(udk, cskData(r)));
}

/** R of an application cryptogram's session key: ATC and six zeros. `atc` is 0..65535. */
export function atcDiversifier(atc: number): Uint8Array {
  return concatBytes(uintBytes(atc, 2), new Uint8Array(6));
}

/** Mastercard SKD: the common session key with R = ATC, two zeros, unpredictable number (4 bytes). */
export function mastercardSkd(udk: Uint8Array, atc: number, unpredictableNumber: Uint8Array): Uint8Array {
  return deriveCsk(udk, concatBytes(uintBytes(atc, 2), new Uint8Array(2), unpredictableNumber));
}

/**
 * Visa secure messaging key (CVN 10 and 18), 16 bytes with odd parity: UDK xor ATC on the left half, xor its
 * complement on the right. @throws EmvError LENGTH_INVALID
 */
export function visaSmKey(udk: Uint8Array, atc: number): Uint8Array {
  const zeros = new Uint8Array(6);
  const variant = concatBytes(zeros, uintBytes(atc, 2), zeros, uintBytes(~atc & 0xffff, 2));
  return oddParity(xorBytes(udk, variant));
}
