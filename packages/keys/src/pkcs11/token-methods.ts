/**
 * How one token does what tokens do differently: found by doing it once, with keys that live for the moment.
 *
 * Invariants: nothing is concluded from a list of mechanisms; a way that keeps key bytes inside is preferred to one
 * that does not; what no way was found for stays undefined and is refused later, by name.
 */
import { createCipheriv, createDecipheriv, generateKeyPairSync, randomBytes } from 'node:crypto';
import { equalBytes, tdesEcbEncrypt } from '@cardwright/emv';
import { type DekMode } from '../key-port.ts';
import { type KeyOperationName } from '../key-status.ts';
import { CKA, CKK, CKM } from './cryptoki-constants.ts';
import { ecdh, mechanismWithIv, plainMechanism } from './mechanism.ts';
import { deriveContentKey } from './token-jwe.ts';
import { p256Parameters, uncompressedPoint } from './token-key-transport.ts';
import { helperKeyTemplate, privateKeyTemplate, secretKeyTemplate } from './token-key-template.ts';
import { type TokenSession } from './token-session.ts';

export interface TokenMethods {
  /** The token's number for RFC 5649 (AES key wrap with padding): 0x210b in PKCS#11 3.0, 0x210a in older modules. */
  readonly keyWrapPad: number | undefined;
  /** Whether C_WrapKey enciphers a 3DES key under a card's DEK. */
  readonly wrapsInside: Readonly<Record<DekMode, boolean>>;
  /** Whether the token generates RSA keys with exponent 3. */
  readonly generatesExponent3: boolean;
  /** Whether the content key of a JWE can be derived without the agreed secret leaving the token. */
  readonly derivesContentKey: boolean;
}

const value16 = Uint8Array.from({ length: 16 }, (_, index) => (index * 37 + 11) & 0xfe);
const keyWrapPadMechanisms = [0x210b, CKM.aesKeyWrapPad];

export async function probeTokenMethods(session: TokenSession): Promise<TokenMethods> {
  return {
    keyWrapPad: await findKeyWrapPad(session),
    wrapsInside: {
      'TDES-ECB': await attempt(() => wrapsUnderTdes(session)),
      'AES-CBC': await attempt(() => wrapsUnderAes(session)),
    },
    generatesExponent3: await attempt(() => generatesExponent3(session)),
    derivesContentKey: await attempt(() => derivesContentKey(session)),
  };
}

async function attempt(way: () => Promise<boolean>): Promise<boolean> {
  try {
    return await way();
  } catch {
    return false;
  }
}

async function findKeyWrapPad(session: TokenSession): Promise<number | undefined> {
  for (const mechanism of keyWrapPadMechanisms) {
    if (await attempt(() => wrapsWithPadding(session, mechanism))) return mechanism;
  }
  return undefined;
}

async function wrapsWithPadding(session: TokenSession, mechanism: number): Promise<boolean> {
  const wrappingValue = randomBytes(32);
  const wrapping = await session.createObject([
    ...helperKeyTemplate(CKK.aes, ['wrap'], 'session'),
    [CKA.value, wrappingValue],
  ]);
  const key = await session.createObject([
    ...secretKeyTemplate('TDES-2KEY', 'UDK', 'session'),
    [CKA.value, value16],
  ]);
  try {
    const wrapped = await session.wrapKey(wrapping, plainMechanism(mechanism), key, 256);
    const decipher = createDecipheriv('id-aes256-wrap-pad', wrappingValue, Buffer.from('A65959A6', 'hex'));
    const clear = decipher.update(wrapped);
    decipher.final();
    return withoutParity(clear).equals(withoutParity(value16));
  } finally {
    await session.destroyObject(wrapping);
    await session.destroyObject(key);
  }
}

/** A token may set the parity bits of a 3DES key. */
function withoutParity(value: Uint8Array): Buffer {
  return Buffer.from(value.map((byte) => byte & 0xfe));
}

async function wrapsUnderTdes(session: TokenSession): Promise<boolean> {
  const dek = await session.createObject([
    ...secretKeyTemplate('TDES-2KEY', 'CARD-SESSION', 'session'),
    [CKA.value, value16],
  ]);
  const key = await session.createObject([
    ...secretKeyTemplate('TDES-2KEY', 'UDK', 'session'),
    [CKA.value, oddValue()],
  ]);
  try {
    const wrapped = await session.wrapKey(dek, plainMechanism(CKM.des3Ecb), key, 64);
    return equalBytes(wrapped, tdesEcbEncrypt(value16, oddValue()));
  } finally {
    await session.destroyObject(dek);
    await session.destroyObject(key);
  }
}

async function wrapsUnderAes(session: TokenSession): Promise<boolean> {
  const dek = await session.createObject([
    ...secretKeyTemplate('AES-128', 'CARD-STATIC', 'session'),
    [CKA.value, value16],
  ]);
  const key = await session.createObject([
    ...secretKeyTemplate('TDES-2KEY', 'UDK', 'session'),
    [CKA.value, oddValue()],
  ]);
  try {
    const iv = new Uint8Array(16).fill(0x33);
    const wrapped = await session.wrapKey(dek, mechanismWithIv(CKM.aesCbc, iv), key, 64);
    const cipher = createCipheriv('aes-128-cbc', value16, iv).setAutoPadding(false);
    return equalBytes(wrapped, cipher.update(oddValue()));
  } finally {
    await session.destroyObject(dek);
    await session.destroyObject(key);
  }
}

/** A value with odd parity: no token changes it. */
function oddValue(): Uint8Array {
  return Uint8Array.from(Buffer.from('0123456789ABCDEFFEDCBA9876543210', 'hex'));
}

async function generatesExponent3(session: TokenSession): Promise<boolean> {
  const { publicKey, privateKey } = await session.generateKeyPair(
    plainMechanism(CKM.rsaKeyPairGen),
    [
      [CKA.token, false],
      [CKA.modulusBits, 1024],
      [CKA.publicExponent, Uint8Array.of(3)],
      [CKA.verify, true],
    ],
    privateKeyTemplate('RSA', 'ICC', 'session', randomBytes(16)),
  );
  await session.destroyObject(publicKey);
  await session.destroyObject(privateKey);
  return true;
}

async function derivesContentKey(session: TokenSession): Promise<boolean> {
  const id = randomBytes(16);
  const pair = await session.generateKeyPair(
    plainMechanism(CKM.ecKeyPairGen),
    [
      [CKA.token, false],
      [CKA.ecParameters, p256Parameters],
      [CKA.verify, true],
    ],
    privateKeyTemplate('EC-P256', 'JWE-RECIPIENT', 'session', id),
  );
  try {
    const { x, y } = generateKeyPairSync('ec', { namedCurve: 'P-256' }).publicKey.export({ format: 'jwk' });
    const mechanism = ecdh(uncompressedPoint(x ?? '', y ?? ''));
    const key = await deriveContentKey(session, pair.privateKey, mechanism, new Uint8Array(8));
    await session.destroyObject(key);
    return true;
  } finally {
    await session.destroyObject(pair.publicKey);
    await session.destroyObject(pair.privateKey);
  }
}

const noPinMechanism =
  'the clear PIN of one block: no mechanism checks a PIN block; the PIN keys stay inside';

/** Operations that show key bytes to this process on this token, and which bytes. */
export function hostKeyByteNotes(methods: TokenMethods): ReadonlyMap<KeyOperationName, string> {
  const notes = new Map<KeyOperationName, string>([
    ['wrapRsaForCard', 'the parts of one ICC key: no mechanism enciphers them one by one'],
    ['checkPinBlock', noPinMechanism],
    ['pvv', noPinMechanism],
    ['wrapPinForCard', noPinMechanism],
    ['holdCeremony', 'components and the key they make: no mechanism combines what people type'],
    ['importKeyBlock', 'the protection key and the key in the block: no mechanism opens key blocks'],
  ]);
  if (!methods.wrapsInside['TDES-ECB']) notes.set('wrapForCard/TDES-ECB', 'card keys: no wrapping with 3DES');
  if (!methods.wrapsInside['AES-CBC'])
    notes.set('wrapForCard/AES-CBC', 'card keys: no wrapping with AES-CBC');
  if (!methods.generatesExponent3) notes.set('generateRsa/3', 'the new key: the token refuses exponent 3');
  if (!methods.derivesContentKey) notes.set('openJwe', 'the agreed secret of one message');
  return notes;
}
