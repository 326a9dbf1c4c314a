/**
 * Signed dynamic application data (tag 9F4B): DDA and CDA, built by the card and checked by the verifier
 * (EMV Book 2, 6.5 and 6.6).
 *
 * Invariants: a block is exactly as long as the ICC modulus; failures are values, never exceptions.
 */
import { concatBytes, equalBytes } from './bytes.ts';
import { openSignature, type RecoveryFailure } from './certificate-recovery.ts';
import { certificateFormat, certificateHeader, certificateTrailer, sha1, sha1Bytes } from './certificates.ts';
import { EmvError } from './emv-error.ts';
import { type RsaPublicKeyBytes } from './rsa-public.ts';

/** Bytes of a block beside dynamic data and padding. */
const overheadBytes = 1 + 1 + 1 + 1 + sha1Bytes + 1;
const cdaDynamicDataBytes = 1 + 8 + 1 + 8 + sha1Bytes;

function dynamicDataBlock(
  iccModulusLength: number,
  dynamicData: Uint8Array,
  hashedTail: Uint8Array,
): Uint8Array {
  const paddingBytes = iccModulusLength - overheadBytes - dynamicData.length;
  if (paddingBytes < 0) throw new EmvError('LENGTH_INVALID', 'the dynamic data does not fit the ICC modulus');
  const signed = concatBytes(
    Uint8Array.of(certificateFormat.dynamicData, 0x01, dynamicData.length),
    dynamicData,
    new Uint8Array(paddingBytes).fill(0xbb),
  );
  const hash = sha1(signed, hashedTail);
  return concatBytes(Uint8Array.of(certificateHeader), signed, hash, Uint8Array.of(certificateTrailer));
}

/**
 * Block for INTERNAL AUTHENTICATE.
 * @param iccDynamicNumber 2 to 8 bytes
 * @param ddolData data of the command, as the DDOL orders it
 * @throws EmvError LENGTH_INVALID
 */
export function ddaBlock(
  iccModulusLength: number,
  iccDynamicNumber: Uint8Array,
  ddolData: Uint8Array,
): Uint8Array {
  if (iccDynamicNumber.length < 2 || iccDynamicNumber.length > 8) {
    throw new EmvError('LENGTH_INVALID', 'an ICC dynamic number has 2 to 8 bytes');
  }
  const dynamicData = concatBytes(Uint8Array.of(iccDynamicNumber.length), iccDynamicNumber);
  return dynamicDataBlock(iccModulusLength, dynamicData, ddolData);
}

export interface CdaFields {
  /** 8 bytes. */
  readonly iccDynamicNumber: Uint8Array;
  /** Cryptogram information data, one byte. */
  readonly cid: number;
  /** 8 bytes. */
  readonly cryptogram: Uint8Array;
  /** 20 bytes, see {@link transactionDataHash}. */
  readonly transactionDataHash: Uint8Array;
}

/**
 * Block for GENERATE AC with a signature.
 * @param unpredictableNumber the terminal's 9F37, 4 bytes
 * @throws EmvError LENGTH_INVALID
 */
export function cdaBlock(
  iccModulusLength: number,
  fields: CdaFields,
  unpredictableNumber: Uint8Array,
): Uint8Array {
  const { iccDynamicNumber, cid, cryptogram } = fields;
  if (
    iccDynamicNumber.length !== 8 ||
    cryptogram.length !== 8 ||
    fields.transactionDataHash.length !== sha1Bytes
  ) {
    throw new EmvError('LENGTH_INVALID', 'CDA takes 8, 8 and 20 bytes');
  }
  const dynamicData = concatBytes(
    Uint8Array.of(iccDynamicNumber.length),
    iccDynamicNumber,
    Uint8Array.of(cid),
    cryptogram,
    fields.transactionDataHash,
  );
  return dynamicDataBlock(iccModulusLength, dynamicData, unpredictableNumber);
}

/**
 * Transaction data hash code: SHA-1 over the PDOL values, the CDOL1 values, in the second GENERATE AC the CDOL2
 * values, then the TLVs of the response except 9F4B, in their order.
 */
export function transactionDataHash(...parts: readonly Uint8Array[]): Uint8Array {
  return sha1(...parts);
}

interface OpenedDynamicData {
  readonly ok: true;
  readonly dynamicData: Uint8Array;
}

function openDynamicData(
  iccKey: RsaPublicKeyBytes,
  sdad: Uint8Array,
  hashedTail: Uint8Array,
): OpenedDynamicData | RecoveryFailure {
  const opened = openSignature(iccKey, sdad, certificateFormat.dynamicData, overheadBytes);
  if (!opened.ok) return opened;
  const { signed } = opened;
  if (!equalBytes(sha1(signed, hashedTail), opened.hash)) return { ok: false, reason: 'HASH' };
  if (signed[1] !== 0x01) return { ok: false, reason: 'ALGORITHM' };
  const length = signed[2] ?? 0;
  if (length > signed.length - 3) return { ok: false, reason: 'LENGTH' };
  return { ok: true, dynamicData: signed.slice(3, 3 + length) };
}

/** Verifies the answer to INTERNAL AUTHENTICATE over the data that was sent. */
export function verifyDda(
  iccKey: RsaPublicKeyBytes,
  sdad: Uint8Array,
  ddolData: Uint8Array,
): { ok: true; iccDynamicNumber: Uint8Array } | RecoveryFailure {
  const opened = openDynamicData(iccKey, sdad, ddolData);
  if (!opened.ok) return opened;
  const length = opened.dynamicData[0] ?? 0;
  const iccDynamicNumber = opened.dynamicData.slice(1, 1 + length);
  if (length < 2 || length > 8 || iccDynamicNumber.length !== length) return { ok: false, reason: 'LENGTH' };
  return { ok: true, iccDynamicNumber };
}

/**
 * Verifies the signature in a GENERATE AC response.
 * @param transaction the terminal's unpredictable number (4 bytes), the expected hash over the transaction data and
 *   the CID that the response shows
 */
export function verifyCda(
  iccKey: RsaPublicKeyBytes,
  sdad: Uint8Array,
  transaction: {
    readonly unpredictableNumber: Uint8Array;
    readonly transactionDataHash: Uint8Array;
    readonly cid?: number;
  },
): ({ ok: true } & CdaFields) | RecoveryFailure {
  const opened = openDynamicData(iccKey, sdad, transaction.unpredictableNumber);
  if (!opened.ok) return opened;
  const { dynamicData } = opened;
  if (dynamicData.length !== cdaDynamicDataBytes || dynamicData[0] !== 8) {
    return { ok: false, reason: 'LENGTH' };
  }
  const cid = dynamicData[9] ?? 0;
  const hash = dynamicData.slice(18);
  const isSameTransaction =
    equalBytes(hash, transaction.transactionDataHash) &&
    (transaction.cid === undefined || transaction.cid === cid);
  if (!isSameTransaction) return { ok: false, reason: 'TRANSACTION' };
  return {
    ok: true,
    iccDynamicNumber: dynamicData.slice(1, 9),
    cid,
    cryptogram: dynamicData.slice(10, 18),
    transactionDataHash: hash,
  };
}
