/**
 * Makes key values (generated or imported) and turns stored values into usable material.
 *
 * Invariants: generated keys come from the system's random source and are never a well-known key; generated
 * two-key 3DES has odd parity and two different halves; imported values have the exact shape of their algorithm.
 */
import { createPrivateKey, generateKeyPair, type KeyObject, randomBytes } from 'node:crypto';
import { promisify } from 'node:util';
import { oddParity } from '@cardwright/emv';
import { type KeyAlgorithm, KeyError, type KeyUsage } from './key-port.ts';
import { type KeyMaterial } from './key-ring.ts';
import { isWellKnownKey } from './well-known-keys.ts';

type SymmetricAlgorithm = 'TDES-2KEY' | 'AES-128' | 'AES-256' | 'HMAC-SHA256';

/** What `ensure` makes: a random key, or `value` (raw bytes of a symmetric key, PKCS#8 DER of an RSA or EC key). */
export type KeySpec =
  | { readonly algorithm: SymmetricAlgorithm; readonly usage: KeyUsage; readonly value?: Uint8Array }
  | {
      readonly algorithm: 'RSA';
      readonly usage: 'CA' | 'ISSUER';
      /** Default 1408. */
      readonly bits?: number;
      /** Default 3. */
      readonly exponent?: 3 | 65537;
      readonly value?: Uint8Array;
    }
  | { readonly algorithm: 'EC-P256'; readonly usage: 'JWE-RECIPIENT'; readonly value?: Uint8Array };

const makeKeyPair = promisify(generateKeyPair);

const symmetricLengths: Readonly<Record<SymmetricAlgorithm, number>> = {
  'TDES-2KEY': 16,
  'AES-128': 16,
  'AES-256': 32,
  'HMAC-SHA256': 32,
};

/** Raw bytes or PKCS#8 DER; a copy the caller wipes. @throws KeyError KEY_STORE for an unusable value */
export async function makeKeyValue(name: string, spec: KeySpec): Promise<Uint8Array> {
  if (spec.value) {
    const copy = Uint8Array.from(spec.value);
    if (isWellFormed(spec.algorithm, copy)) return copy;
    copy.fill(0);
    throw new KeyError('KEY_STORE', `the value for key ${name} is no ${spec.algorithm} key`);
  }
  switch (spec.algorithm) {
    case 'RSA':
      return pkcs8(await generateRsaKey(spec.bits ?? 1408, spec.exponent ?? 3));
    case 'EC-P256':
      return pkcs8((await makeKeyPair('ec', { namedCurve: 'P-256' })).privateKey);
    default:
      return randomKey(spec.algorithm);
  }
}

function randomKey(algorithm: SymmetricAlgorithm): Uint8Array {
  for (;;) {
    const random = Uint8Array.from(randomBytes(symmetricLengths[algorithm]));
    const key = algorithm === 'TDES-2KEY' ? oddParity(random) : random;
    if (!isWellKnownKey(key)) return key;
  }
}

/** Generated off the event loop. @throws RangeError for a size outside 1024..1984 bits or no multiple of 8 */
export async function generateRsaKey(bits: number, exponent: 3 | 65537): Promise<KeyObject> {
  if (bits < 1024 || bits > 1984 || bits % 8 !== 0) throw new RangeError(`an RSA key of ${bits} bits`);
  return (await makeKeyPair('rsa', { modulusLength: bits, publicExponent: exponent })).privateKey;
}

export function pkcs8(key: KeyObject): Uint8Array {
  return key.export({ format: 'der', type: 'pkcs8' });
}

/** Takes ownership of `value`: kept for a symmetric key, wiped for a private one. */
export function materialOf(algorithm: KeyAlgorithm, value: Uint8Array): KeyMaterial {
  if (algorithm !== 'RSA' && algorithm !== 'EC-P256') return { kind: 'symmetric', bytes: value };
  try {
    return { kind: 'private', key: privateKeyOf(value) };
  } finally {
    value.fill(0);
  }
}

export function privateKeyOf(der: Uint8Array): KeyObject {
  return createPrivateKey({
    key: Buffer.from(der.buffer, der.byteOffset, der.length),
    format: 'der',
    type: 'pkcs8',
  });
}

function isWellFormed(algorithm: KeyAlgorithm, value: Uint8Array): boolean {
  if (algorithm !== 'RSA' && algorithm !== 'EC-P256') return value.length === symmetricLengths[algorithm];
  try {
    const { asymmetricKeyType: type, asymmetricKeyDetails: details } = privateKeyOf(value);
    return algorithm === 'RSA' ? type === 'rsa' : type === 'ec' && details?.namedCurve === 'prime256v1';
  } catch {
    return false;
  }
}
