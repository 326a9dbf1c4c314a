/**
 * Makes, imports and destroys the objects of one key in a token: the key and the companions that it needs.
 *
 * Invariants: the object with the role `key` is made last, so that a named key either exists whole or does not; what
 * was made before a failure is destroyed; a 3DES key's first half is made by the token's own derivation, never from
 * bytes, unless the key itself is imported from bytes.
 */
import { createPrivateKey, createPublicKey, type KeyObject, randomBytes } from 'node:crypto';
import { concatBytes } from '@cardwright/emv';
import { generateRsaKey } from '../key-making.ts';
import { type KeyAlgorithm, KeyError, type KeyUsage } from '../key-port.ts';
import { type TokenMaterial } from '../key-ring.ts';
import { type Attribute } from './attribute-template.ts';
import { CKA, CKK, CKM, CKO } from './cryptoki-constants.ts';
import { type Mechanism, mechanismWithData, plainMechanism } from './mechanism.ts';
import {
  helperKeyTemplate,
  type ObjectPlace,
  type ObjectRole,
  privateKeyTemplate,
  secretKeyTemplate,
} from './token-key-template.ts';
import {
  encodedPoint,
  importRsaKey,
  p256ImportTemplate,
  p256Parameters,
  p256PrivateValue,
  uncompressedPoint,
} from './token-key-transport.ts';
import { type ObjectHandle, type TokenSession } from './token-session.ts';

type SecretAlgorithm = Exclude<KeyAlgorithm, 'RSA' | 'EC-P256'>;
export type PlaceOf = (role: ObjectRole) => ObjectPlace;
export const inSession: PlaceOf = () => 'session';

const secretLengths: Readonly<Record<SecretAlgorithm, number>> = {
  'TDES-2KEY': 16,
  'AES-128': 16,
  'AES-256': 32,
  'HMAC-SHA256': 32,
};

/** Usages that compute single DES under the first half of their key. */
export function needsFirstHalf(algorithm: KeyAlgorithm, usage: KeyUsage): boolean {
  return algorithm === 'TDES-2KEY' && (usage === 'CVK' || usage === 'CARD-SESSION' || usage === 'AC-SESSION');
}

/** Runs `make`; when it fails, destroys what it registered. */
async function allOrNothing<T>(
  session: TokenSession,
  make: (made: (object: ObjectHandle) => ObjectHandle) => Promise<T>,
): Promise<T> {
  const objects: ObjectHandle[] = [];
  try {
    return await make((object) => {
      objects.push(object);
      return object;
    });
  } catch (error) {
    for (const object of objects) await session.destroyObject(object);
    throw error;
  }
}

export async function destroyKey(session: TokenSession, key: TokenMaterial): Promise<void> {
  for (const object of [key.object, key.firstHalf, key.wrapper]) {
    if (object !== undefined) await session.destroyObject(object);
  }
}

// --- secret keys ---

/** A random key, made by the token. */
export async function generateSecretKey(
  session: TokenSession,
  algorithm: SecretAlgorithm,
  usage: KeyUsage,
  placeOf: PlaceOf,
): Promise<TokenMaterial> {
  if (needsFirstHalf(algorithm, usage)) return generateWithFirstHalf(session, usage, placeOf);
  return allOrNothing(session, async (made) => {
    const wrapper = usage === 'SEAL' ? { wrapper: made(await generateWrapper(session, placeOf)) } : {};
    const length = algorithm === 'TDES-2KEY' ? undefined : secretLengths[algorithm];
    const template = secretKeyTemplate(algorithm, usage, placeOf('key'), length);
    return {
      kind: 'token',
      object: await session.generateKey(generationOf(algorithm), template),
      ...wrapper,
    };
  });
}

function generationOf(algorithm: SecretAlgorithm): Mechanism {
  switch (algorithm) {
    case 'TDES-2KEY':
      return plainMechanism(CKM.des2KeyGen);
    case 'AES-128':
    case 'AES-256':
      return plainMechanism(CKM.aesKeyGen);
    case 'HMAC-SHA256':
      return plainMechanism(CKM.genericSecretKeyGen);
  }
}

function generateWrapper(session: TokenSession, placeOf: PlaceOf): Promise<ObjectHandle> {
  const template = helperKeyTemplate(CKK.aes, ['wrap', 'unwrap'], placeOf('wrapper'), 32);
  return session.generateKey(plainMechanism(CKM.aesKeyGen), template);
}

/** A key and its first half, both derived from a random key that is destroyed. */
async function generateWithFirstHalf(
  session: TokenSession,
  usage: KeyUsage,
  placeOf: PlaceOf,
): Promise<TokenMaterial> {
  const seed = await session.generateKey(
    plainMechanism(CKM.des2KeyGen),
    helperKeyTemplate(CKK.des2, ['derive'], 'session'),
  );
  try {
    const mechanism = (data: Uint8Array): Mechanism => mechanismWithData(CKM.des3EcbEncryptData, data);
    return await deriveTdesKey(session, seed, randomBytes(16), usage, mechanism, placeOf);
  } finally {
    await session.destroyObject(seed);
  }
}

/**
 * A 3DES key derived in the token. `mechanism` makes the key of 16 bytes of data; the first half is E(d1) | E(d1),
 * which both ECB and CBC with a zero vector give to the first block.
 */
export async function deriveTdesKey(
  session: TokenSession,
  parent: ObjectHandle,
  data: Uint8Array,
  usage: KeyUsage,
  mechanism: (data: Uint8Array) => Mechanism,
  placeOf: PlaceOf = inSession,
): Promise<TokenMaterial> {
  return allOrNothing(session, async (made) => {
    let companion = {};
    if (needsFirstHalf('TDES-2KEY', usage)) {
      const twice = concatBytes(data.subarray(0, 8), data.subarray(0, 8));
      const template = derivable(helperKeyTemplate(CKK.des2, ['encrypt'], placeOf('first-half')));
      const how = mechanismWithData(CKM.des3EcbEncryptData, twice);
      companion = { firstHalf: made(await session.deriveKey(parent, how, template)) };
    }
    const template = derivable(secretKeyTemplate('TDES-2KEY', usage, placeOf('key')));
    return {
      kind: 'token',
      object: await session.deriveKey(parent, mechanism(data), template),
      ...companion,
    };
  });
}

/** SoftHSM writes a derived value after it has made the object: such an object cannot be unchangeable from the start. */
function derivable(template: readonly Attribute[]): Attribute[] {
  return template.filter(([type]) => type !== CKA.modifiable);
}

/** A key from bytes, which the caller wipes. */
export async function importSecretKey(
  session: TokenSession,
  algorithm: SecretAlgorithm,
  usage: KeyUsage,
  value: Uint8Array,
  placeOf: PlaceOf,
): Promise<TokenMaterial> {
  return allOrNothing(session, async (made) => {
    let companions = {};
    if (needsFirstHalf(algorithm, usage)) {
      const twice = concatBytes(value.subarray(0, 8), value.subarray(0, 8));
      const template = helperKeyTemplate(CKK.des2, ['encrypt'], placeOf('first-half'));
      const object = await session
        .createObject([...template, [CKA.value, twice]])
        .finally(() => twice.fill(0));
      companions = { firstHalf: made(object) };
    }
    if (usage === 'SEAL') companions = { wrapper: made(await generateWrapper(session, placeOf)) };
    const template = secretKeyTemplate(algorithm, usage, placeOf('key'));
    return {
      kind: 'token',
      object: await session.createObject([...template, [CKA.value, value]]),
      ...companions,
    };
  });
}

// --- RSA ---

/** @param isInside whether the token generates this exponent; otherwise the key is made here and put into it */
export async function generateRsaInToken(
  session: TokenSession,
  bits: number,
  exponent: 3 | 65537,
  usage: KeyUsage,
  place: ObjectPlace,
  isInside: boolean,
): Promise<TokenMaterial> {
  if (bits < 1024 || bits > 1984 || bits % 8 !== 0) throw new RangeError(`an RSA key of ${bits} bits`);
  if (!isInside) {
    const key = await generateRsaKey(bits, exponent);
    return { kind: 'token', object: await importRsaKey(session, key, usage, place) };
  }
  const { publicKey, privateKey } = await session.generateKeyPair(
    plainMechanism(CKM.rsaKeyPairGen),
    [
      [CKA.token, false],
      [CKA.modulusBits, bits],
      [CKA.publicExponent, exponent === 3 ? Uint8Array.of(3) : Uint8Array.of(1, 0, 1)],
      [CKA.verify, true],
    ],
    privateKeyTemplate('RSA', usage, place, randomBytes(16)),
  );
  await session.destroyObject(publicKey);
  return { kind: 'token', object: privateKey };
}

// --- P-256 ---

function publicPointTemplate(
  place: ObjectPlace,
  id: Uint8Array,
  placeTemplate: readonly Attribute[],
): Attribute[] {
  return [...placeTemplate, [CKA.id, id], [CKA.ecParameters, p256Parameters], [CKA.verify, true]];
}

/** A P-256 key for ECDH. A named one keeps its public point as an object of its own. */
export async function generateP256(
  session: TokenSession,
  usage: KeyUsage,
  placeOf: PlaceOf,
): Promise<TokenMaterial> {
  const id = randomBytes(16);
  const { publicKey, privateKey } = await session.generateKeyPair(
    plainMechanism(CKM.ecKeyPairGen),
    publicPointTemplate(placeOf('public'), id, publicPlace(placeOf('public'))),
    privateKeyTemplate('EC-P256', usage, placeOf('key'), id),
  );
  const publicPoint = await readPoint(session, publicKey);
  if (placeOf('public') === 'session') await session.destroyObject(publicKey);
  return { kind: 'token', object: privateKey, publicPoint };
}

function publicPlace(place: ObjectPlace): Attribute[] {
  // Public objects carry the same label and are as little changeable as the rest.
  const template = helperKeyTemplate(CKK.ec, [], place);
  const kept: readonly number[] = [CKA.token, CKA.label, CKA.modifiable];
  return template.filter(([type]) => kept.includes(type));
}

export async function importP256(
  session: TokenSession,
  key: KeyObject,
  usage: KeyUsage,
  placeOf: PlaceOf,
): Promise<TokenMaterial> {
  const { x, y } = createPublicKey(key).export({ format: 'jwk' });
  const publicPoint = uncompressedPoint(x ?? '', y ?? '');
  const id = randomBytes(16);
  const value = p256PrivateValue(key);
  try {
    return await allOrNothing(session, async (made) => {
      const place = placeOf('public');
      if (place !== 'session') {
        const template = publicPointTemplate(place, id, publicPlace(place));
        const classes: Attribute[] = [
          [CKA.class, CKO.publicKey],
          [CKA.keyType, CKK.ec],
          [CKA.ecPoint, encodedPoint(publicPoint)],
        ];
        made(await session.createObject([...classes, ...template]));
      }
      const template = p256ImportTemplate(usage, placeOf('key'), id, value);
      return { kind: 'token', object: await createP256(session, template, publicPoint), publicPoint };
    });
  } finally {
    value.fill(0);
  }
}

/** NSS refuses the import without its own attribute, others refuse the attribute. */
async function createP256(
  session: TokenSession,
  template: readonly Attribute[],
  point: Uint8Array,
): Promise<ObjectHandle> {
  try {
    return await session.createObject([...template, [CKA.nssDatabase, encodedPoint(point)]]);
  } catch {
    return session.createObject(template);
  }
}

/** The point of a public key object. */
export async function readPoint(session: TokenSession, object: ObjectHandle): Promise<Uint8Array> {
  const [encoded] = await session.attributes(object, [CKA.ecPoint]);
  // An octet string by the standard, bare in some modules.
  const point = encoded?.length === 67 ? encoded.subarray(2) : encoded;
  if (point?.length !== 65 || point[0] !== 0x04)
    throw new KeyError('KEY_STORE', 'a public key without a P-256 point');
  return point.slice();
}

/** Any key from a value as `ensure` takes it. */
export async function importKey(
  session: TokenSession,
  algorithm: KeyAlgorithm,
  usage: KeyUsage,
  value: Uint8Array,
  placeOf: PlaceOf,
): Promise<TokenMaterial> {
  if (algorithm !== 'RSA' && algorithm !== 'EC-P256') {
    return importSecretKey(session, algorithm, usage, value, placeOf);
  }
  const der = Buffer.from(value.buffer, value.byteOffset, value.length);
  const key = createPrivateKey({ key: der, format: 'der', type: 'pkcs8' });
  if (algorithm === 'EC-P256') return importP256(session, key, usage, placeOf);
  return { kind: 'token', object: await importRsaKey(session, key, usage, placeOf('key')) };
}
