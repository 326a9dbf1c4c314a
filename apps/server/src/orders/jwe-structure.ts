/**
 * What can be said about an order's JWE without opening it (OD-3.9, OD-8.1, OD-8.2): parts, lengths, algorithm,
 * key id and ephemeral key. Nothing here decrypts, and every refusal looks alike.
 */
import { createPublicKey } from 'node:crypto';
import { parseStrictJson } from '@cardwright/protocol';

export const maxJweLength = 8_192;
const ivBytes = 12;
const tagBytes = 16;
const kidPattern = /^[A-Za-z0-9._-]{1,128}$/;
const refusedMembers = ['zip', 'crit', 'jku', 'jwk', 'x5u', 'x5c'];

export type JweStructure = { readonly ok: true; readonly kid: string } | { readonly ok: false };

/** Decodes strict base64url: no padding, no foreign characters, no stray bits. */
function decodeBase64url(text: string): Buffer | undefined {
  if (!/^[A-Za-z0-9_-]*$/.test(text)) return undefined;
  const bytes = Buffer.from(text, 'base64url');
  return bytes.toString('base64url') === text ? bytes : undefined;
}

function isObject(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

function isEphemeralKey(value: unknown): boolean {
  if (!isObject(value) || value['kty'] !== 'EC' || value['crv'] !== 'P-256' || 'd' in value) return false;
  const { x, y } = value;
  if (typeof x !== 'string' || typeof y !== 'string') return false;
  if (decodeBase64url(x)?.length !== 32 || decodeBase64url(y)?.length !== 32) return false;
  try {
    // Refuses a point that is not on the curve.
    createPublicKey({ key: { kty: 'EC', crv: 'P-256', x, y }, format: 'jwk' });
    return true;
  } catch {
    return false;
  }
}

function kidOf(header: unknown): string | undefined {
  if (!isObject(header)) return undefined;
  if (refusedMembers.some((member) => member in header)) return undefined;
  if (header['alg'] !== 'ECDH-ES' || header['enc'] !== 'A256GCM') return undefined;
  for (const member of ['apu', 'apv']) {
    const value = header[member];
    if (value !== undefined && (typeof value !== 'string' || decodeBase64url(value) === undefined))
      return undefined;
  }
  const { kid } = header;
  if (typeof kid !== 'string' || !kidPattern.test(kid)) return undefined;
  return isEphemeralKey(header['epk']) ? kid : undefined;
}

/** Checks the outside of a compact JWE and gives its `kid`. */
export function checkJweStructure(jwe: string): JweStructure {
  if (jwe.length > maxJweLength) return { ok: false };
  const parts = jwe.split('.');
  if (parts.length !== 5) return { ok: false };
  const [header, key, iv, ciphertext, tag] = parts.map(decodeBase64url);
  if (key?.length !== 0 || iv?.length !== ivBytes || tag?.length !== tagBytes) return { ok: false };
  if (ciphertext === undefined || ciphertext.length === 0 || header === undefined) return { ok: false };
  const parsed = parseStrictJson(header.toString('utf8'));
  const kid = parsed.ok ? kidOf(parsed.value) : undefined;
  return kid === undefined ? { ok: false } : { ok: true, kid };
}
