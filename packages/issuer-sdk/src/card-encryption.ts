/**
 * Card data as a compact JWE for the API (d1-api contract, chapter 8): ECDH-ES direct, A256GCM, P-256, with the
 * recipient's `kid`. Nothing else is put into the header; compression is never used.
 */
import { type CardData } from '@cardwright/protocol';
import { CompactEncrypt, importJWK, type JWK } from 'jose';

/** Encrypts card data for the owner of `recipientKey`. Throws `TypeError` for a key that is not P-256 with `kid`. */
export async function encryptCardData(card: CardData, recipientKey: JWK): Promise<string> {
  const { kty, crv, x, y, kid } = recipientKey;
  if (kty !== 'EC' || crv !== 'P-256' || x === undefined || y === undefined || kid === undefined) {
    throw new TypeError('recipientKey must be a P-256 public JWK with a kid');
  }
  const key = await importJWK({ kty, crv, x, y }, 'ECDH-ES');
  return new CompactEncrypt(new TextEncoder().encode(JSON.stringify(card)))
    .setProtectedHeader({ alg: 'ECDH-ES', enc: 'A256GCM', kid })
    .encrypt(key);
}
