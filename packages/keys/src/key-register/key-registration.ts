/**
 * How the keys that are found and their register are brought together at each opening, whatever holds the keys.
 *
 * Invariants: a registered key that is gone, or is another one, stops the opening, because making a new key in its
 * place would break every card made with the old one; a destroyed key that came back, from a backup or because the
 * process died while destroying, is removed again; a sound key without an entry, left by a process that died while
 * creating, is registered as found.
 */
import { KeyError, type KeyAlgorithm, type KeyUsage } from '../key-port.ts';
import {
  cryptoperiods,
  type KeyDetails,
  type KeyOrigin,
  type KeyRecord,
  keyStateAt,
  mayUseInState,
} from './key-life.ts';
import { type KeyRegister } from './key-register.ts';
import { type KeyOperation } from '../key-usage.ts';

/** What can be seen of a key that exists. */
export interface FoundKey {
  readonly name: string;
  readonly algorithm: KeyAlgorithm;
  readonly usage: KeyUsage;
  /** With its method, as `formatCheckValue` writes it; null for keys without one. */
  readonly checkValue: string | null;
}

/** The first entry of a key. */
export function newKeyRecord(
  { name, algorithm, usage, checkValue }: FoundKey,
  { origin, ...details }: KeyDetails & { readonly origin: KeyOrigin },
  nowMs: number,
): KeyRecord {
  const { activeMs, keepMs } = cryptoperiods[usage];
  const activeUntilMs = nowMs + (details.activeMs ?? activeMs);
  return {
    name,
    algorithm,
    usage,
    origin,
    mode: details.mode ?? null,
    exportability: details.exportability ?? 'N',
    checkValue,
    custodian: details.custodian ?? 'system',
    createdAtMs: nowMs,
    activeUntilMs,
    keepUntilMs: activeUntilMs + (details.keepMs ?? keepMs),
    destroyed: null,
  };
}

export interface Reconciliation {
  readonly register: KeyRegister;
  readonly found: readonly FoundKey[];
  /** For refusals: `the key folder`. */
  readonly place: string;
  /** Whether keys without any register may be taken over as found. */
  readonly mayAdopt: boolean;
  readonly remove: (name: string) => Promise<void>;
  readonly nowMs: number;
}

/**
 * Checks keys against entries, both ways. Returns the names of those to be used.
 * @throws KeyError KEY_STORE naming the key that does not fit
 */
export async function reconcileKeys(parts: Reconciliation): Promise<ReadonlySet<string>> {
  const { register, found, place, mayAdopt } = parts;
  if (register.isNew && found.length > 0 && !mayAdopt) {
    throw new KeyError('KEY_STORE', `${place} has keys but no register of them`);
  }
  const names = new Set(found.map(({ name }) => name));
  const lost = register.records().find((record) => !record.destroyed && !names.has(record.name));
  if (lost) throw new KeyError('KEY_STORE', `key ${lost.name} is registered but gone from ${place}`);
  const sound = new Set<string>();
  for (const key of found) if (await isToBeUsed(parts, key)) sound.add(key.name);
  return sound;
}

async function isToBeUsed({ register, remove, nowMs }: Reconciliation, key: FoundKey): Promise<boolean> {
  const { name, algorithm, usage, checkValue } = key;
  const record = register.find(name);
  if (record?.destroyed) {
    await remove(name);
    return false;
  }
  if (!record) {
    const entry = newKeyRecord(key, { origin: 'found' }, nowMs);
    register.append(() => (register.find(name) ? undefined : { type: 'created', record: entry }));
    return true;
  }
  if (record.algorithm !== algorithm || record.usage !== usage || record.checkValue !== checkValue) {
    throw new KeyError('KEY_STORE', `key ${name} is not the one that is registered`);
  }
  return true;
}

/** Refuses what the life of a registered key no longer allows. */
export function lifeGuard(register: KeyRegister, now: () => number) {
  return (name: string, operation: KeyOperation): void => {
    const record = register.find(name);
    const state = record ? keyStateAt(record, now()) : 'destroyed';
    if (!mayUseInState(operation, state)) {
      throw new KeyError('KEY_RETIRED', `key ${name} is ${state} and may not ${operation}`);
    }
  };
}
