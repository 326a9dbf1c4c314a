/**
 * Opens one compact JWE from an issuer: our own checks first, then the library with algorithm allow-lists.
 *
 * Invariants: everything that can be counted is counted before any cryptography (d1-api.md OD-8.1); only header
 * members on the list are accepted (OD-8.2); every refusal is the same error, so that the answer tells an attacker
 * nothing about which check failed.
 */
import { type KeyObject } from 'node:crypto';
import { compactDecrypt } from 'jose';
import { KeyError } from './key-port.ts';

const maxCharacters = 8192;
const requiredMembers: readonly string[] = ['alg', 'enc', 'kid', 'epk'];
const optionalMembers: readonly string[] = ['typ', 'cty', 'apu', 'apv'];
const ephemeralKeyMembers: readonly string[] = ['kty', 'crv', 'x', 'y'];

/**
 * Plaintext of an ECDH-ES + A256GCM JWE addressed to `kid`. The caller wipes it.
 * @throws KeyError JWE_INVALID, alike for every cause
 */
export async function openCompactJwe(privateKey: KeyObject, kid: string, jwe: string): Promise<Uint8Array> {
  if (!readCompactJwe(jwe, kid)) throw jweRefusal();
  try {
    const { plaintext } = await compactDecrypt(jwe, privateKey, {
      keyManagementAlgorithms: ['ECDH-ES'],
      contentEncryptionAlgorithms: ['A256GCM'],
      maxDecompressedLength: 0,
    });
    return plaintext;
  } catch {
    throw jweRefusal();
  }
}

export function jweRefusal(): KeyError {
  return new KeyError('JWE_INVALID', 'the JWE was refused');
}

/** A JWE that passed every check that needs no key. */
export interface CompactJwe {
  /** The protected header as it was sent: the additional data. */
  readonly protectedHeader: string;
  readonly ephemeralKey: {
    readonly kty: 'EC';
    readonly crv: 'P-256';
    readonly x: string;
    readonly y: string;
  };
  readonly apu: Uint8Array;
  readonly apv: Uint8Array;
  readonly iv: Uint8Array;
  readonly ciphertext: Uint8Array;
  readonly tag: Uint8Array;
}

/** Undefined for whatever an adapter must not touch. */
export function readCompactJwe(jwe: string, kid: string): CompactJwe | undefined {
  if (jwe.length > maxCharacters) return undefined;
  const parts = jwe.split('.');
  const [protectedHeader] = parts;
  if (parts.length !== 5 || protectedHeader === undefined) return undefined;
  const [header, encryptedKey, iv, ciphertext, tag] = parts.map(decodeCanonical);
  if (!header || encryptedKey?.length !== 0 || iv?.length !== 12 || !ciphertext || tag?.length !== 16) {
    return undefined;
  }
  const members = parseObject(header);
  if (!members || !isAcceptableHeader(members, kid)) return undefined;
  const { x, y } = members['epk'] as { x: string; y: string };
  const party = (name: 'apu' | 'apv'): Uint8Array =>
    Buffer.from((members[name] ?? '') as string, 'base64url');
  const ephemeralKey = { kty: 'EC', crv: 'P-256', x, y } as const;
  return { protectedHeader, ephemeralKey, apu: party('apu'), apv: party('apv'), iv, ciphertext, tag };
}

function isAcceptableHeader(header: Readonly<Record<string, unknown>>, kid: string): boolean {
  const members = Object.keys(header);
  if (!requiredMembers.every((member) => members.includes(member))) return false;
  if (!members.every((member) => requiredMembers.includes(member) || optionalMembers.includes(member))) {
    return false;
  }
  if (
    !optionalMembers.every((member) => header[member] === undefined || typeof header[member] === 'string')
  ) {
    return false;
  }
  if (header['alg'] !== 'ECDH-ES' || header['enc'] !== 'A256GCM' || header['kid'] !== kid) return false;
  return isP256PublicKey(header['epk']);
}

function isP256PublicKey(value: unknown): boolean {
  if (!isObject(value)) return false;
  const members = Object.keys(value);
  if (members.length !== 4 || !ephemeralKeyMembers.every((member) => members.includes(member))) return false;
  if (value['kty'] !== 'EC' || value['crv'] !== 'P-256') return false;
  return isCoordinate(value['x']) && isCoordinate(value['y']);
}

function isCoordinate(value: unknown): boolean {
  return typeof value === 'string' && decodeCanonical(value)?.length === 32;
}

function parseObject(bytes: Uint8Array): Readonly<Record<string, unknown>> | undefined {
  try {
    const value: unknown = JSON.parse(new TextDecoder('utf-8', { fatal: true }).decode(bytes));
    return isObject(value) ? value : undefined;
  } catch {
    return undefined;
  }
}

function isObject(value: unknown): value is Readonly<Record<string, unknown>> {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

/** base64url without padding; a second spelling of the same bytes is refused. */
function decodeCanonical(text: string): Buffer | undefined {
  const bytes = Buffer.from(text, 'base64url');
  return bytes.toString('base64url') === text ? bytes : undefined;
}
