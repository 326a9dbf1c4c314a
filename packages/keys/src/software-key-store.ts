/**
 * The software adapter's long-lived keys: their values in a sealed folder, their management shared with the others.
 *
 * Invariants: a value is durable before it is used; what a caller may do with bytes ends when its function returns.
 */
import { timingSafeEqual } from 'node:crypto';
import { checkValueOf, formatCheckValue } from './key-block/key-check-value.ts';
import { readStoredKey, removeKeyFile, type StoredKey, writeKeyFile } from './key-folder.ts';
import { type KeptKey, type KeyKeeper, KeyManagement, type KeyManagementParts } from './key-management.ts';
import { type KeySpec, makeKeyValue, materialOf } from './key-making.ts';
import { type KeyAlgorithm, type KeyHandle } from './key-port.ts';
import { type KeyDetails } from './key-register/key-life.ts';
import { type FoundKey } from './key-register/key-registration.ts';
import { type KeyRing } from './key-ring.ts';
import { type KeyAdapterStatus, type KeyStore } from './key-status.ts';
import { softwareKeyStatus } from './software-key-status.ts';
import { SoftwareKeyOperations } from './software-keys.ts';

export interface SoftwareKeysOptions {
  /** Created (0700) when absent. One sealed file per long-lived key, and their register. */
  readonly folder: string;
  /** 32 bytes; copied. Seals every key file. */
  readonly masterKey: Uint8Array;
  readonly environment: 'test' | 'production';
  /** Derived and generated keys held at once before the adapter refuses more. Default 4096. */
  readonly maxTemporaryKeys?: number;
  /** Refuses to open while another process has the folder open, and the other way round. */
  readonly isExclusive?: boolean;
  /** Epoch milliseconds; the system's clock by default. */
  readonly now?: () => number;
  /** Lets a test reach the rules of the production environment. Nothing else may set it. */
  readonly productionForTests?: true;
}

/** What anybody may know of a stored key. */
export function foundKeyOf({ header: { name, algorithm, usage }, value }: StoredKey): FoundKey {
  const computed = checkValueOf(algorithm, value);
  return { name, algorithm, usage, checkValue: computed ? formatCheckValue(computed) : null };
}

const blockAlgorithms: readonly KeyAlgorithm[] = ['TDES-2KEY', 'AES-128', 'AES-256', 'HMAC-SHA256'];

/** Sealed files in a folder. */
export class FolderKeeper implements KeyKeeper {
  readonly description = 'software: sealed files; the key and its components are in memory';
  readonly #options: SoftwareKeysOptions;
  readonly #masterKey: Uint8Array;
  readonly #ring: KeyRing;

  constructor(options: SoftwareKeysOptions, ring: KeyRing) {
    this.#options = options;
    this.#masterKey = Uint8Array.from(options.masterKey);
    this.#ring = ring;
  }

  async make(name: string, spec: KeySpec): Promise<void> {
    const { folder, environment } = this.#options;
    const { algorithm, usage } = spec;
    const value = await makeKeyValue(name, spec);
    try {
      // After a lost race this writes nothing, and what is read back is the other process's key.
      await writeKeyFile(folder, this.#masterKey, { name, algorithm, usage, environment }, value);
    } finally {
      value.fill(0);
    }
  }

  async open(name: string): Promise<KeptKey> {
    const stored = await this.#read(name);
    return { ...foundKeyOf(stored), material: materialOf(stored.header.algorithm, stored.value) };
  }

  #read(name: string): Promise<StoredKey> {
    return readStoredKey(this.#options.folder, this.#masterKey, this.#options.environment, name);
  }

  async hasValue({ id }: KeyHandle, wanted: Uint8Array): Promise<boolean> {
    const { value } = await this.#read(id);
    const isSame = value.length === wanted.length && timingSafeEqual(value, wanted);
    value.fill(0);
    return isSame;
  }

  remove(name: string): Promise<void> {
    return removeKeyFile(this.#options.folder, name);
  }

  /** The ring's own bytes: they stay, and are not wiped. */
  async withKeyBytes<T>(
    handle: KeyHandle,
    operation: 'wrapKeyBlock' | 'unwrapKeyBlock' | 'beKeyBlock',
    use: (bytes: Uint8Array) => T | Promise<T>,
  ): Promise<T> {
    return use(this.#ring.useSymmetric(handle, operation, blockAlgorithms));
  }

  requireCeremony(): void {
    // Every key is in this process's memory anyway.
  }

  close(): void {
    this.#masterKey.fill(0);
  }
}

type SoftwareKeyParts = Omit<KeyManagementParts, 'port' | 'keeper'> & { readonly keeper: FolderKeeper };

/** KeyPort over a sealed folder. */
export class SoftwareKeys extends SoftwareKeyOperations implements KeyStore {
  readonly management: KeyManagement;
  readonly #parts: SoftwareKeyParts;
  #status: Promise<KeyAdapterStatus> | undefined;

  constructor(parts: SoftwareKeyParts) {
    super(parts.ring, parts.environment);
    this.#parts = parts;
    this.management = new KeyManagement({ ...parts, port: this });
  }

  ensure(name: string, spec: KeySpec, details?: KeyDetails): Promise<KeyHandle> {
    return this.management.ensure(name, spec, details);
  }

  /** Every operation has key bytes in this process; the known-answer tests run at the first call. */
  status(): Promise<KeyAdapterStatus> {
    this.#status ??= softwareKeyStatus(this, this.#parts.ring);
    return this.#status;
  }

  /** Wipes every key. The adapter is unusable afterwards. */
  async close(): Promise<void> {
    await this.management.close();
    this.#parts.ring.close();
    this.#parts.keeper.close();
  }
}
