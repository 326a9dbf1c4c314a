/**
 * The usage matrix: which usage may do which operation, which usage may be derived from which, and which
 * algorithms a usage may have.
 *
 * Invariant: an operation that is not listed for a usage is refused. The tables are the whole policy; the adapter
 * asks them before it touches a key. (security.md K5)
 */
import { type KeyAlgorithm, type KeyUsage } from './key-port.ts';

/** Operations of the port that need a key, by method name; sealRsa and wraps name each of their two roles. */
export type KeyOperation =
  | 'list'
  | 'tdesCbcEncrypt'
  | 'retailMac'
  | 'desFirstHalfEncrypt'
  | 'aesCmac'
  | 'aesEcbEncrypt'
  | 'aesCbcEncrypt'
  | 'hmac'
  | 'deriveTdesEcb'
  | 'deriveTdesCbc'
  | 'deriveAesCmac'
  | 'wrapUnderTdesEcb'
  | 'wrapUnderAesCbc'
  | 'beWrapped'
  | 'beWrappedRsa'
  | 'kcv'
  | 'rsaPublic'
  | 'rsaRawSign'
  | 'cvv'
  | 'openPin'
  | 'pvv'
  | 'seal'
  | 'unseal'
  | 'sealRsa'
  | 'beSealedRsa'
  | 'unsealRsa'
  | 'openJwe'
  | 'ecPublicJwk';

export const keyUsages: readonly KeyUsage[] = [
  'IMK-AC',
  'IMK-SMI',
  'IMK-SMC',
  'CVK',
  'PIN',
  'PVK',
  'KMC',
  'CARD-STATIC',
  'CARD-SESSION',
  'UDK',
  'AC-SESSION',
  'CA',
  'ISSUER',
  'ICC',
  'JWE-RECIPIENT',
  'SEAL',
  'TOKEN',
];

/** Which usages may do an operation. A session key may do what either SCP02 or SCP03 needs; algorithms differ. */
const usagesByOperation: Readonly<Record<KeyOperation, readonly KeyUsage[]>> = {
  // The inventory states a check value for every stored symmetric key.
  list: ['IMK-AC', 'IMK-SMI', 'IMK-SMC', 'CVK', 'PIN', 'PVK', 'KMC', 'CARD-STATIC', 'SEAL', 'TOKEN'],
  tdesCbcEncrypt: ['CARD-SESSION'],
  retailMac: ['CARD-SESSION', 'AC-SESSION'],
  desFirstHalfEncrypt: ['CARD-SESSION'],
  aesCmac: ['CARD-SESSION'],
  aesEcbEncrypt: ['CARD-SESSION'],
  aesCbcEncrypt: ['CARD-SESSION'],
  hmac: ['TOKEN'],
  deriveTdesEcb: ['IMK-AC', 'IMK-SMI', 'IMK-SMC', 'KMC', 'UDK'],
  deriveTdesCbc: ['CARD-STATIC'],
  deriveAesCmac: ['KMC', 'CARD-STATIC'],
  // SCP02 enciphers under the session DEK, SCP03 under the card's static DEK.
  wrapUnderTdesEcb: ['CARD-SESSION'],
  wrapUnderAesCbc: ['CARD-STATIC'],
  beWrapped: ['UDK'],
  beWrappedRsa: ['ICC'],
  kcv: [
    'IMK-AC',
    'IMK-SMI',
    'IMK-SMC',
    'CVK',
    'PIN',
    'PVK',
    'KMC',
    'CARD-STATIC',
    'CARD-SESSION',
    'UDK',
    'AC-SESSION',
  ],
  rsaPublic: ['CA', 'ISSUER', 'ICC'],
  // A card signs for itself: the vault never signs with an ICC key.
  rsaRawSign: ['CA', 'ISSUER'],
  cvv: ['CVK'],
  openPin: ['PIN'],
  pvv: ['PVK'],
  seal: ['SEAL'],
  unseal: ['SEAL'],
  sealRsa: ['SEAL'],
  beSealedRsa: ['ICC'],
  unsealRsa: ['SEAL'],
  openJwe: ['JWE-RECIPIENT'],
  ecPublicJwk: ['JWE-RECIPIENT'],
};

export type DerivationMethod = 'deriveTdesEcb' | 'deriveTdesCbc' | 'deriveAesCmac';

/** Which usage the new key may get, per method and parent. */
const derivedUsages: Readonly<
  Record<DerivationMethod, Readonly<Partial<Record<KeyUsage, readonly KeyUsage[]>>>>
> = {
  deriveTdesEcb: {
    'IMK-AC': ['UDK'],
    'IMK-SMI': ['UDK'],
    'IMK-SMC': ['UDK'],
    KMC: ['CARD-STATIC'],
    UDK: ['AC-SESSION'],
  },
  deriveTdesCbc: { 'CARD-STATIC': ['CARD-SESSION'] },
  deriveAesCmac: { KMC: ['CARD-STATIC'], 'CARD-STATIC': ['CARD-SESSION'] },
};

const cardKeyAlgorithms: readonly KeyAlgorithm[] = ['TDES-2KEY', 'AES-128', 'AES-256'];

export const algorithmsByUsage: Readonly<Record<KeyUsage, readonly KeyAlgorithm[]>> = {
  'IMK-AC': ['TDES-2KEY'],
  'IMK-SMI': ['TDES-2KEY'],
  'IMK-SMC': ['TDES-2KEY'],
  CVK: ['TDES-2KEY'],
  // Formats 0 and 3 under 3DES, format 4 under AES.
  PIN: ['TDES-2KEY', 'AES-128', 'AES-256'],
  PVK: ['TDES-2KEY'],
  KMC: cardKeyAlgorithms,
  'CARD-STATIC': cardKeyAlgorithms,
  'CARD-SESSION': cardKeyAlgorithms,
  UDK: ['TDES-2KEY'],
  'AC-SESSION': ['TDES-2KEY'],
  CA: ['RSA'],
  ISSUER: ['RSA'],
  ICC: ['RSA'],
  'JWE-RECIPIENT': ['EC-P256'],
  SEAL: ['AES-256'],
  TOKEN: ['HMAC-SHA256'],
};

/** Usages a key may have when it is stored under a name. Card keys are derived or generated, never stored. */
const storedUsages: readonly KeyUsage[] = [
  'IMK-AC',
  'IMK-SMI',
  'IMK-SMC',
  'CVK',
  'PIN',
  'PVK',
  'KMC',
  'CA',
  'ISSUER',
  'JWE-RECIPIENT',
  'SEAL',
  'TOKEN',
];

export function mayUse(operation: KeyOperation, usage: KeyUsage): boolean {
  return usagesByOperation[operation].includes(usage);
}

export function mayDerive(method: DerivationMethod, parent: KeyUsage, child: KeyUsage): boolean {
  return derivedUsages[method][parent]?.includes(child) ?? false;
}

/** CARD-STATIC may be stored for tests only: chips that carry published, undiversified keys. */
export function mayStore(usage: KeyUsage, environment: 'test' | 'production'): boolean {
  return storedUsages.includes(usage) || (usage === 'CARD-STATIC' && environment === 'test');
}
