/**
 * Whether two keys of one kind in a token are the same key, without seeing either.
 *
 * Invariant: what is compared is what the keys do to a fixed input, or their public halves.
 */
import { equalBytes } from '@cardwright/emv';
import { type KeyHandle } from '../key-port.ts';
import { type TokenMaterial } from '../key-ring.ts';
import { CKM } from './cryptoki-constants.ts';
import { plainMechanism } from './mechanism.ts';
import { readRsaPublicKey } from './token-public-key.ts';
import { derives } from './token-key-template.ts';
import { tdesCheckValue } from './token-composition.ts';
import { type ObjectHandle, type TokenSession } from './token-session.ts';

const fixedInput = new Uint8Array(16);

/** @param handle what both keys are */
export async function isSameKey(
  session: TokenSession,
  handle: KeyHandle,
  held: TokenMaterial,
  offered: TokenMaterial,
): Promise<boolean> {
  if (handle.algorithm === 'EC-P256') {
    return equalBytes(held.publicPoint ?? new Uint8Array(0), offered.publicPoint ?? new Uint8Array(0));
  }
  const [a, b] = [await trace(session, handle, held.object), await trace(session, handle, offered.object)];
  return equalBytes(a, b);
}

async function trace(session: TokenSession, handle: KeyHandle, object: ObjectHandle): Promise<Uint8Array> {
  switch (handle.algorithm) {
    case 'RSA':
      return (await readRsaPublicKey(session, object)).modulus;
    case 'TDES-2KEY':
      return tdesCheckValue(session, object, derives(handle.usage));
    case 'HMAC-SHA256':
      return session.sign(object, plainMechanism(CKM.sha256Hmac), fixedInput);
    default:
      return session.sign(object, plainMechanism(CKM.aesCmac), fixedInput);
  }
}
