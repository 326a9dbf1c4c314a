/**
 * A key that the vault names itself, in all its versions: `seal`, `token`, `jwe/<issuer>`.
 *
 * Invariants: the newest active version protects; every version that is kept opens what it protected; what is
 * protected says by which version. Versions are read when the vault starts, because keys are rotated while it stands.
 */
import { KeyError, type KeyHandle, type KeyStore, versionOf } from '@cardwright/keys';

export interface KeyFamily {
  /** What protects. */
  readonly current: KeyHandle;
  readonly currentVersion: number;
  /** A version that is kept; undefined for one that never was, expired or was destroyed. */
  version(number: number): KeyHandle | undefined;
  /** Versions that may protect, newest first. */
  readonly active: readonly KeyHandle[];
  /** Versions that open, newest first. */
  readonly kept: readonly KeyHandle[];
}

/** @throws KeyError KEY_NOT_FOUND when no version is active */
export async function openKeyFamily(keys: KeyStore, family: string): Promise<KeyFamily> {
  const versions = keys.management
    .inventory()
    .flatMap(({ name, state }) => {
      const version = versionOf(name);
      return version?.family === family ? [{ name, state, number: version.version }] : [];
    })
    .filter(({ state }) => state === 'active' || state === 'retired')
    .sort((a, b) => b.number - a.number);
  const byNumber = new Map<number, KeyHandle>();
  for (const { name, number } of versions) byNumber.set(number, await keys.find(name));
  const active = versions.filter(({ state }) => state === 'active');
  const [newest] = active;
  const current = newest && byNumber.get(newest.number);
  if (!current) throw new KeyError('KEY_NOT_FOUND', `no key of ${family} is active`);
  return {
    current,
    currentVersion: newest.number,
    version: (number) => byNumber.get(number),
    active: active.flatMap(({ number }) => byNumber.get(number) ?? []),
    kept: [...byNumber.values()],
  };
}
