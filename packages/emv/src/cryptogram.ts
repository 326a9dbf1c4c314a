/**
 * Application cryptograms, authorisation response cryptograms and issuer script protection (EMV Book 2, 8 and 9).
 *
 * Pure functions over clear session keys.
 */
import { concatBytes, xorBytes } from './bytes.ts';
import { EmvError } from './emv-error.ts';
import { pad80, retailMac, tdesCbcEncrypt, tdesEcbEncrypt, type MacPadding } from './symmetric.ts';

/**
 * Application cryptogram (ARQC, TC, AAC): MAC algorithm 3.
 * @param sk 16 bytes
 * @param data the whole input, for CCD: CDOL1 data, AIP, ATC, IAD
 * @param padding 2 for CCD; 1 for the older Visa version 10
 * @returns 8 bytes
 */
export function applicationCryptogram(sk: Uint8Array, data: Uint8Array, padding: MacPadding): Uint8Array {
  return retailMac(sk, data, padding);
}

/**
 * ARPC method 1: 3DES of ARQC xor (ARC and six zeros).
 * @param arqc 8 bytes
 * @param arc authorisation response code, 2 bytes
 * @returns 8 bytes
 * @throws EmvError LENGTH_INVALID
 */
export function arpcMethod1(key: Uint8Array, arqc: Uint8Array, arc: Uint8Array): Uint8Array {
  if (arc.length !== 2) throw new EmvError('LENGTH_INVALID', 'a response code has 2 bytes');
  return tdesEcbEncrypt(key, xorBytes(arqc, concatBytes(arc, new Uint8Array(6))));
}

/**
 * ARPC method 2: first 4 bytes of MAC algorithm 3, padding 2, over ARQC, CSU and proprietary data.
 * @param arqc 8 bytes
 * @param csu card status update, 4 bytes
 * @param proprietaryData 0 to 8 bytes
 * @throws EmvError LENGTH_INVALID
 */
export function arpcMethod2(
  key: Uint8Array,
  arqc: Uint8Array,
  csu: Uint8Array,
  proprietaryData: Uint8Array = new Uint8Array(0),
): Uint8Array {
  if (arqc.length !== 8 || csu.length !== 4 || proprietaryData.length > 8) {
    throw new EmvError('LENGTH_INVALID', 'an ARQC has 8 bytes, a CSU 4, proprietary data at most 8');
  }
  return retailMac(key, concatBytes(arqc, csu, proprietaryData), 2).slice(0, 4);
}

/**
 * MAC of an issuer script command (EMV/CCD format): MAC algorithm 3, padding 2.
 * @param sk session key of the MAC UDK with R = the first cryptogram, 16 bytes
 * @param message header, then [ATC, cryptogram] where the scheme has them, then the (enciphered) data
 * @returns 8 bytes
 */
export function issuerScriptMac(sk: Uint8Array, message: Uint8Array): Uint8Array {
  return retailMac(sk, message, 2);
}

/** Enciphers issuer script data: padding 2, 3DES-CBC with a zero initial vector. */
export function issuerScriptEncrypt(sk: Uint8Array, data: Uint8Array): Uint8Array {
  return tdesCbcEncrypt(sk, new Uint8Array(8), pad80(data, 8));
}
