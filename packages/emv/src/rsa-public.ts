/** The RSA public operation without padding, and the shape of a public key. No secret takes part. */
import { hex, unhex } from './bytes.ts';
import { EmvError } from './emv-error.ts';

/** Big-endian, without leading zeros in the modulus. */
export interface RsaPublicKeyBytes {
  readonly modulus: Uint8Array;
  readonly exponent: Uint8Array;
}

function toInteger(bytes: Uint8Array): bigint {
  return bytes.length === 0 ? 0n : BigInt(`0x${hex(bytes)}`);
}

/**
 * block ^ exponent mod modulus, as long as the modulus. Plain integers are fast enough for e = 3 and 65537, and
 * take every modulus length that EMV allows.
 * @throws EmvError LENGTH_INVALID when the block is not as long as the modulus or not smaller; KEY_INVALID
 */
export function rsaPublicOperation(modulus: Uint8Array, exponent: Uint8Array, block: Uint8Array): Uint8Array {
  const n = toInteger(modulus);
  let e = toInteger(exponent);
  if (n === 0n || e === 0n || exponent.length > 4) throw new EmvError('KEY_INVALID', 'not an RSA public key');
  let base = toInteger(block);
  if (block.length !== modulus.length || base >= n) {
    throw new EmvError('LENGTH_INVALID', 'a block is as long as the modulus and smaller');
  }
  let result = 1n;
  while (e > 0n) {
    if ((e & 1n) === 1n) result = (result * base) % n;
    base = (base * base) % n;
    e >>= 1n;
  }
  return unhex(result.toString(16).padStart(modulus.length * 2, '0'));
}
