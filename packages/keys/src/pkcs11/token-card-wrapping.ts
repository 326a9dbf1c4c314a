/**
 * Enciphers for a card and seals in a token: what wraps and the mechanisms have in common.
 *
 * Invariant: chained modes give the same bytes whether the whole is enciphered at once or key by key, because each
 * step starts from the last block of the one before.
 */
import { randomBytes } from 'node:crypto';
import { concatBytes, pad80 } from '@cardwright/emv';
import { type DekMode, KeyError } from '../key-port.ts';
import { type TokenMaterial } from '../key-ring.ts';
import { rsaCrtParts } from '../rsa-crt.ts';
import { sealAdditionalData, type SealedContent } from '../sealed-box.ts';
import { CKM } from './cryptoki-constants.ts';
import { aesGcm, mechanismWithIv, plainMechanism } from './mechanism.ts';
import { Pkcs11Error } from './pkcs11-error.ts';
import { privateKeyObject } from './token-key-transport.ts';
import { type ObjectHandle, type TokenSession } from './token-session.ts';

const nonceLength = 12;
const tagLength = 16;
const maxWrappedKey = 64;

/** 3DES keys under a card's DEK by C_WrapKey, concatenated as one message. */
export async function wrapInside(
  session: TokenSession,
  dek: TokenMaterial,
  mode: DekMode,
  keys: readonly TokenMaterial[],
): Promise<Uint8Array> {
  const parts: Uint8Array[] = [];
  let iv: Uint8Array = new Uint8Array(16);
  for (const { object } of keys) {
    const mechanism = mode === 'TDES-ECB' ? plainMechanism(CKM.des3Ecb) : mechanismWithIv(CKM.aesCbc, iv);
    const part = await session.wrapKey(dek.object, mechanism, object, maxWrappedKey);
    if (part.length !== 16) throw new KeyError('KEY_STORE', 'the token wrapped a key to another length');
    parts.push(part);
    iv = part;
  }
  return concatBytes(...parts);
}

/** Enciphers bytes under a card's DEK and wipes them. */
export async function encipherForCard(
  session: TokenSession,
  dek: TokenMaterial,
  mode: DekMode,
  clear: Uint8Array,
): Promise<Uint8Array> {
  const mechanism =
    mode === 'TDES-ECB' ? plainMechanism(CKM.des3Ecb) : mechanismWithIv(CKM.aesCbc, new Uint8Array(16));
  try {
    return await session.encrypt(dek.object, mechanism, clear);
  } finally {
    clear.fill(0);
  }
}

/** The CRT parts of an RSA key (PKCS#8 DER, wiped) in DGI order, each padded and enciphered under a card's DEK. */
export async function encipherRsaParts(
  session: TokenSession,
  dek: TokenMaterial,
  mode: DekMode,
  encoded: Uint8Array,
): Promise<Uint8Array[]> {
  const privateKey = privateKeyObject(encoded);
  encoded.fill(0);
  const pkcs1 = privateKey.export({ format: 'der', type: 'pkcs1' });
  const { qInverse, dq, dp, q, p } = rsaCrtParts(pkcs1);
  pkcs1.fill(0);
  const parts = [qInverse, dq, dp, q, p];
  const wrapped: Uint8Array[] = [];
  try {
    for (const part of parts) {
      wrapped.push(await encipherForCard(session, dek, mode, pad80(part, mode === 'TDES-ECB' ? 8 : 16)));
    }
  } finally {
    for (const part of parts) part.fill(0);
  }
  return wrapped;
}

/** `nonce (12) | ciphertext | tag (16)` by AES-256-GCM in the token. */
export async function closeInToken(
  session: TokenSession,
  key: ObjectHandle,
  content: SealedContent,
  context: string,
  plaintext: Uint8Array,
): Promise<Uint8Array> {
  const nonce = randomBytes(nonceLength);
  const mechanism = aesGcm(nonce, sealAdditionalData(content, context));
  return concatBytes(nonce, await session.encrypt(key, mechanism, plaintext));
}

/** @throws KeyError SEAL_BROKEN, alike for every cause */
export async function openInToken(
  session: TokenSession,
  key: ObjectHandle,
  content: SealedContent,
  context: string,
  sealed: Uint8Array,
): Promise<Uint8Array> {
  if (sealed.length < nonceLength + tagLength) throw brokenSeal();
  const mechanism = aesGcm(sealed.subarray(0, nonceLength), sealAdditionalData(content, context));
  try {
    return await session.decrypt(key, mechanism, sealed.subarray(nonceLength));
  } catch (error) {
    if (error instanceof Pkcs11Error && error.isDataRefused) throw brokenSeal();
    throw error;
  }
}

function brokenSeal(): KeyError {
  return new KeyError('SEAL_BROKEN', 'the seal was refused');
}

export function wrapperOf(seal: TokenMaterial): ObjectHandle {
  if (seal.wrapper === undefined)
    throw new KeyError('KEY_STORE', 'the wrapping key of a sealing key is not held');
  return seal.wrapper;
}
