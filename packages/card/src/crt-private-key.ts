/**
 * The card's RSA private key in Chinese-remainder form, and the one operation on it.
 *
 * Invariants: the five components agree (q times its inverse is 1 modulo p, odd primes); a signature is as long
 * as the modulus. BigInt is enough here: the virtual card guards test keys only and is not constant-time.
 */
import { hex, unhex } from '@cardwright/emv';

export interface CrtPrivateKey {
  readonly p: bigint;
  readonly q: bigint;
  readonly dP: bigint;
  readonly dQ: bigint;
  readonly qInv: bigint;
  readonly modulusBytes: number;
}

/**
 * Puts the key together from DGIs 8201 to 8205, in this order: q^-1 mod p, d mod q-1, d mod p-1, q, p.
 *
 * @returns undefined when the components do not belong together
 */
export function crtPrivateKeyOf(components: {
  readonly qInv: Uint8Array;
  readonly dQ: Uint8Array;
  readonly dP: Uint8Array;
  readonly q: Uint8Array;
  readonly p: Uint8Array;
}): CrtPrivateKey | undefined {
  if (Object.values(components).some((component) => component.length === 0)) return undefined;
  const p = toBigInt(components.p);
  const q = toBigInt(components.q);
  const qInv = toBigInt(components.qInv);
  const dP = toBigInt(components.dP);
  const dQ = toBigInt(components.dQ);
  const arePrimesPlausible = p > 1n && q > 1n && p !== q && (p & 1n) === 1n && (q & 1n) === 1n;
  if (!arePrimesPlausible || (q * qInv) % p !== 1n) return undefined;
  const areExponentsPlausible = dP > 0n && dQ > 0n && dP < p && dQ < q;
  if (!areExponentsPlausible || !isKeyWorking({ p, q, dP, dQ })) return undefined;
  return { p, q, dP, dQ, qInv, modulusBytes: Math.ceil((p * q).toString(16).length / 2) };
}

/** Raw RSA with the private key. `block` must be as long as the modulus and smaller than it. */
export function signBlock(key: CrtPrivateKey, block: Uint8Array): Uint8Array {
  const message = toBigInt(block);
  if (block.length !== key.modulusBytes || message >= key.p * key.q) {
    throw new RangeError('the block does not fit the modulus');
  }
  const mP = power(message % key.p, key.dP, key.p);
  const mQ = power(message % key.q, key.dQ, key.q);
  const lift = ((((mP - mQ) * key.qInv) % key.p) + key.p) % key.p;
  return fromBigInt(mQ + lift * key.q, key.modulusBytes);
}

/** dP and dQ are inverses of one small public exponent, 3 or 65537. */
function isKeyWorking(key: { p: bigint; q: bigint; dP: bigint; dQ: bigint }): boolean {
  return [3n, 65537n].some(
    (exponent) => (key.dP * exponent) % (key.p - 1n) === 1n && (key.dQ * exponent) % (key.q - 1n) === 1n,
  );
}

function power(base: bigint, exponent: bigint, modulus: bigint): bigint {
  let result = 1n;
  let square = base;
  for (let rest = exponent; rest > 0n; rest >>= 1n) {
    if ((rest & 1n) === 1n) result = (result * square) % modulus;
    square = (square * square) % modulus;
  }
  return result;
}

function toBigInt(bytes: Uint8Array): bigint {
  return bytes.length === 0 ? 0n : BigInt(`0x${hex(bytes)}`);
}

function fromBigInt(value: bigint, bytes: number): Uint8Array {
  return unhex(
    value
      .toString(16)
      .padStart(bytes * 2, '0')
      .toUpperCase(),
  );
}
