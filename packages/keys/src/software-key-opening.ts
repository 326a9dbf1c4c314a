/**
 * Opens the software adapter: key files, register, ring.
 *
 * Invariants: production is refused, and a well-known key even where a test lifts that refusal; when anything does
 * not open, nothing stays open and every key that was read is wiped.
 */
import { hkdfSync } from 'node:crypto';
import { mkdir } from 'node:fs/promises';
import { join } from 'node:path';
import { readKeyFolder, removeKeyFile, type StoredKey } from './key-folder.ts';
import { materialOf } from './key-making.ts';
import { KeyError } from './key-port.ts';
import { KeyRegister } from './key-register/key-register.ts';
import { lifeGuard, reconcileKeys } from './key-register/key-registration.ts';
import { KeyRing } from './key-ring.ts';
import { FolderKeeper, foundKeyOf, SoftwareKeys, type SoftwareKeysOptions } from './software-key-store.ts';
import { isWellKnownKey } from './well-known-keys.ts';

/** Beside the key files, so that one copy of the folder has both. */
const registerFile = 'register.sqlite';

/**
 * Opens (or begins) a key folder.
 * @throws KeyError KEY_STORE in the production environment, for a master key that is not 32 bytes, when a file was
 *   changed, renamed, removed, sealed under another master key, or belongs to another environment, and when another
 *   process has the folder open exclusively
 */
export async function openSoftwareKeys(options: SoftwareKeysOptions): Promise<SoftwareKeys> {
  const { folder, masterKey, environment } = options;
  if (environment === 'production' && options.productionForTests !== true) {
    throw new KeyError('KEY_STORE', 'the software key adapter is refused in production');
  }
  if (masterKey.length !== 32) throw new KeyError('KEY_STORE', 'the master key is not 32 bytes long');
  const now = options.now ?? Date.now;
  await mkdir(folder, { recursive: true, mode: 0o700 });
  const macKey = registerMacKey(masterKey);
  const register = new KeyRegister({
    file: join(folder, registerFile),
    macKey,
    environment,
    isExclusive: options.isExclusive ?? false,
    nowMs: now(),
  });
  macKey.fill(0);
  let stored: readonly StoredKey[] = [];
  try {
    stored = await readKeyFolder(folder, masterKey, environment);
    const names = await reconcileKeys({
      register,
      found: stored.map(foundKeyOf),
      place: 'the key folder',
      mayAdopt: false,
      remove: (name) => removeKeyFile(folder, name),
      nowMs: now(),
    });
    const sound = stored.filter(({ header }) => names.has(header.name));
    const known = environment === 'production' ? sound.find(isStoredTestKey) : undefined;
    if (known) throw new KeyError('KEY_STORE', `key ${known.header.name} is a well-known test key`);
    const ring = new KeyRing(options.maxTemporaryKeys ?? 4096, lifeGuard(register, now));
    for (const { header, value } of stored) {
      const { name, algorithm, usage } = header;
      if (names.has(name)) ring.addNamed(name, algorithm, usage, materialOf(algorithm, value));
      else value.fill(0);
    }
    return new SoftwareKeys({ ring, register, keeper: new FolderKeeper(options, ring), environment, now });
  } catch (error) {
    for (const { value } of stored) value.fill(0);
    register.close();
    throw error;
  }
}

function registerMacKey(masterKey: Uint8Array): Uint8Array {
  return new Uint8Array(hkdfSync('sha256', masterKey, new Uint8Array(0), 'cardwright-key-register/1', 32));
}

function isStoredTestKey({ header, value }: StoredKey): boolean {
  return header.algorithm !== 'RSA' && header.algorithm !== 'EC-P256' && isWellKnownKey(value);
}
