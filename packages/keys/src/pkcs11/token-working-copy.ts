/**
 * Copies of named keys as session objects, inside the token: some tokens read and decipher a stored key at every use
 * (NSS derives a key from the PIN for each attribute, which takes milliseconds).
 *
 * Invariants: a copy is as sensitive and as little extractable as its original, or it is destroyed and the original
 * is used; the copy ends with its session; a token that copies nothing is served all the same.
 */
import { type TokenMaterial } from '../key-ring.ts';
import { CKA } from './cryptoki-constants.ts';
import { Pkcs11Error } from './pkcs11-error.ts';
import { type ObjectHandle, type TokenSession } from './token-session.ts';

/** The same key, to work with. Named objects stay as they are. */
export async function workingCopyOf(session: TokenSession, material: TokenMaterial): Promise<TokenMaterial> {
  const { object, firstHalf, wrapper } = material;
  return {
    ...material,
    object: await copyOf(session, object),
    ...(firstHalf !== undefined && { firstHalf: await copyOf(session, firstHalf) }),
    ...(wrapper !== undefined && { wrapper: await copyOf(session, wrapper) }),
  };
}

async function copyOf(session: TokenSession, object: ObjectHandle): Promise<ObjectHandle> {
  try {
    const copy = await session.copyObject(object, [[CKA.token, false]]);
    const [sensitive, extractable] = await session.attributes(copy, [CKA.sensitive, CKA.extractable]);
    if (sensitive?.[0] === 1 && extractable?.[0] === 0) return copy;
    await session.destroyObject(copy);
    return object;
  } catch (error) {
    if (error instanceof Pkcs11Error && !error.isTokenLost) return object;
    throw error;
  }
}
