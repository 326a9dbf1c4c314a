/**
 * A request for an issuer public key certificate: what a CA needs to know, signed with the key it is about.
 *
 * EMV leaves the request to each payment system; this is a form of our own in the manner of Book 2. Invariants: the
 * signature proves that the asker holds the private key; everything the CA will certify is under it; a request that
 * fails is a value with its reason.
 *
 * Signed block, as long as the issuer modulus: `6A | 11 | IIN 4 (F pad) | MMYY 2 | tracking number 3 | RID 5 | CA
 * index 1 | len(n) 1 | len(e) 1 | BB.. | SHA-256 32 | BC`. The hash covers everything between `6A` and itself, then
 * modulus and exponent. SHA-256, unlike certificates: no terminal reads it.
 */
import { createHash } from 'node:crypto';
import { compressedNumeric, concatBytes, equalBytes, hex, unhex } from './bytes.ts';
import { certificateHeader, certificateTrailer } from './certificates.ts';
import { EmvError } from './emv-error.ts';
import { rsaPublicOperation, type RsaPublicKeyBytes } from './rsa-public.ts';

export interface IssuerKeyRequestFields {
  /** 3 to 8 digits. */
  readonly iin: string;
  /** The last month that the certificate shall be valid in. */
  readonly expiryMMYY: string;
  /** 3 bytes; tells requests apart. */
  readonly trackingNumber: Uint8Array;
  /** 5 bytes. */
  readonly rid: Uint8Array;
  readonly caIndex: number;
  readonly issuerKey: RsaPublicKeyBytes;
}

const requestFormat = 0x11;
const hashBytes = 32;
const fixedBytes = 1 + 1 + 4 + 2 + 3 + 5 + 1 + 2 + hashBytes + 1;

/**
 * The block for the issuer key to sign.
 * @throws EmvError DIGITS_INVALID, LENGTH_INVALID
 */
export function issuerKeyRequestBlock(fields: IssuerKeyRequestFields): Uint8Array {
  const { iin, expiryMMYY, trackingNumber, rid, caIndex, issuerKey } = fields;
  const { modulus, exponent } = issuerKey;
  if (!/^\d{3,8}$/.test(iin)) throw new EmvError('DIGITS_INVALID', 'an IIN has 3 to 8 digits');
  if (!/^(0[1-9]|1[0-2])\d\d$/.test(expiryMMYY)) throw new EmvError('DIGITS_INVALID', 'an expiry is MMYY');
  if (
    trackingNumber.length !== 3 ||
    rid.length !== 5 ||
    modulus.length < fixedBytes ||
    modulus.length > 248
  ) {
    throw new EmvError('LENGTH_INVALID', 'a field of the request has a wrong length');
  }
  const signed = concatBytes(
    Uint8Array.of(requestFormat),
    compressedNumeric(iin, 4),
    unhex(expiryMMYY),
    trackingNumber,
    rid,
    Uint8Array.of(caIndex, modulus.length, exponent.length),
    new Uint8Array(modulus.length - fixedBytes).fill(0xbb),
  );
  return concatBytes(
    Uint8Array.of(certificateHeader),
    signed,
    requestHash(signed, issuerKey),
    Uint8Array.of(certificateTrailer),
  );
}

function requestHash(signed: Uint8Array, { modulus, exponent }: RsaPublicKeyBytes): Uint8Array {
  return new Uint8Array(createHash('sha256').update(signed).update(modulus).update(exponent).digest());
}

export type IssuerKeyRequestVerdict =
  | { readonly ok: true; readonly fields: IssuerKeyRequestFields }
  | {
      readonly ok: false;
      readonly reason: 'LENGTH' | 'TRAILER' | 'HEADER' | 'FORMAT' | 'PADDING' | 'HASH' | 'KEY' | 'IIN';
    };

/** What the CA does first: opens the signature with the key that it is about. */
export function verifyIssuerKeyRequest(
  issuerKey: RsaPublicKeyBytes,
  signature: Uint8Array,
): IssuerKeyRequestVerdict {
  const { modulus, exponent } = issuerKey;
  if (modulus.length < fixedBytes || signature.length !== modulus.length)
    return { ok: false, reason: 'LENGTH' };
  let block: Uint8Array;
  try {
    block = rsaPublicOperation(modulus, exponent, signature);
  } catch {
    return { ok: false, reason: 'LENGTH' };
  }
  if (block.at(-1) !== certificateTrailer) return { ok: false, reason: 'TRAILER' };
  if (block[0] !== certificateHeader) return { ok: false, reason: 'HEADER' };
  if (block[1] !== requestFormat) return { ok: false, reason: 'FORMAT' };
  const signed = block.subarray(1, -1 - hashBytes);
  if (!equalBytes(requestHash(signed, issuerKey), block.subarray(-1 - hashBytes, -1))) {
    return { ok: false, reason: 'HASH' };
  }
  if (signed.subarray(18).some((byte) => byte !== 0xbb)) return { ok: false, reason: 'PADDING' };
  if (signed[16] !== modulus.length || signed[17] !== exponent.length) return { ok: false, reason: 'KEY' };
  const iin = hex(signed.subarray(1, 5)).replace(/F+$/, '');
  if (!/^\d{3,8}$/.test(iin)) return { ok: false, reason: 'IIN' };
  const fields = {
    iin,
    expiryMMYY: hex(signed.subarray(5, 7)),
    trackingNumber: signed.slice(7, 10),
    rid: signed.slice(10, 15),
    caIndex: signed[15] ?? 0,
    issuerKey,
  };
  return { ok: true, fields };
}
