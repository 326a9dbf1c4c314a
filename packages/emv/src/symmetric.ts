/**
 * 3DES, AES, MACs and padding over clear keys: for the virtual card, tests and the software key adapter.
 *
 * Invariants: no key is kept; single DES is 3DES with three equal halves, because OpenSSL 3 has no DES; ciphers
 * never pad by themselves. Errors never quote keys or data.
 */
import { createCipheriv, createDecipheriv } from 'node:crypto';
import { concatBytes, xorBytes } from './bytes.ts';
import { EmvError } from './emv-error.ts';

/** ISO/IEC 9797-1 padding: 1 zeros when needed, 2 always `80` and zeros. */
export type MacPadding = 1 | 2;

const desBlockBytes = 8;
const aesBlockBytes = 16;

function runCipher(
  direction: 'encrypt' | 'decrypt',
  algorithm: string,
  key: Uint8Array,
  iv: Uint8Array | null,
  data: Uint8Array,
  blockBytes: number,
): Uint8Array {
  if (data.length % blockBytes !== 0) {
    throw new EmvError('LENGTH_INVALID', `cipher data is a multiple of ${String(blockBytes)} bytes`);
  }
  if (iv !== null && iv.length !== blockBytes) {
    throw new EmvError('LENGTH_INVALID', `an initial vector has ${String(blockBytes)} bytes`);
  }
  const cipher =
    direction === 'encrypt' ? createCipheriv(algorithm, key, iv) : createDecipheriv(algorithm, key, iv);
  cipher.setAutoPadding(false);
  return concatBytes(cipher.update(data), cipher.final());
}

/** Three-part key for OpenSSL from 8 (single DES), 16 or 24 bytes. */
function tdesKey(key: Uint8Array): Uint8Array {
  switch (key.length) {
    case 8:
      return concatBytes(key, key, key);
    case 16:
      return concatBytes(key, key.subarray(0, 8));
    case 24:
      return key;
    default:
      throw new EmvError('KEY_INVALID', 'a DES key has 8, 16 or 24 bytes');
  }
}

function aesName(key: Uint8Array, mode: 'ecb' | 'cbc'): string {
  if (key.length !== 16 && key.length !== 24 && key.length !== 32) {
    throw new EmvError('KEY_INVALID', 'an AES key has 16, 24 or 32 bytes');
  }
  return `aes-${String(key.length * 8)}-${mode}`;
}

/** 3DES-ECB; `key` 16 bytes (24 allowed), `data` a multiple of 8. @throws EmvError KEY_INVALID, LENGTH_INVALID */
export function tdesEcbEncrypt(key: Uint8Array, data: Uint8Array): Uint8Array {
  return runCipher('encrypt', 'des-ede3-ecb', tdesKey(key), null, data, desBlockBytes);
}

/** 3DES-ECB decryption; see {@link tdesEcbEncrypt}. */
export function tdesEcbDecrypt(key: Uint8Array, data: Uint8Array): Uint8Array {
  return runCipher('decrypt', 'des-ede3-ecb', tdesKey(key), null, data, desBlockBytes);
}

/** 3DES-CBC; `iv` 8 bytes, `data` a multiple of 8. @throws EmvError KEY_INVALID, LENGTH_INVALID */
export function tdesCbcEncrypt(key: Uint8Array, iv: Uint8Array, data: Uint8Array): Uint8Array {
  return runCipher('encrypt', 'des-ede3-cbc', tdesKey(key), iv, data, desBlockBytes);
}

/** 3DES-CBC decryption; see {@link tdesCbcEncrypt}. */
export function tdesCbcDecrypt(key: Uint8Array, iv: Uint8Array, data: Uint8Array): Uint8Array {
  return runCipher('decrypt', 'des-ede3-cbc', tdesKey(key), iv, data, desBlockBytes);
}

/** Single DES, ECB; `key` 8 bytes. @throws EmvError KEY_INVALID, LENGTH_INVALID */
export function desEcbEncrypt(key: Uint8Array, block: Uint8Array): Uint8Array {
  if (key.length !== 8) throw new EmvError('KEY_INVALID', 'a single DES key has 8 bytes');
  return tdesEcbEncrypt(key, block);
}

/** Single DES decryption, ECB; `key` 8 bytes. @throws EmvError KEY_INVALID, LENGTH_INVALID */
export function desEcbDecrypt(key: Uint8Array, block: Uint8Array): Uint8Array {
  if (key.length !== 8) throw new EmvError('KEY_INVALID', 'a single DES key has 8 bytes');
  return tdesEcbDecrypt(key, block);
}

/** AES-ECB; `key` 16, 24 or 32 bytes, `data` a multiple of 16. @throws EmvError KEY_INVALID, LENGTH_INVALID */
export function aesEcbEncrypt(key: Uint8Array, data: Uint8Array): Uint8Array {
  return runCipher('encrypt', aesName(key, 'ecb'), key, null, data, aesBlockBytes);
}

/** AES-ECB decryption; see {@link aesEcbEncrypt}. */
export function aesEcbDecrypt(key: Uint8Array, data: Uint8Array): Uint8Array {
  return runCipher('decrypt', aesName(key, 'ecb'), key, null, data, aesBlockBytes);
}

/** AES-CBC; `iv` 16 bytes, `data` a multiple of 16. @throws EmvError KEY_INVALID, LENGTH_INVALID */
export function aesCbcEncrypt(key: Uint8Array, iv: Uint8Array, data: Uint8Array): Uint8Array {
  return runCipher('encrypt', aesName(key, 'cbc'), key, iv, data, aesBlockBytes);
}

/** AES-CBC decryption; see {@link aesCbcEncrypt}. */
export function aesCbcDecrypt(key: Uint8Array, iv: Uint8Array, data: Uint8Array): Uint8Array {
  return runCipher('decrypt', aesName(key, 'cbc'), key, iv, data, aesBlockBytes);
}

/** ISO/IEC 9797-1 padding method 2: `80`, then zeros to a multiple of `blockBytes`; always added. */
export function pad80(data: Uint8Array, blockBytes: number): Uint8Array {
  const padded = new Uint8Array(data.length + blockBytes - (data.length % blockBytes));
  padded.set(data);
  padded[data.length] = 0x80;
  return padded;
}

/** Takes padding method 2 off. @throws EmvError PADDING_INVALID when there is no `80` before trailing zeros */
export function unpad80(data: Uint8Array): Uint8Array {
  let end = data.length - 1;
  while (end >= 0 && data[end] === 0x00) end -= 1;
  if (end < 0 || data[end] !== 0x80) throw new EmvError('PADDING_INVALID', 'the padding is not 80 and zeros');
  return data.slice(0, end);
}

/** ISO/IEC 9797-1 padding method 1: zeros up to a multiple; none when aligned (empty data becomes one block). */
export function padZero(data: Uint8Array, blockBytes: number): Uint8Array {
  const padded = new Uint8Array(Math.max(Math.ceil(data.length / blockBytes), 1) * blockBytes);
  padded.set(data);
  return padded;
}

function padForMac(data: Uint8Array, padding: MacPadding): Uint8Array {
  return padding === 1 ? padZero(data, desBlockBytes) : pad80(data, desBlockBytes);
}

/**
 * ISO/IEC 9797-1 MAC algorithm 3 ("retail MAC"): single-DES CBC under the first half, 3DES for the last block.
 * @param key 16 bytes
 * @param data unpadded, any length
 * @param iv 8 bytes, zeros by default
 * @returns 8 bytes
 * @throws EmvError KEY_INVALID, LENGTH_INVALID
 */
export function retailMac(
  key: Uint8Array,
  data: Uint8Array,
  padding: MacPadding,
  iv: Uint8Array = new Uint8Array(desBlockBytes),
): Uint8Array {
  if (key.length !== 16) throw new EmvError('KEY_INVALID', 'a retail MAC key has 16 bytes');
  const padded = padForMac(data, padding);
  const head = padded.subarray(0, -desBlockBytes);
  const last = padded.subarray(-desBlockBytes);
  const chained =
    head.length === 0 ? iv : tdesCbcEncrypt(key.subarray(0, 8), iv, head).subarray(-desBlockBytes);
  return tdesEcbEncrypt(key, xorBytes(chained, last));
}

/**
 * Full 3DES CBC-MAC with padding method 2 (ISO/IEC 9797-1 MAC algorithm 1 with 3DES): the SCP02 cryptograms.
 * @returns 8 bytes
 */
export function fullTdesMac(key: Uint8Array, data: Uint8Array): Uint8Array {
  return tdesCbcEncrypt(key, new Uint8Array(desBlockBytes), pad80(data, desBlockBytes)).slice(-desBlockBytes);
}

/** AES-CMAC (RFC 4493, also for 192- and 256-bit keys); 16 bytes. @throws EmvError KEY_INVALID */
export function aesCmac(key: Uint8Array, data: Uint8Array): Uint8Array {
  const zeros = new Uint8Array(aesBlockBytes);
  const subkey1 = doubleInField(aesEcbEncrypt(key, zeros));
  const isWhole = data.length > 0 && data.length % aesBlockBytes === 0;
  const padded = isWhole ? data.slice() : pad80(data, aesBlockBytes);
  const subkey = isWhole ? subkey1 : doubleInField(subkey1);
  const lastStart = padded.length - aesBlockBytes;
  padded.set(xorBytes(padded.subarray(lastStart), subkey), lastStart);
  return aesCbcEncrypt(key, zeros, padded).slice(-aesBlockBytes);
}

/** Multiplication by x in GF(2^128) with the polynomial of RFC 4493. */
function doubleInField(block: Uint8Array): Uint8Array {
  const doubled = block.map((byte, index) => ((byte << 1) | ((block[index + 1] ?? 0) >> 7)) & 0xff);
  if (((block[0] ?? 0) & 0x80) !== 0) doubled[aesBlockBytes - 1] = (doubled[aesBlockBytes - 1] ?? 0) ^ 0x87;
  return doubled;
}

/** The key with bit 1 of every byte set so that each byte has odd parity (DES keys). */
export function oddParity(key: Uint8Array): Uint8Array {
  return key.map((byte) => {
    let ones = 0;
    for (let bits = byte >> 1; bits > 0; bits >>= 1) ones += bits & 1;
    return (byte & 0xfe) | (ones % 2 === 0 ? 1 : 0);
  });
}

/** Key check value of a DES key: first 3 bytes of the enciphered zero block. */
export function tdesKcv(key: Uint8Array): Uint8Array {
  return tdesEcbEncrypt(key, new Uint8Array(desBlockBytes)).slice(0, 3);
}

/** Key check value of an AES key as X9.24-1 and key blocks use it: first 5 bytes of the CMAC of 16 zeros. */
export function aesKcv(key: Uint8Array): Uint8Array {
  return aesCmac(key, new Uint8Array(aesBlockBytes)).slice(0, 5);
}

/** Key check value of an AES key in GlobalPlatform: first 3 bytes of 16 enciphered bytes `01`. */
export function aesGpKcv(key: Uint8Array): Uint8Array {
  return aesEcbEncrypt(key, new Uint8Array(aesBlockBytes).fill(0x01)).slice(0, 3);
}
