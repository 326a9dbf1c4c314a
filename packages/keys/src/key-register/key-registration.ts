/**
 * How key files and their register are brought together at each opening.
 *
 * Invariants: a registered key whose file is gone, or whose file holds another value, stops the opening, because
 * making a new key in its place would break every card made with the old one; a destroyed key that came back, from
 * a backup or because the process died while destroying, is removed again; a sound file without an entry, left by a
 * process that died while creating, is registered as found.
 */
import { checkValueOf, formatCheckValue } from '../key-block/key-check-value.ts';
import { removeKeyFile, type StoredKey } from '../key-folder.ts';
import { KeyError } from '../key-port.ts';
import { cryptoperiods, type KeyDetails, type KeyOrigin, type KeyRecord } from './key-life.ts';
import { type KeyRegister } from './key-register.ts';

function checkValueText({ header, value }: StoredKey): string | null {
  const computed = checkValueOf(header.algorithm, value);
  return computed ? formatCheckValue(computed) : null;
}

/** The first entry of a stored key. */
export function newKeyRecord(
  stored: StoredKey,
  { origin, ...details }: KeyDetails & { readonly origin: KeyOrigin },
  nowMs: number,
): KeyRecord {
  const { name, algorithm, usage } = stored.header;
  const { activeMs, keepMs } = cryptoperiods[usage];
  const activeUntilMs = nowMs + (details.activeMs ?? activeMs);
  return {
    name,
    algorithm,
    usage,
    origin,
    mode: details.mode ?? null,
    exportability: details.exportability ?? 'N',
    checkValue: checkValueText(stored),
    custodian: details.custodian ?? 'system',
    createdAtMs: nowMs,
    activeUntilMs,
    keepUntilMs: activeUntilMs + (details.keepMs ?? keepMs),
    destroyed: null,
  };
}

/**
 * Checks files against entries, both ways. Returns the keys to be used; the others are wiped.
 * @throws KeyError KEY_STORE naming the key that does not fit
 */
export async function reconcileKeys(
  folder: string,
  register: KeyRegister,
  stored: readonly StoredKey[],
  nowMs: number,
): Promise<readonly StoredKey[]> {
  if (register.isNew && stored.length > 0) {
    throw new KeyError('KEY_STORE', 'the key folder has keys but no register of them');
  }
  const names = new Set(stored.map(({ header }) => header.name));
  const lost = register.records().find((record) => !record.destroyed && !names.has(record.name));
  if (lost) throw new KeyError('KEY_STORE', `key ${lost.name} is registered but its file is gone`);
  const sound: StoredKey[] = [];
  for (const key of stored) {
    if (await isToBeUsed(folder, register, key, nowMs)) sound.push(key);
    else key.value.fill(0);
  }
  return sound;
}

async function isToBeUsed(
  folder: string,
  register: KeyRegister,
  key: StoredKey,
  nowMs: number,
): Promise<boolean> {
  const { name, algorithm, usage } = key.header;
  const record = register.find(name);
  if (record?.destroyed) {
    await removeKeyFile(folder, name);
    return false;
  }
  if (!record) {
    const found = newKeyRecord(key, { origin: 'found' }, nowMs);
    register.append(() => (register.find(name) ? undefined : { type: 'created', record: found }));
    return true;
  }
  if (record.algorithm !== algorithm || record.usage !== usage || record.checkValue !== checkValueText(key)) {
    throw new KeyError('KEY_STORE', `key ${name} is not the one that is registered`);
  }
  return true;
}
