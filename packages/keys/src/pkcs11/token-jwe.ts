/**
 * Opens a JWE with a P-256 key that a token holds: ECDH, the Concat KDF of RFC 7518 4.6.2, A256GCM.
 *
 * Invariants: a point that is not on the curve is refused before the token sees it; where the token can, the agreed
 * secret and the content key stay inside; where it cannot, both live in this function and are wiped.
 */
import { createDecipheriv, createPublicKey, hash } from 'node:crypto';
import { concatBytes, uintBytes } from '@cardwright/emv';
import { type CompactJwe, jweRefusal } from '../jwe-opening.ts';
import { CKA, CKK, CKM } from './cryptoki-constants.ts';
import { aesGcm, ecdh, type Mechanism, mechanismWithData, plainMechanism } from './mechanism.ts';
import { Pkcs11Error } from './pkcs11-error.ts';
import { helperKeyTemplate, publicValueTemplate } from './token-key-template.ts';
import { uncompressedPoint } from './token-key-transport.ts';
import { type ObjectHandle, type TokenSession } from './token-session.ts';

const firstRound = Uint8Array.of(0, 0, 0, 1);

/** Plaintext, wiped by the caller. @throws KeyError JWE_INVALID for whatever the sender caused */
export async function openJweInToken(
  session: TokenSession,
  key: ObjectHandle,
  jwe: CompactJwe,
  isDerivedInside: boolean,
): Promise<Uint8Array> {
  if (!isOnCurve(jwe.ephemeralKey)) throw jweRefusal();
  const agreement = ecdh(uncompressedPoint(jwe.ephemeralKey.x, jwe.ephemeralKey.y));
  return isDerivedInside
    ? openInside(session, key, agreement, jwe)
    : openInHost(session, key, agreement, jwe);
}

function isOnCurve(key: CompactJwe['ephemeralKey']): boolean {
  try {
    createPublicKey({ format: 'jwk', key });
    return true;
  } catch {
    return false;
  }
}

/** Everything behind Z in the one round of the KDF: algorithm, parties, 256 bits. */
function otherInfo({ apu, apv }: CompactJwe): Uint8Array {
  const algorithm = new TextEncoder().encode('A256GCM');
  return concatBytes(
    ...[algorithm, apu, apv].flatMap((part) => [uintBytes(part.length, 4), part]),
    uintBytes(256, 4),
  );
}

async function openInside(
  session: TokenSession,
  key: ObjectHandle,
  agreement: Mechanism,
  jwe: CompactJwe,
): Promise<Uint8Array> {
  const contentKey = await deriveContentKey(session, key, agreement, otherInfo(jwe));
  try {
    const gcm = aesGcm(jwe.iv, new TextEncoder().encode(jwe.protectedHeader));
    return await session.decrypt(contentKey, gcm, concatBytes(jwe.ciphertext, jwe.tag));
  } catch (error) {
    if (error instanceof Pkcs11Error && error.isDataRefused) throw jweRefusal();
    throw error;
  } finally {
    await session.destroyObject(contentKey);
  }
}

/** SHA-256(1 | Z | otherInfo) by the token's own steps; the intermediate keys are gone on return. */
export async function deriveContentKey(
  session: TokenSession,
  key: ObjectHandle,
  agreement: Mechanism,
  info: Uint8Array,
): Promise<ObjectHandle> {
  const steps: readonly (readonly [Mechanism, length: number])[] = [
    [agreement, 32],
    [mechanismWithData(CKM.concatenateDataAndBase, firstRound), 36],
    [mechanismWithData(CKM.concatenateBaseAndData, info), 36 + info.length],
  ];
  const intermediate: ObjectHandle[] = [];
  try {
    let base = key;
    for (const [mechanism, length] of steps) {
      const template = helperKeyTemplate(CKK.genericSecret, ['derive'], 'session', length);
      base = await session.deriveKey(base, mechanism, template);
      intermediate.push(base);
    }
    const template = helperKeyTemplate(CKK.aes, ['decrypt'], 'session', 32);
    return await session.deriveKey(base, plainMechanism(CKM.sha256KeyDerivation), template);
  } finally {
    for (const object of intermediate) await session.destroyObject(object);
  }
}

async function openInHost(
  session: TokenSession,
  key: ObjectHandle,
  agreement: Mechanism,
  jwe: CompactJwe,
): Promise<Uint8Array> {
  const object = await session.deriveKey(key, agreement, publicValueTemplate(32));
  const [secret] = await session.attributes(object, [CKA.value]).finally(() => session.destroyObject(object));
  if (secret?.length !== 32) throw jweRefusal();
  const input = concatBytes(firstRound, secret, otherInfo(jwe));
  const contentKey = hash('sha256', input, 'buffer');
  try {
    const decipher = createDecipheriv('aes-256-gcm', contentKey, jwe.iv, { authTagLength: 16 });
    decipher.setAAD(Buffer.from(jwe.protectedHeader, 'ascii')).setAuthTag(jwe.tag);
    const clear = decipher.update(jwe.ciphertext);
    decipher.final();
    return clear;
  } catch {
    throw jweRefusal();
  } finally {
    for (const bytes of [secret, input, contentKey]) bytes.fill(0);
  }
}
