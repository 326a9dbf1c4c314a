/**
 * Recovery and checks of EMV RSA certificates and signed static data (EMV Book 2, 5.3, 5.4, 6.3, 6.4).
 *
 * Invariant: a certificate that fails a check is a value `{ok: false, reason}`, never an exception, whatever its
 * bytes; checks run in the order of the specification, so the first failing one gives the reason.
 */
import { concatBytes, equalBytes, hex } from './bytes.ts';
import { certificateFormat, certificateHeader, certificateTrailer, sha1, sha1Bytes } from './certificates.ts';
import { rsaPublicOperation, type RsaPublicKeyBytes } from './rsa-public.ts';

export type RecoveryFailureReason =
  | 'LENGTH' // the signature is not as long as the signer's modulus
  | 'TRAILER'
  | 'HEADER'
  | 'FORMAT'
  | 'HASH'
  | 'ALGORITHM' // not SHA-1 with RSA
  | 'KEY' // the key inside has impossible lengths, or its remainder does not fit
  | 'PAN' // issued for another card number or number range
  | 'EXPIRED'
  | 'TRANSACTION'; // CDA: signed over another transaction

export interface RecoveryFailure {
  readonly ok: false;
  readonly reason: RecoveryFailureReason;
}

/** A signature taken apart: `signed` is everything between header and hash. */
interface RecoveredBlock {
  readonly ok: true;
  readonly signed: Uint8Array;
  readonly hash: Uint8Array;
}

/**
 * Opens a signature and checks its trailer, header and format, in the order of the specification.
 * Used for every signed object of EMV; the caller checks the hash.
 */
export function openSignature(
  key: RsaPublicKeyBytes,
  signature: Uint8Array,
  format: number,
  minimumLength: number,
): RecoveredBlock | RecoveryFailure {
  if (signature.length !== key.modulus.length || signature.length < minimumLength) {
    return { ok: false, reason: 'LENGTH' };
  }
  let block: Uint8Array;
  try {
    block = rsaPublicOperation(key.modulus, key.exponent, signature);
  } catch {
    // Not smaller than the modulus, or not a key: no certificate either way.
    return { ok: false, reason: 'LENGTH' };
  }
  if (block.at(-1) !== certificateTrailer) return { ok: false, reason: 'TRAILER' };
  if (block[0] !== certificateHeader) return { ok: false, reason: 'HEADER' };
  if (block[1] !== format) return { ok: false, reason: 'FORMAT' };
  const hashStart = block.length - 1 - sha1Bytes;
  return { ok: true, signed: block.slice(1, hashStart), hash: block.slice(hashStart, -1) };
}

/** The key fields that an issuer and an ICC certificate share, after their subject. */
interface KeyCertificate {
  readonly ok: true;
  readonly subject: string;
  readonly expiryMMYY: string;
  readonly serial: Uint8Array;
  readonly key: RsaPublicKeyBytes;
}

interface KeyCertificateInput {
  readonly signer: RsaPublicKeyBytes;
  readonly certificate: Uint8Array;
  readonly remainder: Uint8Array;
  readonly exponent: Uint8Array;
  readonly format: number;
  readonly subjectBytes: number;
  readonly hashedTail: Uint8Array;
  readonly isHashChecked: boolean;
}

/** Fixed bytes beside subject and key part: header, format, expiry 2, serial 3, algorithms 2, lengths 2, hash, trailer. */
const fixedBytes = 1 + 1 + 2 + 3 + 2 + 2 + sha1Bytes + 1;

function recoverKeyCertificate(input: KeyCertificateInput): KeyCertificate | RecoveryFailure {
  const { remainder, exponent, subjectBytes } = input;
  const opened = openSignature(input.signer, input.certificate, input.format, fixedBytes + subjectBytes + 1);
  if (!opened.ok) return opened;
  const { signed } = opened;
  const hash = sha1(signed, remainder, exponent, input.hashedTail);
  if (input.isHashChecked && !equalBytes(hash, opened.hash)) return { ok: false, reason: 'HASH' };
  const fields = signed.subarray(1 + subjectBytes);
  if (fields[5] !== 0x01 || fields[6] !== 0x01) return { ok: false, reason: 'ALGORITHM' };
  const modulusLength = fields[7] ?? 0;
  const exponentLength = fields[8] ?? 0;
  const leftmost = fields.subarray(9);
  const wholeModulus =
    modulusLength <= leftmost.length ? leftmost.slice(0, modulusLength) : concatBytes(leftmost, remainder);
  if (wholeModulus.length !== modulusLength || modulusLength === 0 || exponentLength !== exponent.length) {
    return { ok: false, reason: 'KEY' };
  }
  return {
    ok: true,
    subject: hex(signed.subarray(1, 1 + subjectBytes)).replace(/F+$/, ''),
    expiryMMYY: hex(fields.subarray(0, 2)),
    serial: fields.slice(2, 5),
    key: { modulus: wholeModulus, exponent: exponent.slice() },
  };
}

/** Whether a certificate that is valid through the month `expiryMMYY` has ended in the month `todayYYMM`. */
export function isExpired(expiryMMYY: string, todayYYMM: string): boolean {
  return monthNumber(expiryMMYY.slice(2) + expiryMMYY.slice(0, 2)) < monthNumber(todayYYMM);
}

/** Months since 1950: two-digit years below 50 are in this century (Book 4, 6.7.3). Not a month: -1, so expired. */
function monthNumber(yymm: string): number {
  const match = /^(\d\d)(0[1-9]|1[0-2])$/.exec(yymm);
  if (match === null) return -1;
  const year = Number(match[1]);
  return (year < 50 ? year + 50 : year - 50) * 12 + Number(match[2]);
}

/** Issuer public key data elements as a card returns them. */
export interface IssuerCertificateElements {
  readonly cert90: Uint8Array;
  /** Empty or absent when the whole modulus fits. */
  readonly remainder92?: Uint8Array;
  readonly exponent9F32: Uint8Array;
}

export interface RecoveredIssuerCertificate {
  readonly ok: true;
  readonly key: RsaPublicKeyBytes;
  /** 3 to 8 digits. */
  readonly iin: string;
  readonly expiryMMYY: string;
  readonly serial: Uint8Array;
}

/**
 * Recovers the issuer public key from tag 90 with the CA public key.
 * @param context the card's PAN (digits) and the month of the check
 */
export function recoverIssuerCertificate(
  capk: RsaPublicKeyBytes,
  elements: IssuerCertificateElements,
  context: { readonly pan: string; readonly todayYYMM: string },
): RecoveredIssuerCertificate | RecoveryFailure {
  const recovered = recoverKeyCertificate({
    signer: capk,
    certificate: elements.cert90,
    remainder: elements.remainder92 ?? new Uint8Array(0),
    exponent: elements.exponent9F32,
    format: certificateFormat.issuer,
    subjectBytes: 4,
    hashedTail: new Uint8Array(0),
    isHashChecked: true,
  });
  if (!recovered.ok) return recovered;
  const { subject: iin, expiryMMYY, serial, key } = recovered;
  if (!/^\d{3,8}$/.test(iin) || !context.pan.startsWith(iin)) return { ok: false, reason: 'PAN' };
  if (isExpired(expiryMMYY, context.todayYYMM)) return { ok: false, reason: 'EXPIRED' };
  return { ok: true, key, iin, expiryMMYY, serial };
}

/** ICC public key data elements as a card returns them. */
export interface IccCertificateElements {
  readonly cert9F46: Uint8Array;
  /** Empty or absent when the whole modulus fits. */
  readonly remainder9F48?: Uint8Array;
  readonly exponent9F47: Uint8Array;
}

export interface RecoveredIccCertificate {
  readonly ok: true;
  readonly key: RsaPublicKeyBytes;
  readonly pan: string;
  readonly expiryMMYY: string;
  readonly serial: Uint8Array;
}

interface IccContext {
  readonly pan: string;
  readonly todayYYMM: string;
}

/**
 * Recovers the ICC public key from tag 9F46 with the issuer public key.
 * @param staticData static data to be authenticated, see `staticDataToAuthenticate`
 * @param context the card's PAN (digits) and the month of the check
 */
export function recoverIccCertificate(
  issuerKey: RsaPublicKeyBytes,
  elements: IccCertificateElements,
  staticData: Uint8Array,
  context: IccContext,
): RecoveredIccCertificate | RecoveryFailure {
  return recoverIcc(issuerKey, elements, staticData, context, true);
}

/**
 * The same without the hash: everything else is checked, but the key is NOT authenticated. Only for looking into a
 * certificate whose static data is not at hand, such as a published test card's.
 */
export function inspectIccCertificate(
  issuerKey: RsaPublicKeyBytes,
  elements: IccCertificateElements,
  context: IccContext,
): RecoveredIccCertificate | RecoveryFailure {
  return recoverIcc(issuerKey, elements, new Uint8Array(0), context, false);
}

function recoverIcc(
  issuerKey: RsaPublicKeyBytes,
  elements: IccCertificateElements,
  staticData: Uint8Array,
  context: IccContext,
  isHashChecked: boolean,
): RecoveredIccCertificate | RecoveryFailure {
  const recovered = recoverKeyCertificate({
    signer: issuerKey,
    certificate: elements.cert9F46,
    remainder: elements.remainder9F48 ?? new Uint8Array(0),
    exponent: elements.exponent9F47,
    format: certificateFormat.icc,
    subjectBytes: 10,
    hashedTail: staticData,
    isHashChecked,
  });
  if (!recovered.ok) return recovered;
  const { subject: pan, expiryMMYY, serial, key } = recovered;
  if (pan !== context.pan) return { ok: false, reason: 'PAN' };
  if (isExpired(expiryMMYY, context.todayYYMM)) return { ok: false, reason: 'EXPIRED' };
  return { ok: true, key, pan, expiryMMYY, serial };
}

/** Opens signed static application data (tag 93) and checks everything but the hash. */
export function inspectSignedStaticData(
  issuerKey: RsaPublicKeyBytes,
  ssad: Uint8Array,
): { ok: true; dataAuthenticationCode: Uint8Array; hash: Uint8Array; signed: Uint8Array } | RecoveryFailure {
  const opened = openSignature(issuerKey, ssad, certificateFormat.staticData, 26);
  if (!opened.ok) return opened;
  const { signed, hash } = opened;
  if (signed[1] !== 0x01) return { ok: false, reason: 'ALGORITHM' };
  return { ok: true, dataAuthenticationCode: signed.slice(2, 4), hash, signed };
}

/** Verifies signed static application data (tag 93) over `staticData`. */
export function verifySignedStaticData(
  issuerKey: RsaPublicKeyBytes,
  ssad: Uint8Array,
  staticData: Uint8Array,
): { ok: true; dataAuthenticationCode: Uint8Array } | RecoveryFailure {
  const opened = inspectSignedStaticData(issuerKey, ssad);
  if (!opened.ok) return opened;
  if (!equalBytes(sha1(opened.signed, staticData), opened.hash)) return { ok: false, reason: 'HASH' };
  return { ok: true, dataAuthenticationCode: opened.dataAuthenticationCode };
}
