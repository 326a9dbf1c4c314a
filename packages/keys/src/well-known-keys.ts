/**
 * Symmetric keys everybody knows: published test keys and keys without entropy.
 *
 * Invariant: none of them ever protects production data (security.md K3, emv.md 5.4 no. 23). The list names what
 * vendors ship and standards print; it is a tripwire, not a strength test.
 */
import { timingSafeEqual } from 'node:crypto';

const publishedKeys: readonly string[] = [
  '404142434445464748494A4B4C4D4E4F',
  '0123456789ABCDEFFEDCBA9876543210',
  'FEDCBA98765432100123456789ABCDEF',
  '000102030405060708090A0B0C0D0E0F',
  '101112131415161718191A1B1C1D1E1F',
  '202122232425262728292A2B2C2D2E2F',
  '2B7E151628AED2A6ABF7158809CF4F3C',
];

/**
 * True for a published key, a key that repeats one byte, one half or one block, or an AES-256 key that begins with
 * a published one. DES parity bits are ignored: they change the bytes, not the key.
 */
export function isWellKnownKey(value: Uint8Array): boolean {
  if (isDegenerateKey(value)) return true;
  const bytes = withoutParity(value);
  return publishedKeys.some((published) => {
    const known = withoutParity(Buffer.from(published, 'hex'));
    return bytes.length >= known.length && timingSafeEqual(bytes.subarray(0, known.length), known);
  });
}

/** True for a key that repeats one byte, one half or one block: 3DES that is single DES, AES without entropy. */
export function isDegenerateKey(value: Uint8Array): boolean {
  const bytes = withoutParity(value);
  if (bytes.every((byte) => byte === bytes[0])) return true;
  const half = bytes.length / 2;
  return half % 8 === 0 && timingSafeEqual(bytes.subarray(0, half), bytes.subarray(half));
}

function withoutParity(value: Uint8Array): Uint8Array {
  return value.map((byte) => byte & 0xfe);
}
