/**
 * Attributes of the keys of this adapter: what the token itself lets a key do, and how a named key is labelled.
 *
 * Invariants: every secret and private key is CKA_SENSITIVE; only keys whose purpose is to reach a card (UDK, ICC)
 * are CKA_EXTRACTABLE, and of named keys only key block protection keys, which no token here uses inside; a key that derives cannot encrypt where the algorithm allows it;
 * no key both decrypts and wraps, which together would read keys out.
 *
 * Label of a named key: `cardwright/1 <environment> <usage> <algorithm> <role> <name>`.
 */
import { type KeyAlgorithm, type KeyUsage } from '../key-port.ts';
import { algorithmsByUsage, keyUsages } from '../key-usage.ts';
import { type Attribute } from './attribute-template.ts';
import { CKA, CKK, CKO } from './cryptoki-constants.ts';

/** A named key may need a companion: the first half of a 3DES key, a wrapping key, the public point. */
export type ObjectRole = 'key' | 'first-half' | 'wrapper' | 'public';
const roles: readonly ObjectRole[] = ['key', 'first-half', 'wrapper', 'public'];

export interface ObjectLabel {
  readonly environment: 'test' | 'production';
  readonly usage: KeyUsage;
  readonly algorithm: KeyAlgorithm;
  readonly role: ObjectRole;
  readonly name: string;
}

const labelPrefix = 'cardwright/1';

export function labelText({ environment, usage, algorithm, role, name }: ObjectLabel): string {
  return [labelPrefix, environment, usage, algorithm, role, name].join(' ');
}

/** Undefined for an object that is not ours. */
export function parseLabel(text: string): ObjectLabel | undefined {
  const [prefix, environment, usageText, algorithmText, roleText, name, ...more] = text.split(' ');
  const usage = keyUsages.find((known) => known === usageText);
  const algorithm = usage && algorithmsByUsage[usage].find((known) => known === algorithmText);
  const role = roles.find((known) => known === roleText);
  if (prefix !== labelPrefix || (environment !== 'test' && environment !== 'production')) return undefined;
  if (!usage || !algorithm || !role || name === undefined || more.length > 0) return undefined;
  return { environment, usage, algorithm, role, name };
}

type Permission = 'encrypt' | 'decrypt' | 'sign' | 'derive' | 'wrap' | 'unwrap';
const everyPermission: readonly Permission[] = ['encrypt', 'decrypt', 'sign', 'derive', 'wrap', 'unwrap'];

const tdesPermissions: Readonly<Partial<Record<KeyUsage, readonly Permission[]>>> = {
  'IMK-AC': ['derive'],
  'IMK-SMI': ['derive'],
  'IMK-SMC': ['derive'],
  KMC: ['derive'],
  'CARD-STATIC': ['derive'],
  UDK: ['derive'],
  'AC-SESSION': ['encrypt'],
  CVK: ['encrypt'],
  PVK: ['encrypt'],
  // Derives the public value that is its check value.
  PIN: ['decrypt', 'derive'],
  'CARD-SESSION': ['encrypt', 'wrap'],
  // Used outside; derives the public value that is its check value.
  KBPK: ['derive'],
};

/** AES keys that derive also encrypt: the chaining value before the last block of the CMAC comes from the host. */
const aesPermissions: Readonly<Partial<Record<KeyUsage, readonly Permission[]>>> = {
  KMC: ['encrypt', 'sign', 'derive'],
  'CARD-STATIC': ['encrypt', 'sign', 'derive', 'wrap'],
  'CARD-SESSION': ['encrypt', 'sign'],
  SEAL: ['encrypt', 'decrypt', 'sign'],
  PIN: ['decrypt', 'sign'],
  // Used outside; signs its check value.
  KBPK: ['sign'],
};

/** Usages whose 3DES keys derive and therefore do not encrypt. */
export function derives(usage: KeyUsage): boolean {
  return tdesPermissions[usage]?.includes('derive') ?? false;
}

function permissionsOf(algorithm: KeyAlgorithm, usage: KeyUsage): readonly Permission[] {
  switch (algorithm) {
    case 'TDES-2KEY':
      return tdesPermissions[usage] ?? [];
    case 'AES-128':
    case 'AES-256':
      return aesPermissions[usage] ?? [];
    case 'HMAC-SHA256':
    case 'RSA':
      return ['sign'];
    case 'EC-P256':
      return ['derive'];
  }
}

function permissionAttributes(granted: readonly Permission[], asked: readonly Permission[]): Attribute[] {
  return asked.map((permission) => [CKA[permission], granted.includes(permission)] as const);
}

/** Where an object lives: named in the token, or until its session ends. */
export type ObjectPlace = ObjectLabel | 'session';

function placeAttributes(place: ObjectPlace): Attribute[] {
  if (place === 'session') return [[CKA.token, false]];
  return [
    [CKA.token, true],
    [CKA.label, labelText(place)],
    [CKA.modifiable, false],
  ];
}

/** Usages whose keys leave under another key: UDKs and ICC keys go to the card. */
function isExtractable(usage: KeyUsage): boolean {
  return usage === 'UDK' || usage === 'ICC' || isNamedKeyExtractable(usage);
}

/** Of keys with a name: those that wrap and unwrap key blocks, in the host. */
export function isNamedKeyExtractable(usage: KeyUsage): boolean {
  return usage === 'KBPK';
}

function protection(isKeyExtractable: boolean): Attribute[] {
  return [
    [CKA.private, true],
    [CKA.sensitive, true],
    [CKA.extractable, isKeyExtractable],
  ];
}

const secretKeyTypes: Readonly<Record<Exclude<KeyAlgorithm, 'RSA' | 'EC-P256'>, number>> = {
  'TDES-2KEY': CKK.des2,
  'AES-128': CKK.aes,
  'AES-256': CKK.aes,
  'HMAC-SHA256': CKK.genericSecret,
};
type SecretAlgorithm = keyof typeof secretKeyTypes;

/** Template of a secret key that is derived, unwrapped or generated; `length` bytes when the mechanism asks. */
export function secretKeyTemplate(
  algorithm: SecretAlgorithm,
  usage: KeyUsage,
  place: ObjectPlace,
  length?: number,
): Attribute[] {
  return [
    [CKA.class, CKO.secretKey],
    [CKA.keyType, secretKeyTypes[algorithm]],
    ...placeAttributes(place),
    ...protection(isExtractable(usage)),
    ...permissionAttributes(permissionsOf(algorithm, usage), everyPermission),
    ...(length === undefined ? [] : [[CKA.valueLength, length] as const]),
  ];
}

/** A key that does one thing and is gone with its session, or beside a named key. */
export function helperKeyTemplate(
  keyType: number,
  permissions: readonly Permission[],
  place: ObjectPlace,
  length?: number,
): Attribute[] {
  return [
    [CKA.class, CKO.secretKey],
    [CKA.keyType, keyType],
    ...placeAttributes(place),
    ...protection(false),
    ...permissionAttributes(permissions, everyPermission),
    ...(length === undefined ? [] : [[CKA.valueLength, length] as const]),
  ];
}

/** A value that may be known: a check value, or the agreed secret of one message. */
export function publicValueTemplate(length: number): Attribute[] {
  return [
    [CKA.class, CKO.secretKey],
    [CKA.keyType, CKK.genericSecret],
    [CKA.token, false],
    [CKA.private, false],
    [CKA.sensitive, false],
    [CKA.extractable, true],
    [CKA.valueLength, length],
  ];
}

/** Template of a private key; NSS needs an identifier of its own for each. */
export function privateKeyTemplate(
  algorithm: 'RSA' | 'EC-P256',
  usage: KeyUsage,
  place: ObjectPlace,
  id: Uint8Array,
): Attribute[] {
  return [
    ...placeAttributes(place),
    [CKA.id, id],
    ...protection(isExtractable(usage)),
    ...permissionAttributes(permissionsOf(algorithm, usage), ['decrypt', 'sign', 'derive', 'unwrap']),
  ];
}
