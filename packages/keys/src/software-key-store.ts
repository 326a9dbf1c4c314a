/**
 * Opens the software adapter: long-lived keys from a sealed folder, `ensure` to make them at first start.
 *
 * Invariants: the production environment refuses this adapter, and a well-known key even where a test lifts that
 * refusal; a stored key never changes its algorithm, usage or value; all files open or none is used.
 */
import { timingSafeEqual } from 'node:crypto';
import { isKeyName, readKeyFolder, readStoredKey, type StoredKey, writeKeyFile } from './key-folder.ts';
import { type KeySpec, makeKeyValue, materialOf } from './key-making.ts';
import { KeyError, type KeyHandle } from './key-port.ts';
import { probeKeyOperations } from './key-probe.ts';
import { KeyRing } from './key-ring.ts';
import { type KeyAdapterStatus, keyOperationNames, type KeyStore } from './key-status.ts';
import { algorithmsByUsage, mayStore } from './key-usage.ts';
import { SoftwareKeyOperations } from './software-keys.ts';
import { isWellKnownKey } from './well-known-keys.ts';

export interface SoftwareKeysOptions {
  /** Created (0700) when absent. One sealed file per long-lived key. */
  readonly folder: string;
  /** 32 bytes; copied. Seals every key file. */
  readonly masterKey: Uint8Array;
  readonly environment: 'test' | 'production';
  /** Derived and generated keys held at once before the adapter refuses more. Default 4096. */
  readonly maxTemporaryKeys?: number;
  /** Lets a test reach the rules of the production environment. Nothing else may set it. */
  readonly productionForTests?: true;
}

/** KeyPort over a sealed folder. */
export class SoftwareKeys extends SoftwareKeyOperations implements KeyStore {
  readonly #ring: KeyRing;
  readonly #folder: string;
  readonly #masterKey: Uint8Array;
  readonly #environment: 'test' | 'production';
  /** One creation at a time: two callers ensuring one name get one key. */
  #creation: Promise<unknown> = Promise.resolve();
  #status: Promise<KeyAdapterStatus> | undefined;

  constructor(ring: KeyRing, options: SoftwareKeysOptions) {
    super(ring, options.environment);
    this.#ring = ring;
    this.#folder = options.folder;
    this.#masterKey = Uint8Array.from(options.masterKey);
    this.#environment = options.environment;
  }

  /**
   * The named key; generated, or imported from `spec.value`, when it does not exist yet. Durable on return.
   * @throws KeyError KEY_USAGE when the spec contradicts the usage matrix; KEY_STORE when the stored key differs
   *   from the spec, the value is unusable, or a well-known key is offered in production
   */
  ensure(name: string, spec: KeySpec): Promise<KeyHandle> {
    const created = this.#creation.then(() => this.#ensureNow(name, spec));
    this.#creation = created.catch(() => undefined);
    return created;
  }

  async #ensureNow(name: string, spec: KeySpec): Promise<KeyHandle> {
    this.#checkSpec(name, spec);
    if (!this.#ring.namedHandles().some((handle) => handle.id === name)) {
      const value = await makeKeyValue(name, spec);
      const header = { name, algorithm: spec.algorithm, usage: spec.usage, environment: this.#environment };
      try {
        await writeKeyFile(this.#folder, this.#masterKey, header, value);
      } finally {
        value.fill(0);
      }
      // Read back what the disk holds: after a lost race that is the other process's key.
      addStored(this.#ring, await readStoredKey(this.#folder, this.#masterKey, this.#environment, name));
    }
    const handle = this.#ring.find(name);
    if (handle.algorithm !== spec.algorithm || handle.usage !== spec.usage) {
      throw new KeyError('KEY_STORE', `key ${name} exists as ${handle.algorithm} ${handle.usage}`);
    }
    await this.#checkSameValue(name, spec);
    return handle;
  }

  #checkSpec(name: string, spec: KeySpec): void {
    if (!isKeyName(name)) throw new KeyError('KEY_STORE', 'a key name of a wrong form');
    if (!algorithmsByUsage[spec.usage].includes(spec.algorithm) || !mayStore(spec.usage, this.#environment)) {
      throw new KeyError('KEY_USAGE', `key ${name} cannot be stored as ${spec.algorithm} ${spec.usage}`);
    }
    const isSymmetric = spec.algorithm !== 'RSA' && spec.algorithm !== 'EC-P256';
    if (this.#environment === 'production' && isSymmetric && spec.value && isWellKnownKey(spec.value)) {
      throw new KeyError('KEY_STORE', `key ${name} is a well-known test key`);
    }
  }

  async #checkSameValue(name: string, spec: KeySpec): Promise<void> {
    if (!spec.value) return;
    const { value } = await readStoredKey(this.#folder, this.#masterKey, this.#environment, name);
    const isSame = value.length === spec.value.length && timingSafeEqual(value, spec.value);
    value.fill(0);
    if (!isSame) throw new KeyError('KEY_STORE', `key ${name} exists with another value`);
  }

  /** Every operation has key bytes in this process; the known-answer tests run at the first call. */
  status(): Promise<KeyAdapterStatus> {
    this.#status ??= this.#probe();
    return this.#status;
  }

  async #probe(): Promise<KeyAdapterStatus> {
    const failures = await probeKeyOperations({
      port: this,
      importTemporary: (algorithm, usage, value) =>
        Promise.resolve(
          this.#ring.addTemporary(algorithm, usage, materialOf(algorithm, Uint8Array.from(value))),
        ),
    });
    const operations = keyOperationNames.map((operation) => {
      const note = failures.get(operation);
      return {
        operation,
        result: note === undefined ? ('passed' as const) : ('refused' as const),
        keyBytes: 'host' as const,
        ...(note !== undefined && { note }),
      };
    });
    return { adapter: this.adapter, operations };
  }

  /** Wipes every key. The adapter is unusable afterwards. */
  async close(): Promise<void> {
    await this.#creation;
    this.#ring.close();
    this.#masterKey.fill(0);
  }
}

/**
 * Opens (or begins) a key folder.
 * @throws KeyError KEY_STORE in the production environment, for a master key that is not 32 bytes, and when a file
 *   was changed, renamed, sealed under another master key, or belongs to another environment
 */
export async function openSoftwareKeys(options: SoftwareKeysOptions): Promise<SoftwareKeys> {
  if (options.environment === 'production' && options.productionForTests !== true) {
    throw new KeyError('KEY_STORE', 'the software key adapter is refused in production');
  }
  if (options.masterKey.length !== 32) throw new KeyError('KEY_STORE', 'the master key is not 32 bytes long');
  const stored = await readKeyFolder(options.folder, options.masterKey, options.environment);
  const ring = new KeyRing(options.maxTemporaryKeys ?? 4096);
  for (const key of stored) {
    if (options.environment === 'production' && isStoredTestKey(key)) {
      ring.close();
      throw new KeyError('KEY_STORE', `key ${key.header.name} is a well-known test key`);
    }
    addStored(ring, key);
  }
  return new SoftwareKeys(ring, options);
}

function isStoredTestKey({ header, value }: StoredKey): boolean {
  return header.algorithm !== 'RSA' && header.algorithm !== 'EC-P256' && isWellKnownKey(value);
}

function addStored(ring: KeyRing, { header, value }: StoredKey): KeyHandle {
  return ring.addNamed(header.name, header.algorithm, header.usage, materialOf(header.algorithm, value));
}
