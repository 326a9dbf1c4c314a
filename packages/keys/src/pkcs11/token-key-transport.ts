/**
 * The two ways on which key bytes are seen by this process: out of the token for a card, into it at an import.
 *
 * Invariants: bytes leave the token only wrapped under a key that was made for this one transport; what was opened
 * is wiped by the caller as soon as it is enciphered again; every caller stands in the list of operations that need
 * key bytes in the host, and does not get here when that is forbidden.
 */
import { createDecipheriv, createPrivateKey, type KeyObject, randomBytes } from 'node:crypto';
import { type KeyUsage } from '../key-port.ts';
import { rsaNumbers } from '../rsa-crt.ts';
import { type Attribute } from './attribute-template.ts';
import { CKA, CKK, CKO } from './cryptoki-constants.ts';
import { plainMechanism } from './mechanism.ts';
import { helperKeyTemplate, type ObjectPlace, privateKeyTemplate } from './token-key-template.ts';
import { type ObjectHandle, type TokenSession } from './token-session.ts';

/** RFC 5649, section 3 */
const keyWrapPadVector = Buffer.from('A65959A6', 'hex');
const maxWrappedLength = 4096;

/** The value of an extractable key. @param keyWrapPad the token's number for RFC 5649. The caller wipes it. */
export async function exportKeyValue(
  session: TokenSession,
  key: ObjectHandle,
  keyWrapPad: number,
): Promise<Uint8Array> {
  const transportKey = randomBytes(32);
  const transport = await session.createObject([
    ...helperKeyTemplate(CKK.aes, ['wrap'], 'session'),
    [CKA.value, transportKey],
  ]);
  try {
    const wrapped = await session.wrapKey(transport, plainMechanism(keyWrapPad), key, maxWrappedLength);
    const decipher = createDecipheriv('id-aes256-wrap-pad', transportKey, keyWrapPadVector);
    const clear = decipher.update(wrapped);
    decipher.final();
    return clear;
  } finally {
    transportKey.fill(0);
    await session.destroyObject(transport);
  }
}

/** Puts an RSA private key (PKCS#8 DER) into the token. */
export async function importRsaKey(
  session: TokenSession,
  key: KeyObject,
  usage: KeyUsage,
  place: ObjectPlace,
): Promise<ObjectHandle> {
  const encoded = key.export({ format: 'der', type: 'pkcs1' });
  try {
    const numbers = rsaNumbers(encoded);
    return await session.createObject([
      [CKA.class, CKO.privateKey],
      [CKA.keyType, CKK.rsa],
      ...privateKeyTemplate('RSA', usage, place, randomBytes(16)),
      [CKA.modulus, numbers.modulus],
      [CKA.publicExponent, numbers.publicExponent],
      [CKA.privateExponent, numbers.privateExponent],
      [CKA.prime1, numbers.p],
      [CKA.prime2, numbers.q],
      [CKA.exponent1, numbers.dp],
      [CKA.exponent2, numbers.dq],
      [CKA.coefficient, numbers.qInverse],
    ]);
  } finally {
    encoded.fill(0);
  }
}

/** Object identifier of P-256 as CKA_EC_PARAMS. */
export const p256Parameters = Uint8Array.of(0x06, 0x08, 0x2a, 0x86, 0x48, 0xce, 0x3d, 0x03, 0x01, 0x07);

/** CKA_EC_POINT: the uncompressed point as an octet string. */
export function encodedPoint(point: Uint8Array): Uint8Array {
  return Uint8Array.of(0x04, point.length, ...point);
}

/** `04 | x | y` of a P-256 key. */
export function uncompressedPoint(x: string, y: string): Uint8Array {
  return Uint8Array.of(0x04, ...Buffer.from(x, 'base64url'), ...Buffer.from(y, 'base64url'));
}

/** Attributes of a P-256 private key to import; `point` is its public half. The caller wipes `value`. */
export function p256ImportTemplate(
  usage: KeyUsage,
  place: ObjectPlace,
  id: Uint8Array,
  value: Uint8Array,
): Attribute[] {
  return [
    [CKA.class, CKO.privateKey],
    [CKA.keyType, CKK.ec],
    ...privateKeyTemplate('EC-P256', usage, place, id),
    [CKA.ecParameters, p256Parameters],
    [CKA.value, value],
  ];
}

/** d of a P-256 key from its SEC 1 encoding: `30 77 02 01 01 04 20 d…`. The caller wipes it. */
export function p256PrivateValue(key: KeyObject): Uint8Array {
  const encoded = key.export({ format: 'der', type: 'sec1' });
  try {
    return Uint8Array.from(encoded.subarray(7, 39));
  } finally {
    encoded.fill(0);
  }
}

/** Takes PKCS#8 DER; wipes nothing. */
export function privateKeyObject(der: Uint8Array): KeyObject {
  return createPrivateKey({
    key: Buffer.from(der.buffer, der.byteOffset, der.length),
    format: 'der',
    type: 'pkcs8',
  });
}
