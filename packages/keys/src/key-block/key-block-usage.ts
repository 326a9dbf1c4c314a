/**
 * What a key block may say about a key for it to become one of ours: usage, algorithm, mode of use, exportability.
 *
 * Invariant: what is not in the table is refused; a key never gets a usage or a mode that its block does not name,
 * and never leaves under a looser exportability than it came with. (security.md K5)
 */
import { type KeyAlgorithm, type KeyUsage } from '../key-port.ts';

/** X9.143 modes of use that our operations know. N: what the usage allows. */
export type KeyMode = 'B' | 'C' | 'D' | 'E' | 'G' | 'N' | 'X';

/** E: exportable under a key block protection key. N: never. S: exportable, also in weaker forms. */
export type Exportability = 'E' | 'N' | 'S';

interface BlockUsageRule {
  readonly usage: KeyUsage;
  readonly algorithms: readonly ('T' | 'A' | 'H')[];
  /** The first is what our own blocks say. */
  readonly modes: readonly [KeyMode, ...KeyMode[]];
}

/**
 * A verify-only CVK or PVK (mode V) is refused: we only compute these values. So is an encrypt-only PIN key: PIN
 * blocks come to us, they never leave.
 */
const rulesByBlockUsage: Readonly<Record<string, BlockUsageRule>> = {
  C0: { usage: 'CVK', algorithms: ['T'], modes: ['C', 'G', 'N'] },
  E0: { usage: 'IMK-AC', algorithms: ['T'], modes: ['X', 'N'] },
  E1: { usage: 'IMK-SMC', algorithms: ['T'], modes: ['X', 'N'] },
  E2: { usage: 'IMK-SMI', algorithms: ['T'], modes: ['X', 'N'] },
  E5: { usage: 'KMC', algorithms: ['T', 'A'], modes: ['X', 'N'] },
  K1: { usage: 'KBPK', algorithms: ['T', 'A'], modes: ['B', 'D', 'E', 'N'] },
  M7: { usage: 'TOKEN', algorithms: ['H'], modes: ['C', 'G', 'N'] },
  P0: { usage: 'PIN', algorithms: ['T', 'A'], modes: ['D', 'B', 'N'] },
  V2: { usage: 'PVK', algorithms: ['T'], modes: ['C', 'G', 'N'] },
};

/** Usages of X9.143 that have no operation here; told apart from nonsense for the person who reads the refusal. */
const foreignBlockUsages: Readonly<Record<string, string>> = {
  B0: 'DUKPT base key',
  B1: 'initial DUKPT key',
  B2: 'base key variant',
  B3: 'key derivation key',
  D0: 'data encryption',
  D1: 'asymmetric data encryption',
  D2: 'decimalisation table',
  D3: 'sensitive data encryption',
  E3: 'data authentication code',
  E4: 'dynamic numbers',
  E6: 'other EMV master key',
  E7: 'EMV master personalization key',
  I0: 'initialization value',
  K0: 'key encryption without key blocks',
  K2: 'asymmetric key transport',
  K3: 'asymmetric key agreement',
  K4: 'ISO 20038 key block protection',
  M0: 'MAC, ISO 16609',
  M1: 'MAC, algorithm 1',
  M2: 'MAC, algorithm 2',
  M3: 'MAC, algorithm 3',
  M4: 'MAC, algorithm 4',
  M5: 'MAC, algorithm 5',
  M6: 'MAC, CMAC',
  M8: 'MAC, ISO 9797-1 algorithm 6',
  P1: 'PIN generation',
  S0: 'asymmetric signature',
  S1: 'asymmetric certificate authority',
  S2: 'asymmetric, other',
  V0: 'PIN verification, other',
  V1: 'PIN verification, IBM 3624',
  V3: 'PIN verification, X9.132 algorithm 1',
  V4: 'PIN verification, X9.132 algorithm 2',
  V5: 'PIN verification, X9.132 algorithm 3',
};

/** What a header claims about its key. */
export interface KeyBlockClaims {
  readonly usage: string;
  readonly algorithm: string;
  readonly mode: string;
  readonly exportability: string;
}

export type UsageDecision =
  | {
      readonly ok: true;
      readonly usage: KeyUsage;
      readonly mode: KeyMode;
      readonly exportability: Exportability;
    }
  | {
      readonly ok: false;
      readonly reason: 'USAGE' | 'ALGORITHM' | 'MODE' | 'EXPORTABILITY';
      readonly explanation: string;
    };

/** Whether a key with these claims may become one of ours, and as what. Pure. */
export function decideKeyBlockUsage(claims: KeyBlockClaims): UsageDecision {
  const rule = Object.hasOwn(rulesByBlockUsage, claims.usage) ? rulesByBlockUsage[claims.usage] : undefined;
  if (!rule) {
    const foreign = foreignBlockUsages[claims.usage] ?? 'not a usage of X9.143';
    return { ok: false, reason: 'USAGE', explanation: `usage ${claims.usage} (${foreign}) is not for us` };
  }
  if (!rule.algorithms.some((algorithm) => algorithm === claims.algorithm)) {
    const explanation = `usage ${claims.usage} has no keys of algorithm ${claims.algorithm}`;
    return { ok: false, reason: 'ALGORITHM', explanation };
  }
  const mode = rule.modes.find((allowed) => allowed === claims.mode);
  if (mode === undefined) {
    const explanation = `a key of usage ${claims.usage} with mode ${claims.mode} could do nothing here`;
    return { ok: false, reason: 'MODE', explanation };
  }
  if (!isExportability(claims.exportability)) {
    const explanation = `exportability ${claims.exportability} is not one of X9.143`;
    return { ok: false, reason: 'EXPORTABILITY', explanation };
  }
  return { ok: true, usage: rule.usage, mode, exportability: claims.exportability };
}

export function isExportability(text: string): text is Exportability {
  return text === 'E' || text === 'N' || text === 'S';
}

/** What our own block says for a key; undefined for usages that never travel. */
export function blockUsageOf(usage: KeyUsage): { blockUsage: string; mode: KeyMode } | undefined {
  const found = Object.entries(rulesByBlockUsage).find(([, rule]) => rule.usage === usage);
  return found && { blockUsage: found[0], mode: found[1].modes[0] };
}

/** The algorithm letter of a block. Asymmetric keys do not travel in blocks of ours. */
export function blockAlgorithmOf(algorithm: KeyAlgorithm): 'T' | 'A' | 'H' | undefined {
  switch (algorithm) {
    case 'TDES-2KEY':
      return 'T';
    case 'AES-128':
    case 'AES-256':
      return 'A';
    case 'HMAC-SHA256':
      return 'H';
    case 'RSA':
    case 'EC-P256':
      return undefined;
  }
}

/** The port's algorithm for a letter and length; undefined for lengths it does not have (3DES of one or three keys, AES-192). */
export function portAlgorithmOf(letter: string, keyBytes: number): KeyAlgorithm | undefined {
  const algorithms: Readonly<Record<string, KeyAlgorithm>> = {
    T16: 'TDES-2KEY',
    A16: 'AES-128',
    A32: 'AES-256',
    H32: 'HMAC-SHA256',
  };
  return algorithms[`${letter}${keyBytes}`];
}

/** Effective bits against the best known attack (NIST SP 800-57): a wrapping key has at least its content's (K8). */
export function strengthBits(letter: string, keyBytes: number): number {
  if (letter !== 'T') return keyBytes * 8;
  return keyBytes >= 24 ? 112 : keyBytes === 16 ? 80 : 56;
}

/** What a protection key may do by its mode. */
export function mayProtect(mode: KeyMode, direction: 'wrap' | 'unwrap'): boolean {
  return mode === 'B' || mode === 'N' || mode === (direction === 'wrap' ? 'E' : 'D');
}

const looseness: Readonly<Record<Exportability, number>> = { N: 0, E: 1, S: 2 };

/** Whether a key that came with `held` may leave, saying `said` about itself. */
export function mayLeaveAs(held: Exportability, said: Exportability): boolean {
  return held !== 'N' && looseness[said] <= looseness[held];
}
