/**
 * Layouts of EMV RSA certificates and signed static data (EMV Book 2, 5 and 6): the blocks that a signer turns
 * into certificates. Recovery is in `certificate-recovery.ts`.
 *
 * Invariants: a block is exactly as long as the signer's modulus and starts with 6A, ends with BC; the hash covers
 * everything between header and hash, then what did not fit.
 */
import { createHash } from 'node:crypto';
import { compressedNumeric, concatBytes, unhex } from './bytes.ts';
import { EmvError } from './emv-error.ts';
import { type RsaPublicKeyBytes } from './rsa-public.ts';

export const certificateHeader = 0x6a;
export const certificateTrailer = 0xbc;
export const sha1Bytes = 20;

/** First byte of the recovered data: what was signed. */
export const certificateFormat = { issuer: 0x02, staticData: 0x03, icc: 0x04, dynamicData: 0x05 } as const;

/** SHA-1 of all parts, 20 bytes (the only hash algorithm of EMV RSA certificates). */
export function sha1(...parts: readonly Uint8Array[]): Uint8Array {
  const hash = createHash('sha1');
  for (const part of parts) hash.update(part);
  return new Uint8Array(hash.digest());
}

/** A block to be signed with raw RSA, and the part of the key that did not fit (tags 92, 9F48). */
export interface CertificateBlock {
  readonly block: Uint8Array;
  readonly remainder: Uint8Array;
}

/** Overhead of a certificate beside the key part: issuer 36 bytes, ICC 42 bytes. */
const issuerOverheadBytes = 36;
const iccOverheadBytes = 42;

interface KeyCertificateFields {
  readonly signerModulusLength: number;
  readonly format: number;
  readonly subject: Uint8Array;
  readonly expiryMMYY: string;
  readonly serial: Uint8Array;
  readonly key: RsaPublicKeyBytes;
  readonly overheadBytes: number;
  readonly hashedTail: Uint8Array;
}

function keyCertificateBlock(fields: KeyCertificateFields): CertificateBlock {
  const { signerModulusLength, key, expiryMMYY, serial, overheadBytes } = fields;
  const { modulus, exponent } = key;
  if (!/^(0[1-9]|1[0-2])\d\d$/.test(expiryMMYY)) {
    throw new EmvError('DIGITS_INVALID', 'a certificate expiry is MMYY');
  }
  if (serial.length !== 3) throw new EmvError('LENGTH_INVALID', 'a certificate serial number has 3 bytes');
  if (exponent.length !== 1 && exponent.length !== 3) {
    throw new EmvError('KEY_INVALID', 'a public exponent has 1 or 3 bytes');
  }
  if (modulus.length > signerModulusLength) {
    throw new EmvError('KEY_INVALID', 'a certified modulus is not longer than its signer modulus');
  }
  const room = signerModulusLength - overheadBytes;
  if (room < 1) throw new EmvError('KEY_INVALID', 'the signer modulus is too short');
  const leftmost = new Uint8Array(room).fill(0xbb);
  leftmost.set(modulus.subarray(0, room));
  const remainder = modulus.slice(room);
  const signed = concatBytes(
    Uint8Array.of(fields.format),
    fields.subject,
    unhex(expiryMMYY),
    serial,
    Uint8Array.of(0x01, 0x01, modulus.length, exponent.length),
    leftmost,
  );
  const hash = sha1(signed, remainder, exponent, fields.hashedTail);
  const block = concatBytes(
    Uint8Array.of(certificateHeader),
    signed,
    hash,
    Uint8Array.of(certificateTrailer),
  );
  return { block, remainder };
}

export interface IssuerCertificateFields {
  /** Bytes of the CA modulus. */
  readonly caModulusLength: number;
  readonly issuerKey: RsaPublicKeyBytes;
  /** Leftmost 3 to 8 digits of the PANs. */
  readonly iin: string;
  readonly expiryMMYY: string;
  /** 3 bytes. */
  readonly serial: Uint8Array;
}

/**
 * Block of an issuer public key certificate (tag 90 once signed by the CA) and its remainder (tag 92).
 * @throws EmvError DIGITS_INVALID, LENGTH_INVALID, KEY_INVALID
 */
export function issuerCertificateBlock(fields: IssuerCertificateFields): CertificateBlock {
  if (!/^\d{3,8}$/.test(fields.iin)) throw new EmvError('DIGITS_INVALID', 'an IIN has 3 to 8 digits');
  return keyCertificateBlock({
    signerModulusLength: fields.caModulusLength,
    format: certificateFormat.issuer,
    subject: compressedNumeric(fields.iin, 4),
    expiryMMYY: fields.expiryMMYY,
    serial: fields.serial,
    key: fields.issuerKey,
    overheadBytes: issuerOverheadBytes,
    hashedTail: new Uint8Array(0),
  });
}

export interface IccCertificateFields {
  /** Bytes of the issuer modulus. */
  readonly issuerModulusLength: number;
  readonly iccKey: RsaPublicKeyBytes;
  readonly pan: string;
  readonly expiryMMYY: string;
  /** 3 bytes. */
  readonly serial: Uint8Array;
  /** Static data to be authenticated; empty for the PIN encipherment certificate. */
  readonly staticData: Uint8Array;
}

/**
 * Block of an ICC public key certificate (tag 9F46 once signed by the issuer) and its remainder (tag 9F48).
 * @throws EmvError DIGITS_INVALID, LENGTH_INVALID, KEY_INVALID
 */
export function iccCertificateBlock(fields: IccCertificateFields): CertificateBlock {
  return keyCertificateBlock({
    signerModulusLength: fields.issuerModulusLength,
    format: certificateFormat.icc,
    subject: compressedNumeric(fields.pan, 10),
    expiryMMYY: fields.expiryMMYY,
    serial: fields.serial,
    key: fields.iccKey,
    overheadBytes: iccOverheadBytes,
    hashedTail: fields.staticData,
  });
}

/**
 * Block of signed static application data (tag 93 once signed by the issuer).
 * @param dataAuthenticationCode 2 bytes
 * @throws EmvError LENGTH_INVALID
 */
export function signedStaticDataBlock(
  issuerModulusLength: number,
  dataAuthenticationCode: Uint8Array,
  staticData: Uint8Array,
): Uint8Array {
  if (dataAuthenticationCode.length !== 2) {
    throw new EmvError('LENGTH_INVALID', 'a data authentication code has 2 bytes');
  }
  const signed = concatBytes(
    Uint8Array.of(certificateFormat.staticData, 0x01),
    dataAuthenticationCode,
    new Uint8Array(issuerModulusLength - 26).fill(0xbb),
  );
  const hash = sha1(signed, staticData);
  return concatBytes(Uint8Array.of(certificateHeader), signed, hash, Uint8Array.of(certificateTrailer));
}

/** Check sum of a CA public key as terminals store it: SHA-1 over RID (5), index (1), modulus, exponent. */
export function capkHash(rid: Uint8Array, index: number, key: RsaPublicKeyBytes): Uint8Array {
  return sha1(rid, Uint8Array.of(index), key.modulus, key.exponent);
}
