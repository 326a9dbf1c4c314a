/**
 * Which key blocks come in and which keys go out: the policy above the mechanics of `key-block-wrapping.ts`.
 *
 * Invariants: version D is made; B and D are opened; A and C (variant binding, four-byte MAC) and E are recognised
 * and refused. A protection key is at least as strong as what it wraps (K8). The environment stands in the
 * protected header, and a key never changes it (K11). A check value in the header has the method of its algorithm
 * and is right (K7). An optional block that is not understood is refused: it may limit the key.
 */
import { equalBytes, hex, unhex } from '@cardwright/emv';
import { type KeyAlgorithm, KeyError, type KeyUsage } from '../key-port.ts';
import { isDegenerateKey } from '../well-known-keys.ts';
import { type KeyBlockHeader, type OptionalBlock, parseKeyBlock } from './key-block-header.ts';
import {
  blockAlgorithmOf,
  blockUsageOf,
  decideKeyBlockUsage,
  type Exportability,
  type KeyMode,
  mayLeaveAs,
  mayProtect,
  portAlgorithmOf,
  strengthBits,
} from './key-block-usage.ts';
import { unwrapKeyBlock, wrapKeyBlock } from './key-block-wrapping.ts';
import { checkValueOf, compareCheckValues, type KeyCheckValue } from './key-check-value.ts';

export type Environment = 'test' | 'production';

export type KeyBlockRefusalReason =
  | 'FORM' // no key block
  | 'VERSION' // A, C or E, or a version that the protection key does not fit
  | 'USAGE'
  | 'ALGORITHM'
  | 'MODE'
  | 'EXPORTABILITY'
  | 'PROTECTION_KEY' // the protection key may not do this
  | 'OPTIONAL_BLOCK'
  | 'ENVIRONMENT'
  | 'INTEGRITY' // changed, or under another protection key
  | 'STRENGTH'
  | 'CHECK_VALUE'
  | 'WEAK_KEY';

export interface KeyBlockRefusal {
  readonly ok: false;
  readonly reason: KeyBlockRefusalReason;
  /** For people; holds nothing secret. */
  readonly explanation: string;
}

/** A clear protection key and what it may do. */
export interface ProtectionKey {
  readonly algorithm: KeyAlgorithm;
  readonly mode: KeyMode;
  readonly bytes: Uint8Array;
}

export interface KeyBlockImportRules {
  readonly environment: Environment;
  /** Blocks of other systems carry no environment. Accepting one is a decision of the person who imports it. */
  readonly isLabelOptional: boolean;
}

export interface KeyBlockContent {
  readonly ok: true;
  readonly usage: KeyUsage;
  readonly algorithm: KeyAlgorithm;
  readonly mode: KeyMode;
  readonly exportability: Exportability;
  /** Undefined when the block did not say. */
  readonly environment: Environment | undefined;
  /** The caller wipes it. */
  readonly key: Uint8Array;
}

/** Numeric ids are for proprietary use; this one holds the environment. */
export const environmentBlockId = '70';
const environmentLabels: Readonly<Record<Environment, string>> = {
  test: 'CARDWRIGHT TEST',
  production: 'CARDWRIGHT PRODUCTION',
};

/** Optional blocks that are ours, checked, or only tell about the key: set and version of key, label, times, padding. */
const understood: readonly string[] = [
  environmentBlockId,
  'HM',
  'KC',
  'KP',
  'KS',
  'KV',
  'LB',
  'PB',
  'TC',
  'TS',
];

function refusal(reason: KeyBlockRefusalReason, explanation: string): KeyBlockRefusal {
  return { ok: false, reason, explanation };
}

function optionalValue(blocks: readonly OptionalBlock[], id: string): string | undefined {
  return blocks.find((block) => block.id === id)?.value;
}

/** Versions that are known and refused, whatever else is wrong with the block. */
function refuseByVersion(version: string | undefined): KeyBlockRefusal | undefined {
  if (version === 'A' || version === 'C') {
    return refusal('VERSION', `version ${version} binds its key by variants and a four-byte MAC: refused`);
  }
  if (version === 'E')
    return refusal('VERSION', 'version E (counter mode) is not imported; ask for version D');
  return undefined;
}

/** Everything that can be decided before the protection key is touched. */
function refuseByHeader(
  header: KeyBlockHeader,
  kbpk: ProtectionKey,
  rules: KeyBlockImportRules,
): KeyBlockRefusal | undefined {
  const { version, optionalBlocks } = header;
  if (version === 'A' || version === 'C') {
    return refusal('VERSION', `version ${version} binds its key by variants and a four-byte MAC: refused`);
  }
  if (version === 'E')
    return refusal('VERSION', 'version E (counter mode) is not imported; ask for version D');
  const isTdesKey = blockAlgorithmOf(kbpk.algorithm) === 'T';
  if (isTdesKey !== (version === 'B')) {
    return refusal('VERSION', `a version ${version} block does not stand under a ${kbpk.algorithm} key`);
  }
  if (!mayProtect(kbpk.mode, 'unwrap')) {
    return refusal('PROTECTION_KEY', `the protection key (mode ${kbpk.mode}) may not unwrap`);
  }
  const strange = optionalBlocks.find(({ id }) => !understood.includes(id));
  if (strange) return refusal('OPTIONAL_BLOCK', `optional block ${strange.id} is not understood`);
  const hashOfHmac = optionalValue(optionalBlocks, 'HM');
  if (hashOfHmac !== undefined && hashOfHmac !== '21') {
    return refusal('OPTIONAL_BLOCK', 'an HMAC key for another hash than SHA-256');
  }
  return refuseByEnvironment(optionalBlocks, rules);
}

function refuseByEnvironment(
  blocks: readonly OptionalBlock[],
  { environment, isLabelOptional }: KeyBlockImportRules,
): KeyBlockRefusal | undefined {
  const label = optionalValue(blocks, environmentBlockId);
  if (label === undefined) {
    if (isLabelOptional) return undefined;
    return refusal('ENVIRONMENT', 'the block does not name its environment');
  }
  if (label === environmentLabels[environment]) return undefined;
  return refusal('ENVIRONMENT', `the block is not of the ${environment} environment`);
}

/** KC, KP: method (00 legacy 3DES, 01 CMAC), then the value in hexadecimal. */
function readCheckValue(text: string): KeyCheckValue | undefined {
  const [, method, digits = ''] = /^(00|01)((?:[0-9A-F]{2}){2,5})$/.exec(text) ?? [];
  if (method === undefined) return undefined;
  return { method: method === '00' ? 'TDES-ECB-0' : 'AES-CMAC-0', value: unhex(digits) };
}

function writeCheckValue({ method, value }: KeyCheckValue): string {
  return `${method === 'TDES-ECB-0' ? '00' : '01'}${hex(value)}`;
}

/** A KP block in B uses a 3DES value of either method, so only what we can compute is compared. */
function refuseByCheckValue(
  name: 'KC' | 'KP',
  blocks: readonly OptionalBlock[],
  computed: KeyCheckValue | undefined,
): KeyBlockRefusal | undefined {
  const text = optionalValue(blocks, name);
  if (text === undefined) return undefined;
  const claimed = readCheckValue(text);
  if (!claimed || !computed) return refusal('CHECK_VALUE', `the check value in ${name} has an unknown form`);
  switch (compareCheckValues(claimed, computed)) {
    case 'SAME':
      return undefined;
    case 'WRONG_METHOD':
      return refusal('CHECK_VALUE', `the check value in ${name} is of another method than the key's`);
    case 'DIFFERENT':
      return refusal('CHECK_VALUE', `the check value in ${name} is another key's`);
  }
}

/** Opens a block when policy allows it. Nothing is thrown for any block; the caller wipes the key. */
export function openKeyBlock(
  kbpk: ProtectionKey,
  block: string,
  rules: KeyBlockImportRules,
): KeyBlockContent | KeyBlockRefusal {
  const old = refuseByVersion(block[0]);
  if (old) return old;
  const parsed = parseKeyBlock(block);
  if (!parsed.ok) {
    if (parsed.reason === 'VERSION') return refusal('VERSION', 'a version that X9.143 does not have');
    return refusal('FORM', `no key block: ${parsed.reason}`);
  }
  const refused = refuseByHeader(parsed.header, kbpk, rules);
  if (refused) return refused;
  const decision = decideKeyBlockUsage(parsed.header);
  if (!decision.ok) return decision;
  const opened = unwrapKeyBlock(kbpk.bytes, block);
  if (!opened.ok) {
    return refusal('INTEGRITY', 'the block was changed, or is wrapped under another protection key');
  }
  const accepted = acceptKey(opened.header, opened.key, kbpk);
  if (!accepted.ok) {
    opened.key.fill(0);
    return accepted;
  }
  const { usage, mode, exportability } = decision;
  const label = optionalValue(opened.header.optionalBlocks, environmentBlockId);
  const environment = label === undefined ? undefined : rules.environment;
  return {
    ok: true,
    usage,
    mode,
    exportability,
    environment,
    algorithm: accepted.algorithm,
    key: opened.key,
  };
}

function acceptKey(
  { algorithm: letter, optionalBlocks }: KeyBlockHeader,
  key: Uint8Array,
  kbpk: ProtectionKey,
): { readonly ok: true; readonly algorithm: KeyAlgorithm } | KeyBlockRefusal {
  const algorithm = portAlgorithmOf(letter, key.length);
  if (!algorithm) return refusal('ALGORITHM', `no ${letter} keys of ${key.length * 8} bits here`);
  const wrapping = blockAlgorithmOf(kbpk.algorithm);
  if (!wrapping || strengthBits(letter, key.length) > strengthBits(wrapping, kbpk.bytes.length)) {
    return refusal('STRENGTH', 'the protection key is weaker than the key it wraps');
  }
  if (isDegenerateKey(key)) return refusal('WEAK_KEY', 'the key repeats itself');
  return (
    refuseByCheckValue('KC', optionalBlocks, checkValueOf(algorithm, key)) ??
    refuseByCheckValue('KP', optionalBlocks, checkValueOf(kbpk.algorithm, kbpk.bytes)) ?? {
      ok: true,
      algorithm,
    }
  );
}

/** A clear key that is to leave, and what it may say about itself. */
export interface LeavingKey {
  readonly usage: KeyUsage;
  readonly algorithm: KeyAlgorithm;
  /** Undefined: what the usage has by itself. */
  readonly mode: KeyMode | undefined;
  readonly exportability: Exportability;
  readonly bytes: Uint8Array;
}

/** Makes a version D block when policy allows it. `said` is the exportability that the block names. */
export function makeKeyBlock(
  kbpk: ProtectionKey,
  key: LeavingKey,
  environment: Environment,
  said: Exportability,
): { readonly ok: true; readonly block: string } | KeyBlockRefusal {
  const travels = blockUsageOf(key.usage);
  const letter = blockAlgorithmOf(key.algorithm);
  if (!travels || !letter) return refusal('USAGE', `a ${key.usage} key never leaves`);
  if (blockAlgorithmOf(kbpk.algorithm) !== 'A') {
    return refusal('VERSION', 'version D needs an AES protection key');
  }
  if (!mayProtect(kbpk.mode, 'wrap')) {
    return refusal('PROTECTION_KEY', `the protection key (mode ${kbpk.mode}) may not wrap`);
  }
  if (!mayLeaveAs(key.exportability, said)) {
    return refusal('EXPORTABILITY', `a key of exportability ${key.exportability} may not leave as ${said}`);
  }
  if (strengthBits(letter, key.bytes.length) > strengthBits('A', kbpk.bytes.length)) {
    return refusal('STRENGTH', 'the protection key is weaker than the key it would wrap');
  }
  if (equalBytes(kbpk.bytes, key.bytes)) return refusal('PROTECTION_KEY', 'a key does not wrap itself');
  const kc = checkValueOf(key.algorithm, key.bytes);
  const kp = checkValueOf(kbpk.algorithm, kbpk.bytes);
  if (!kp) throw new KeyError('KEY_USAGE', 'a protection key without a check value');
  const optionalBlocks: OptionalBlock[] = [
    { id: environmentBlockId, value: environmentLabels[environment] },
    ...(kc ? [{ id: 'KC', value: writeCheckValue(kc) }] : [{ id: 'HM', value: '21' }]),
    { id: 'KP', value: writeCheckValue(kp) },
  ];
  const header = {
    usage: travels.blockUsage,
    algorithm: letter,
    mode: key.mode ?? travels.mode,
    keyVersion: '00',
    exportability: said,
    optionalBlocks,
  };
  return { ok: true, block: wrapKeyBlock(kbpk.bytes, header, key.bytes) };
}
