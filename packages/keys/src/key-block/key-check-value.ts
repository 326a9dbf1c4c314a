/**
 * Key check values with their method, because three conventions exist for AES alone (X9.24-1; emv.md 1.9).
 *
 * Invariants: a check value never travels without its method; a 3DES key has the 3DES value and an AES key the CMAC
 * value, so that an AES key with a value of the other method is refused rather than compared (security.md K7).
 */
import { timingSafeEqual } from 'node:crypto';
import { aesKcv, hex, tdesKcv, unhex } from '@cardwright/emv';
import { type KeyAlgorithm, type KeyInfo } from '../key-port.ts';

export type KeyCheckValue = NonNullable<KeyInfo['kcv']>;
type KcvMethod = KeyCheckValue['method'];

const valueLengths: Readonly<Record<KcvMethod, { shortest: number; longest: number }>> = {
  'TDES-ECB-0': { shortest: 3, longest: 3 },
  // X9.24-1 gives five bytes; many systems keep three.
  'AES-CMAC-0': { shortest: 3, longest: 5 },
};

/** Undefined for keys that have no check value by a standard (HMAC, RSA, EC). */
export function kcvMethodOf(algorithm: KeyAlgorithm): KcvMethod | undefined {
  switch (algorithm) {
    case 'TDES-2KEY':
      return 'TDES-ECB-0';
    case 'AES-128':
    case 'AES-256':
      return 'AES-CMAC-0';
    case 'HMAC-SHA256':
    case 'RSA':
    case 'EC-P256':
      return undefined;
  }
}

/** The check value of a clear key of 16 bytes (3DES), 16 or 32 bytes (AES). */
export function checkValueOf(algorithm: KeyAlgorithm, key: Uint8Array): KeyCheckValue | undefined {
  const method = kcvMethodOf(algorithm);
  switch (method) {
    case 'TDES-ECB-0':
      return { method, value: tdesKcv(key) };
    case 'AES-CMAC-0':
      return { method, value: aesKcv(key) };
    case undefined:
      return undefined;
  }
}

/** `TDES-ECB-0:08D7B4` */
export function formatCheckValue({ method, value }: KeyCheckValue): string {
  return `${method}:${hex(value)}`;
}

/** A check value as people write it, with its method before a colon; undefined when it is none. */
export function parseCheckValue(text: string): KeyCheckValue | undefined {
  const [, method, digits = ''] = /^(TDES-ECB-0|AES-CMAC-0):((?:[0-9A-F]{2})+)$/i.exec(text.trim()) ?? [];
  const known = method?.toUpperCase() as KcvMethod | undefined;
  if (known === undefined) return undefined;
  const value = unhex(digits.toUpperCase());
  const { shortest, longest } = valueLengths[known];
  return value.length >= shortest && value.length <= longest ? { method: known, value } : undefined;
}

export type CheckValueComparison = 'SAME' | 'DIFFERENT' | 'WRONG_METHOD';

/** Compares what somebody claims with the computed value. A shorter claim of the same method is compared as far as it goes. */
export function compareCheckValues(claimed: KeyCheckValue, computed: KeyCheckValue): CheckValueComparison {
  if (claimed.method !== computed.method) return 'WRONG_METHOD';
  const { shortest, longest } = valueLengths[claimed.method];
  const { length } = claimed.value;
  if (length < shortest || length > longest || length > computed.value.length) return 'DIFFERENT';
  return timingSafeEqual(claimed.value, computed.value.subarray(0, length)) ? 'SAME' : 'DIFFERENT';
}
