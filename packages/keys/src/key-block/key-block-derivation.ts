/**
 * Encryption and authentication keys of a key block, from the protection key (X9.143; ISO 20038 for version E).
 *
 * Invariant: each use (enciphering by block or by counter, authenticating) gets a key of its own; the caller wipes
 * what it is given.
 */
import { aesCmac, concatBytes, pad80, tdesCbcEncrypt, tdesEcbEncrypt, xorBytes } from '@cardwright/emv';
import { type KeyBlockVersion } from './key-block-header.ts';

const desBlockBytes = 8;

export interface KeyBlockKeys {
  readonly encryption: Uint8Array;
  readonly authentication: Uint8Array;
}

/** What the derived key is for, as the derivation data says it. */
const purpose = { encryption: 0x0000, authentication: 0x0001, counterEncryption: 0x0002 } as const;

/** 3DES-CMAC (NIST SP 800-38B), 8 bytes. */
export function tdesCmac(key: Uint8Array, data: Uint8Array): Uint8Array {
  const zeros = new Uint8Array(desBlockBytes);
  const subkey1 = doubleInField(tdesEcbEncrypt(key, zeros));
  const isWhole = data.length > 0 && data.length % desBlockBytes === 0;
  const padded = isWhole ? data.slice() : pad80(data, desBlockBytes);
  const lastStart = padded.length - desBlockBytes;
  const subkey = isWhole ? subkey1 : doubleInField(subkey1);
  padded.set(xorBytes(padded.subarray(lastStart), subkey), lastStart);
  const chained = tdesCbcEncrypt(key, zeros, padded);
  padded.fill(0);
  return chained.slice(-desBlockBytes);
}

/** Multiplication by x in GF(2^64). */
function doubleInField(block: Uint8Array): Uint8Array {
  const doubled = block.map((byte, index) => ((byte << 1) | ((block[index + 1] ?? 0) >> 7)) & 0xff);
  if (((block[0] ?? 0) & 0x80) !== 0) doubled[desBlockBytes - 1] = (doubled[desBlockBytes - 1] ?? 0) ^ 0x1b;
  return doubled;
}

/** Number that the derivation data gives an algorithm and length. */
function algorithmNumber(version: 'B' | 'D' | 'E', keyBytes: number): number {
  const numbers: Readonly<Record<number, number>> =
    version === 'B' ? { 16: 0x0000, 24: 0x0001 } : { 16: 0x0002, 24: 0x0003, 32: 0x0004 };
  const found = numbers[keyBytes];
  if (found === undefined) throw new RangeError('a protection key of a wrong length');
  return found;
}

function derive(version: 'B' | 'D' | 'E', kbpk: Uint8Array, use: number): Uint8Array {
  const mac = version === 'B' ? tdesCmac : aesCmac;
  const algorithm = algorithmNumber(version, kbpk.length);
  const bits = kbpk.length * 8;
  const parts: Uint8Array[] = [];
  for (let counter = 1; parts.reduce((sum, part) => sum + part.length, 0) < kbpk.length; counter++) {
    parts.push(
      mac(kbpk, Uint8Array.of(counter, use >> 8, use & 0xff, 0, 0, algorithm, bits >> 8, bits & 0xff)),
    );
  }
  const whole = concatBytes(...parts);
  const key = whole.slice(0, kbpk.length);
  for (const buffer of [whole, ...parts]) buffer.fill(0);
  return key;
}

/** @throws RangeError for a protection key that the version cannot have */
export function deriveKeyBlockKeys(version: KeyBlockVersion, kbpk: Uint8Array): KeyBlockKeys {
  switch (version) {
    case 'A':
    case 'C':
      if (kbpk.length !== 16 && kbpk.length !== 24)
        throw new RangeError('a protection key of a wrong length');
      return { encryption: kbpk.map((byte) => byte ^ 0x45), authentication: kbpk.map((byte) => byte ^ 0x4d) };
    case 'B':
    case 'D':
      return {
        encryption: derive(version, kbpk, purpose.encryption),
        authentication: derive(version, kbpk, purpose.authentication),
      };
    case 'E':
      return {
        encryption: derive(version, kbpk, purpose.counterEncryption),
        authentication: derive(version, kbpk, purpose.authentication),
      };
  }
}
