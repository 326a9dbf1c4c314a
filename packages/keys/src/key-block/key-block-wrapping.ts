/**
 * Opening key blocks of every version, and making version D, over clear keys: the mechanics below the policy.
 *
 * Invariants: no byte of a key is given out before the MAC over header and payload was right; why a block did not
 * open is told only as far as its form, which everybody can see; buffers that held the key are wiped. Which blocks
 * may be imported at all is `key-block-policy.ts`.
 */
import { createCipheriv, randomBytes, timingSafeEqual } from 'node:crypto';
import {
  aesCbcDecrypt,
  aesCbcEncrypt,
  aesCmac,
  ascii,
  concatBytes,
  hex,
  padZero,
  tdesCbcDecrypt,
  tdesCbcEncrypt,
  uintBytes,
} from '@cardwright/emv';
import { deriveKeyBlockKeys, tdesCmac } from './key-block-derivation.ts';
import {
  formatKeyBlockHeader,
  keyBlockVersions,
  type KeyBlockFormFailure,
  type KeyBlockHeader,
  type ParsedKeyBlock,
  parseKeyBlock,
} from './key-block-header.ts';

/** MAC: header, payload or MAC were changed, or the protection key is another one. */
type UnwrapFailure = KeyBlockFormFailure | 'MAC' | 'PAYLOAD';

type UnwrappedKey =
  /** `key` is for the caller to wipe. */
  | { readonly ok: true; readonly header: KeyBlockHeader; readonly key: Uint8Array }
  | { readonly ok: false; readonly reason: UnwrapFailure };

/** Opens a block. @throws RangeError for a protection key that the block's version cannot have */
export function unwrapKeyBlock(kbpk: Uint8Array, block: string | Uint8Array): UnwrappedKey {
  const parsed = parseKeyBlock(block);
  if (!parsed.ok) return parsed;
  const keys = deriveKeyBlockKeys(parsed.header.version, kbpk);
  const payload = decipher(parsed, keys.encryption);
  try {
    const mac = macOver(parsed, keys.authentication, payload);
    if (!timingSafeEqual(mac, parsed.mac)) return { ok: false, reason: 'MAC' };
    const key = keyInPayload(payload);
    return key ? { ok: true, header: parsed.header, key } : { ok: false, reason: 'PAYLOAD' };
  } finally {
    for (const buffer of [payload, keys.encryption, keys.authentication]) buffer.fill(0);
  }
}

function decipher({ header, headerBytes, ciphertext, mac }: ParsedKeyBlock, key: Uint8Array): Uint8Array {
  switch (header.version) {
    case 'A':
    case 'C':
      return tdesCbcDecrypt(key, headerBytes.subarray(0, 8), ciphertext);
    case 'B':
      return tdesCbcDecrypt(key, mac, ciphertext);
    case 'D':
      return aesCbcDecrypt(key, mac, ciphertext);
    case 'E':
      return aesCounter(key, mac, ciphertext);
  }
}

function macOver({ header, headerBytes, ciphertext }: ParsedKeyBlock, key: Uint8Array, payload: Uint8Array) {
  const covered = concatBytes(headerBytes, payload);
  try {
    switch (header.version) {
      case 'A':
      case 'C': {
        const chained = padZero(concatBytes(headerBytes, ciphertext), 8);
        return tdesCbcEncrypt(key, new Uint8Array(8), chained).slice(-8).slice(0, 4);
      }
      case 'B':
        return tdesCmac(key, covered);
      case 'D':
      case 'E':
        return aesCmac(key, covered);
    }
  } finally {
    covered.fill(0);
  }
}

function aesCounter(key: Uint8Array, counter: Uint8Array, data: Uint8Array): Uint8Array {
  const cipher = createCipheriv(`aes-${key.length * 8}-ctr`, key, counter);
  return concatBytes(cipher.update(data), cipher.final());
}

/** Payload: length in bits (2), key, random filling. */
function keyInPayload(payload: Uint8Array): Uint8Array | undefined {
  const bits = ((payload[0] ?? 0) << 8) | (payload[1] ?? 0);
  const bytes = bits / 8;
  if (bits === 0 || bits % 8 !== 0 || bytes > payload.length - 2) return undefined;
  return payload.slice(2, 2 + bytes);
}

/** Longest key of an algorithm: payloads are filled up to it, so that a block does not tell a short key. */
const fillLengths: Readonly<Record<string, number>> = { T: 24, A: 32, H: 32 };

/**
 * A version D block.
 * @param kbpk AES, 16, 24 or 32 bytes
 * @throws RangeError when a header field has a wrong form
 */
export function wrapKeyBlock(
  kbpk: Uint8Array,
  header: Omit<KeyBlockHeader, 'version'>,
  key: Uint8Array,
): string {
  const { macBytes, blockBytes } = keyBlockVersions.D;
  const filled = Math.max(key.length, fillLengths[header.algorithm] ?? 0);
  const length = Math.ceil((2 + filled) / blockBytes) * blockBytes;
  const headerBytes = formatKeyBlockHeader({ version: 'D', ...header }, length + macBytes);
  const payload = concatBytes(uintBytes(key.length * 8, 2), key, randomBytes(length - 2 - key.length));
  const covered = concatBytes(headerBytes, payload);
  const keys = deriveKeyBlockKeys('D', kbpk);
  try {
    const mac = aesCmac(keys.authentication, covered);
    const body = concatBytes(aesCbcEncrypt(keys.encryption, mac, payload), mac);
    return Buffer.from(concatBytes(headerBytes, ascii(hex(body)))).toString('latin1');
  } finally {
    for (const buffer of [payload, covered, keys.encryption, keys.authentication]) buffer.fill(0);
  }
}
