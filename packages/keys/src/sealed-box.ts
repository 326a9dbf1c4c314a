/**
 * Authenticated encryption of one buffer: AES-256-GCM, a fresh random nonce, the purpose bound as additional data.
 *
 * Invariant: a box opens only under the same key with the same additional data, every byte unchanged; why it did
 * not open is not told.
 */
import { createCipheriv, createDecipheriv, randomBytes } from 'node:crypto';

const nonceLength = 12;
const tagLength = 16;

/** `nonce (12) | ciphertext | tag (16)` */
export function closeBox(key: Uint8Array, additionalData: Uint8Array, plaintext: Uint8Array): Uint8Array {
  const nonce = randomBytes(nonceLength);
  const cipher = createCipheriv('aes-256-gcm', key, nonce, { authTagLength: tagLength });
  cipher.setAAD(additionalData);
  const ciphertext = cipher.update(plaintext);
  cipher.final();
  const box = new Uint8Array(nonceLength + ciphertext.length + tagLength);
  box.set(nonce, 0);
  box.set(ciphertext, nonceLength);
  box.set(cipher.getAuthTag(), nonceLength + ciphertext.length);
  return box;
}

/** The plaintext, or undefined when the box is broken in any way. The caller wipes it. */
export function openBox(
  key: Uint8Array,
  additionalData: Uint8Array,
  box: Uint8Array,
): Uint8Array<ArrayBuffer> | undefined {
  if (box.length < nonceLength + tagLength) return undefined;
  const decipher = createDecipheriv('aes-256-gcm', key, box.subarray(0, nonceLength), {
    authTagLength: tagLength,
  });
  decipher.setAAD(additionalData);
  decipher.setAuthTag(box.subarray(box.length - tagLength));
  const clear = decipher.update(box.subarray(nonceLength, box.length - tagLength));
  try {
    decipher.final();
    return new Uint8Array(clear);
  } catch {
    return undefined;
  } finally {
    clear.fill(0);
  }
}

/** What a sealed blob holds; bound as additional data, so that `unseal` never opens a sealed private key. */
export type SealedContent = 'data' | 'rsa-key';

/** Additional data of a blob that a sealing key of the port closes. */
export function sealAdditionalData(content: SealedContent, context: string): Uint8Array {
  return new TextEncoder().encode(`cardwright-seal/1|${content}|${context}`);
}
