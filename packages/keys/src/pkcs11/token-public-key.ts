/** Public halves of keys in a token: RSA numbers, P-256 as a JWK. Nothing here is secret. */
import { hash } from 'node:crypto';
import { KeyError, type KeyPort, type RsaPublicKey } from '../key-port.ts';
import { CKA } from './cryptoki-constants.ts';
import { type ObjectHandle, type TokenSession } from './token-session.ts';

type PublicEcJwk = Awaited<ReturnType<KeyPort['ecPublicJwk']>>;

/** Modulus and exponent of a private key object, without leading zeros. */
export async function readRsaPublicKey(session: TokenSession, object: ObjectHandle): Promise<RsaPublicKey> {
  const [modulus, exponent] = await session.attributes(object, [CKA.modulus, CKA.publicExponent]);
  if (!modulus || !exponent) throw new KeyError('KEY_STORE', 'an RSA key without a public half');
  return { modulus: withoutLeadingZeros(modulus), exponent: withoutLeadingZeros(exponent) };
}

function withoutLeadingZeros(number: Uint8Array): Uint8Array {
  const first = number.findIndex((byte) => byte !== 0);
  return number.slice(Math.max(0, first));
}

/** The kid is the RFC 7638 thumbprint, as in the software adapter. */
export function publicJwk(point: Uint8Array | undefined): PublicEcJwk {
  if (point?.length !== 65) throw new KeyError('KEY_STORE', 'an EC key without a public point');
  const [x, y] = [point.subarray(1, 33), point.subarray(33)].map((part) =>
    Buffer.from(part).toString('base64url'),
  );
  if (x === undefined || y === undefined) throw new KeyError('KEY_STORE', 'an EC key without a public point');
  const kid = hash('sha256', `{"crv":"P-256","kty":"EC","x":"${x}","y":"${y}"}`, 'base64url');
  return { kty: 'EC', crv: 'P-256', x, y, kid };
}
