/**
 * Algorithms of the payment world that PKCS#11 has no mechanism for, composed of calls that it has.
 *
 * Invariants: what comes out of the token between two calls is a chaining value, never a key; a key that is derived
 * is made by the token's own derivation from the last chaining value, so that its bytes stay inside.
 */
import { cvvBlocks, decimalize, pad80, padZero, type PinDigits, pvvBlock, xorBytes } from '@cardwright/emv';
import { KeyError } from '../key-port.ts';
import { type TokenMaterial } from '../key-ring.ts';
import { type Attribute } from './attribute-template.ts';
import { CKA, CKM } from './cryptoki-constants.ts';
import { mechanismWithData, mechanismWithIv, plainMechanism } from './mechanism.ts';
import { publicValueTemplate } from './token-key-template.ts';
import { type ObjectHandle, type TokenSession } from './token-session.ts';

const zeroBlock8 = new Uint8Array(8);
const zeroBlock16 = new Uint8Array(16);

/** K1 | K1 of a two-key 3DES key, where single DES is needed. */
export function firstHalfOf(material: TokenMaterial): ObjectHandle {
  if (material.firstHalf === undefined)
    throw new KeyError('KEY_STORE', 'the first half of the key is not held');
  return material.firstHalf;
}

/** ISO/IEC 9797-1 MAC algorithm 3: single DES but for the last block. */
export async function retailMac(
  session: TokenSession,
  key: TokenMaterial,
  data: Uint8Array,
  padding: 1 | 2,
  iv: Uint8Array = zeroBlock8,
): Promise<Uint8Array> {
  const padded = padding === 1 ? padZero(data, 8) : pad80(data, 8);
  const head = padded.subarray(0, -8);
  let chain = iv;
  if (head.length > 0) {
    const mechanism = mechanismWithIv(CKM.des3Cbc, iv);
    chain = (await session.encrypt(firstHalfOf(key), mechanism, head)).subarray(-8);
  }
  return session.encrypt(key.object, plainMechanism(CKM.des3Ecb), xorBytes(chain, padded.subarray(-8)));
}

/** Card verification value, three digits. */
export async function cardVerificationValue(
  session: TokenSession,
  key: TokenMaterial,
  ...digits: readonly [pan: string, expiryYYMM: string, serviceCode: string]
): Promise<string> {
  const { first, second } = cvvBlocks(...digits);
  const ecb = plainMechanism(CKM.des3Ecb);
  const chained = await session.encrypt(firstHalfOf(key), ecb, first);
  return decimalize(await session.encrypt(key.object, ecb, xorBytes(chained, second)), 3);
}

/** PIN verification value, four digits. The block, which holds digits of the PIN, is wiped. */
export async function pinVerificationValue(
  session: TokenSession,
  key: ObjectHandle,
  pvki: string,
  pan: string,
  pin: PinDigits,
): Promise<string> {
  const block = pvvBlock(pvki, pan, pin);
  try {
    return decimalize(await session.encrypt(key, plainMechanism(CKM.des3Ecb), block), 4);
  } finally {
    block.fill(0);
  }
}

/**
 * The block whose encryption is the AES-CMAC of `data` (RFC 4493): deriving by that encryption makes a key equal to
 * the CMAC without the CMAC ever leaving the token.
 */
export async function cmacLastInput(
  session: TokenSession,
  key: ObjectHandle,
  data: Uint8Array,
): Promise<Uint8Array> {
  const isWhole = data.length > 0 && data.length % 16 === 0;
  const padded = isWhole ? data : pad80(data, 16);
  const subkey1 = doubled(await session.encrypt(key, plainMechanism(CKM.aesEcb), zeroBlock16));
  const subkey = isWhole ? subkey1 : doubled(subkey1);
  const head = padded.subarray(0, -16);
  const chain =
    head.length === 0
      ? zeroBlock16
      : (await session.encrypt(key, mechanismWithIv(CKM.aesCbc, zeroBlock16), head)).subarray(-16);
  return xorBytes(xorBytes(chain, padded.subarray(-16)), subkey);
}

/** Doubling in GF(2^128). */
function doubled(block: Uint8Array): Uint8Array {
  const result = new Uint8Array(16);
  for (let index = 0; index < 16; index++) {
    result[index] = (((block[index] ?? 0) << 1) | ((block[index + 1] ?? 0) >> 7)) & 0xff;
  }
  if (((block[0] ?? 0) & 0x80) !== 0) result[15] = (result[15] ?? 0) ^ 0x87;
  return result;
}

/**
 * 3DES encryption of eight zero bytes, first three bytes. A key that may only derive shows it by deriving a public
 * value, a key that may encrypt by encrypting.
 */
export async function tdesCheckValue(
  session: TokenSession,
  key: ObjectHandle,
  mayDerive: boolean,
): Promise<Uint8Array> {
  if (!mayDerive) return (await session.encrypt(key, plainMechanism(CKM.des3Ecb), zeroBlock8)).slice(0, 3);
  const template: readonly Attribute[] = publicValueTemplate(8);
  const mechanism = mechanismWithData(CKM.des3EcbEncryptData, zeroBlock8);
  const value = await session.deriveKey(key, mechanism, template);
  try {
    const [bytes] = await session.attributes(value, [CKA.value]);
    if (!bytes) throw new KeyError('KEY_STORE', 'the token hides a public value');
    return bytes.slice(0, 3);
  } finally {
    await session.destroyObject(value);
  }
}
