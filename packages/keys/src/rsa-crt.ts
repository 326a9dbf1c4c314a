/**
 * The parts of an RSA private key that a chip stores, taken from the PKCS#1 encoding (RFC 8017 A.1.2).
 *
 * Invariant: works on buffers the caller can wipe; no secret becomes a JavaScript string.
 */

/** Chinese-remainder parts, each `modulus length / 2` bytes, left-padded with zeros. */
interface RsaCrtParts {
  readonly qInverse: Uint8Array;
  readonly dq: Uint8Array;
  readonly dp: Uint8Array;
  readonly q: Uint8Array;
  readonly p: Uint8Array;
}

/** Every number of an RSA private key, without leading zeros; views of the encoding. */
export interface RsaNumbers {
  readonly modulus: Uint8Array;
  readonly publicExponent: Uint8Array;
  readonly privateExponent: Uint8Array;
  readonly p: Uint8Array;
  readonly q: Uint8Array;
  readonly dp: Uint8Array;
  readonly dq: Uint8Array;
  readonly qInverse: Uint8Array;
}

/** @throws RangeError when the encoding is not an RSA private key; the message carries no bytes */
export function rsaNumbers(pkcs1: Uint8Array): RsaNumbers {
  const sequence = readElement(pkcs1, 0, 0x30);
  const numbers: Uint8Array[] = [];
  for (let at = sequence.start; at < sequence.end;) {
    const integer = readElement(pkcs1, at, 0x02);
    numbers.push(unsigned(pkcs1.subarray(integer.start, integer.end)));
    at = integer.end;
  }
  const [, modulus, publicExponent, privateExponent, p, q, dp, dq, qInverse] = numbers;
  if (!modulus || !publicExponent || !privateExponent || !p || !q || !dp || !dq || !qInverse) {
    throw new RangeError('not an RSA private key');
  }
  return { modulus, publicExponent, privateExponent, p, q, dp, dq, qInverse };
}

/** @throws RangeError when the encoding is not an RSA private key; the message carries no bytes */
export function rsaCrtParts(pkcs1: Uint8Array): RsaCrtParts {
  const { modulus, p, q, dp, dq, qInverse } = rsaNumbers(pkcs1);
  const length = Math.ceil(modulus.length / 2);
  return {
    qInverse: leftPad(qInverse, length),
    dq: leftPad(dq, length),
    dp: leftPad(dp, length),
    q: leftPad(q, length),
    p: leftPad(p, length),
  };
}

function readElement(der: Uint8Array, at: number, tag: number): { start: number; end: number } {
  const first = der[at + 1];
  if (der[at] !== tag || first === undefined) throw new RangeError('not an RSA private key');
  let length = first;
  let start = at + 2;
  if (first >= 0x80) {
    length = 0;
    for (let left = first & 0x7f; left > 0; left--) length = length * 256 + (der[start++] ?? 0);
  }
  if (start + length > der.length) throw new RangeError('not an RSA private key');
  return { start, end: start + length };
}

function unsigned(integer: Uint8Array): Uint8Array {
  return integer[0] === 0 ? integer.subarray(1) : integer;
}

function leftPad(digits: Uint8Array, length: number): Uint8Array {
  const padded = new Uint8Array(length);
  padded.set(digits, length - digits.length);
  return padded;
}
