/**
 * The key of the token that the register of key lives is sealed with: it makes the register belong to the token.
 *
 * Invariants: it never leaves the token; what the host gets is one MAC of it over a fixed text, good for registers and
 * for nothing else; it has no name that the key port knows. Whoever can log in to the token can compute that MAC, as
 * they can use every other key in it.
 */
import { type Attribute } from './attribute-template.ts';
import { CKA, CKK, CKM } from './cryptoki-constants.ts';
import { plainMechanism } from './mechanism.ts';
import { helperKeyTemplate } from './token-key-template.ts';
import { type ObjectHandle, type TokenSession } from './token-session.ts';

/** No label of a named key: `parseLabel` does not know it. */
const label = 'cardwright-register/1';
const purpose = new TextEncoder().encode('cardwright-key-register/1');

export async function findRegisterKey(session: TokenSession): Promise<ObjectHandle | undefined> {
  const [key] = await session.findObjects([
    [CKA.token, true],
    [CKA.label, label],
  ]);
  return key;
}

export function makeRegisterKey(session: TokenSession): Promise<ObjectHandle> {
  const stored: Attribute[] = [
    [CKA.token, true],
    [CKA.label, label],
    [CKA.modifiable, false],
  ];
  const template = helperKeyTemplate(CKK.genericSecret, ['sign'], 'session', 32);
  const rest = template.filter(([type]) => type !== CKA.token);
  return session.generateKey(plainMechanism(CKM.genericSecretKeyGen), [...stored, ...rest]);
}

/** 32 bytes for `KeyRegister`, which the caller wipes. */
export function registerMacKey(session: TokenSession, key: ObjectHandle): Promise<Uint8Array> {
  return session.sign(key, plainMechanism(CKM.sha256Hmac), purpose);
}
