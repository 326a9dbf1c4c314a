/**
 * The life of a long-lived key: what happens to it, the state it is in at a time, and what each state allows.
 *
 * Invariants: states only move forward, active to retired to expired, and anything to destroyed; a retired key
 * verifies and decrypts but protects nothing new; an expired or destroyed key does nothing. All pure: the time is a
 * parameter. (security.md K10, K12, K14)
 */
import { type Exportability, type KeyMode } from '../key-block/key-block-usage.ts';
import { type KeyAlgorithm, type KeyUsage } from '../key-port.ts';
import { type KeyOperation } from '../key-usage.ts';

export type KeyOrigin = 'generated' | 'imported' | 'key-block' | 'ceremony' | 'found';

/** Who ordered something that takes two people. */
export type TwoPersons = readonly [string, string];

/** What is known of a key beside its value. Times are epoch milliseconds. */
export interface KeyRecord {
  readonly name: string;
  readonly algorithm: KeyAlgorithm;
  readonly usage: KeyUsage;
  readonly origin: KeyOrigin;
  /** Limits within its usage; null: all that the usage allows. */
  readonly mode: KeyMode | null;
  readonly exportability: Exportability;
  /** With its method, as `formatCheckValue` writes it; null for keys without one. */
  readonly checkValue: string | null;
  /** Who answers for the key. */
  readonly custodian: string;
  readonly createdAtMs: number;
  /** It protects new things until here. */
  readonly activeUntilMs: number;
  /** It verifies and decrypts until here. */
  readonly keepUntilMs: number;
  readonly destroyed: { readonly atMs: number; readonly by: TwoPersons; readonly reason: string } | null;
}

/** What the register shall know of a new key. Everything has a default. */
export interface KeyDetails {
  /** Default: generated, or imported when the spec has a value. */
  readonly origin?: KeyOrigin;
  /** Default null: all that the usage allows. */
  readonly mode?: KeyMode | null;
  /** Default N: the key never leaves. */
  readonly exportability?: Exportability;
  /** Default: `system`. */
  readonly custodian?: string;
  /** How long it protects and how long it is kept after that; the usage's cryptoperiod by default. */
  readonly activeMs?: number;
  readonly keepMs?: number;
}

/** One entry of the register. It is append-only: what is known of a key is the sum of its events. */
export type KeyEvent =
  | { readonly type: 'begun'; readonly environment: 'test' | 'production'; readonly atMs: number }
  | { readonly type: 'created'; readonly record: KeyRecord }
  | { readonly type: 'retired'; readonly name: string; readonly fromMs: number; readonly atMs: number }
  | {
      readonly type: 'destroyed';
      readonly name: string;
      readonly by: TwoPersons;
      readonly reason: string;
      readonly atMs: number;
    }
  /** Somebody has seen one component of a key of this family, whatever became of the ceremony. */
  | {
      readonly type: 'component-known';
      readonly family: string;
      readonly component: number;
      readonly custodian: string;
      readonly ceremonyId: string;
      readonly atMs: number;
    };

export type KeyState = 'active' | 'retired' | 'expired' | 'destroyed';

export function keyStateAt(record: KeyRecord, nowMs: number): KeyState {
  if (record.destroyed) return 'destroyed';
  if (nowMs >= record.keepUntilMs) return 'expired';
  return nowMs >= record.activeUntilMs ? 'retired' : 'active';
}

/** The record after an event about it. Undefined when the event does not fit, which means a broken register. */
export function applyKeyEvent(before: KeyRecord | undefined, event: KeyEvent): KeyRecord | undefined {
  switch (event.type) {
    case 'created':
      return before === undefined ? event.record : undefined;
    case 'retired':
      if (!before || before.destroyed) return undefined;
      return { ...before, activeUntilMs: Math.min(before.activeUntilMs, event.fromMs) };
    case 'destroyed': {
      const { atMs, by, reason } = event;
      return before && !before.destroyed ? { ...before, destroyed: { atMs, by, reason } } : undefined;
    }
    case 'begun':
    case 'component-known':
      return before;
  }
}

/**
 * protect: something new depends on the key afterwards. process: something old is read or checked; deriving is here
 * because a card in the field is verified through derived keys, and what is derived for a new card meets `protect`
 * when it is wrapped. inspect: nothing depends on it.
 */
const operationKinds: Readonly<Record<KeyOperation, 'protect' | 'process' | 'inspect'>> = {
  list: 'inspect',
  kcv: 'inspect',
  rsaPublic: 'inspect',
  ecPublicJwk: 'inspect',
  tdesCbcEncrypt: 'process',
  retailMac: 'process',
  desFirstHalfEncrypt: 'process',
  aesCmac: 'process',
  aesEcbEncrypt: 'process',
  aesCbcEncrypt: 'process',
  // Tokens of stored card numbers are found again by computing them again.
  hmac: 'process',
  deriveTdesEcb: 'process',
  deriveTdesCbc: 'process',
  deriveAesCmac: 'process',
  unseal: 'process',
  unsealRsa: 'process',
  openJwe: 'process',
  openPin: 'process',
  unwrapKeyBlock: 'process',
  wrapUnderTdesEcb: 'protect',
  wrapUnderAesCbc: 'protect',
  beWrapped: 'protect',
  beWrappedRsa: 'protect',
  rsaRawSign: 'protect',
  cvv: 'protect',
  pvv: 'protect',
  seal: 'protect',
  sealRsa: 'protect',
  beSealedRsa: 'protect',
  wrapKeyBlock: 'protect',
  beKeyBlock: 'protect',
};

export function mayUseInState(operation: KeyOperation, state: KeyState): boolean {
  switch (state) {
    case 'active':
      return true;
    case 'retired':
      return operationKinds[operation] !== 'protect';
    case 'expired':
      return operationKinds[operation] === 'inspect';
    case 'destroyed':
      return false;
  }
}

const dayMs = 86_400_000;
const yearMs = 365 * dayMs;

interface Cryptoperiod {
  /** From creation. */
  readonly activeMs: number;
  /** After the active period. */
  readonly keepMs: number;
}

/** Three years to issue under a key, and as long as a card of its last day lives to verify under it. */
const issuing: Cryptoperiod = { activeMs: 3 * yearMs, keepMs: 10 * yearMs };
const transport: Cryptoperiod = { activeMs: 2 * yearMs, keepMs: yearMs };

/** Defaults, after NIST SP 800-57 part 1, 5.3; a key may be given shorter ones. */
export const cryptoperiods: Readonly<Record<KeyUsage, Cryptoperiod>> = {
  'IMK-AC': issuing,
  'IMK-SMI': issuing,
  'IMK-SMC': issuing,
  CVK: issuing,
  PVK: issuing,
  KMC: issuing,
  CA: { activeMs: 10 * yearMs, keepMs: 10 * yearMs },
  ISSUER: issuing,
  KBPK: transport,
  PIN: transport,
  'JWE-RECIPIENT': { activeMs: 2 * yearMs, keepMs: yearMs },
  SEAL: { activeMs: 2 * yearMs, keepMs: yearMs },
  TOKEN: { activeMs: 5 * yearMs, keepMs: 10 * yearMs },
  // Card keys are not stored, but for the tests' CARD-STATIC.
  'CARD-STATIC': issuing,
  'CARD-SESSION': { activeMs: dayMs, keepMs: 0 },
  UDK: issuing,
  'AC-SESSION': { activeMs: dayMs, keepMs: 0 },
  ICC: issuing,
};

/** `imk-ac/2` is version 2 of `imk-ac`; undefined for a name without a version. */
export function versionOf(name: string): { family: string; version: number } | undefined {
  const [, family, digits] = /^(.+)\/([1-9]\d{0,5})$/.exec(name) ?? [];
  return family === undefined || digits === undefined ? undefined : { family, version: Number(digits) };
}

/** The name of the next version in a family, of which `names` are all that ever were, destroyed ones too. */
export function nextVersionName(family: string, names: readonly string[]): string {
  const versions = names.map(versionOf).filter((one) => one?.family === family);
  const highest = Math.max(0, ...versions.map((one) => one?.version ?? 0));
  return `${family}/${highest + 1}`;
}

/** The newest active key of a family. */
export function currentKeyOf(
  family: string,
  records: readonly KeyRecord[],
  nowMs: number,
): KeyRecord | undefined {
  return records
    .filter((record) => versionOf(record.name)?.family === family && keyStateAt(record, nowMs) === 'active')
    .sort((a, b) => (versionOf(b.name)?.version ?? 0) - (versionOf(a.name)?.version ?? 0))[0];
}
