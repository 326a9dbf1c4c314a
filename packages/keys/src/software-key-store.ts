/**
 * The software adapter's long-lived keys: `ensure` to make them, and the management of their lives.
 *
 * Invariants: a stored key never changes its algorithm, usage or value; a name is used once, also after its key was
 * destroyed; nothing is told to a caller before it is durable.
 */
import { createPublicKey, timingSafeEqual } from 'node:crypto';
import {
  type KeyBlockRefusal,
  makeKeyBlock,
  openKeyBlock,
  type ProtectionKey,
} from './key-block/key-block-policy.ts';
import { type Exportability } from './key-block/key-block-usage.ts';
import { isKeyName, readStoredKey, removeKeyFile, type StoredKey, writeKeyFile } from './key-folder.ts';
import { type KeySpec, makeKeyValue, materialOf, privateKeyOf } from './key-making.ts';
import { type KeyAlgorithm, KeyError, type KeyHandle } from './key-port.ts';
import {
  currentKeyOf,
  type KeyDetails,
  type KeyRecord,
  type KeyState,
  keyStateAt,
  nextVersionName,
  type TwoPersons,
  versionOf,
} from './key-register/key-life.ts';
import { type KeyRegister } from './key-register/key-register.ts';
import { newKeyRecord } from './key-register/key-registration.ts';
import { type KeyRing } from './key-ring.ts';
import { type KeyAdapterStatus, type KeyStore } from './key-status.ts';
import { softwareKeyStatus } from './software-key-status.ts';
import { algorithmsByUsage, mayStore } from './key-usage.ts';
import { SoftwareKeyOperations } from './software-keys.ts';
import { isWellKnownKey } from './well-known-keys.ts';

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

export interface KeyInventoryEntry extends KeyRecord {
  readonly state: KeyState;
}

const kbpkAlgorithms: readonly KeyAlgorithm[] = ['TDES-2KEY', 'AES-128', 'AES-256'];
const travellingAlgorithms: readonly KeyAlgorithm[] = [...kbpkAlgorithms, 'HMAC-SHA256'];

/** KeyPort over a sealed folder. */
export class SoftwareKeys extends SoftwareKeyOperations implements KeyStore {
  readonly #ring: KeyRing;
  readonly #register: KeyRegister;
  readonly #options: SoftwareKeysOptions;
  readonly #masterKey: Uint8Array;
  readonly #now: () => number;
  /** One change at a time: two callers ensuring one name get one key. */
  #change: Promise<unknown> = Promise.resolve();
  #isCeremonyHeld = false;
  #status: Promise<KeyAdapterStatus> | undefined;

  constructor(ring: KeyRing, register: KeyRegister, options: SoftwareKeysOptions) {
    super(ring, options.environment);
    this.#ring = ring;
    this.#register = register;
    this.#options = options;
    this.#masterKey = Uint8Array.from(options.masterKey);
    this.#now = options.now ?? Date.now;
  }

  get environment(): 'test' | 'production' {
    return this.#options.environment;
  }

  #oneAtATime<T>(work: () => Promise<T>): Promise<T> {
    const done = this.#change.then(work);
    this.#change = done.catch(() => undefined);
    return done;
  }

  /**
   * The named key; generated, or imported from `spec.value`, when it does not exist yet. Durable on return.
   * `details` count for a new key only.
   * @throws KeyError KEY_USAGE when the spec contradicts the usage matrix; KEY_STORE when the stored key differs
   *   from the spec, its file is gone, it was destroyed, the value is unusable, or a well-known key is offered in
   *   production
   */
  ensure(name: string, spec: KeySpec, details: KeyDetails = {}): Promise<KeyHandle> {
    return this.#oneAtATime(() => this.#ensureNow(name, spec, details));
  }

  async #ensureNow(name: string, spec: KeySpec, details: KeyDetails): Promise<KeyHandle> {
    this.#checkSpec(name, spec);
    if (!this.#ring.namedHandles().some((handle) => handle.id === name)) {
      this.#register.records();
      const record = this.#register.find(name);
      if (record?.destroyed) throw new KeyError('KEY_STORE', `key ${name} was destroyed`);
      if (!record) await this.#write(name, spec);
      const stored = await this.#readStored(name);
      this.#registerKey(stored, spec, details);
      addStored(this.#ring, stored);
    }
    const handle = this.#ring.find(name);
    if (handle.algorithm !== spec.algorithm || handle.usage !== spec.usage) {
      throw new KeyError('KEY_STORE', `key ${name} exists as ${handle.algorithm} ${handle.usage}`);
    }
    await this.#checkSameValue(name, spec);
    return handle;
  }

  async #write(name: string, { algorithm, usage, ...rest }: KeySpec): Promise<void> {
    const { folder, environment } = this.#options;
    const value = await makeKeyValue(name, { algorithm, usage, ...rest } as KeySpec);
    try {
      // After a lost race this writes nothing, and what is read back is the other process's key.
      await writeKeyFile(folder, this.#masterKey, { name, algorithm, usage, environment }, value);
    } finally {
      value.fill(0);
    }
  }

  /** The file is written before its entry: a crash between leaves a file that the next opening registers as found. */
  #registerKey(stored: StoredKey, spec: KeySpec, details: KeyDetails): void {
    const origin = details.origin ?? (spec.value ? 'imported' : 'generated');
    const record = newKeyRecord(stored, { ...details, origin }, this.#now());
    this.#register.append(() => (this.#register.find(record.name) ? undefined : { type: 'created', record }));
  }

  #readStored(name: string): Promise<StoredKey> {
    return readStoredKey(this.#options.folder, this.#masterKey, this.#options.environment, name);
  }

  #checkSpec(name: string, spec: KeySpec): void {
    const { environment } = this.#options;
    if (!isKeyName(name)) throw new KeyError('KEY_STORE', 'a key name of a wrong form');
    if (!algorithmsByUsage[spec.usage].includes(spec.algorithm) || !mayStore(spec.usage, environment)) {
      throw new KeyError('KEY_USAGE', `key ${name} cannot be stored as ${spec.algorithm} ${spec.usage}`);
    }
    const isSymmetric = spec.algorithm !== 'RSA' && spec.algorithm !== 'EC-P256';
    if (environment === 'production' && isSymmetric && spec.value && isWellKnownKey(spec.value)) {
      throw new KeyError('KEY_STORE', `key ${name} is a well-known test key`);
    }
  }

  async #checkSameValue(name: string, spec: KeySpec): Promise<void> {
    if (!spec.value) return;
    const { value } = await this.#readStored(name);
    const isSame = value.length === spec.value.length && timingSafeEqual(value, spec.value);
    value.fill(0);
    if (!isSame) throw new KeyError('KEY_STORE', `key ${name} exists with another value`);
  }

  // --- inventory and life ---

  /** Every key that ever was, with its state now. */
  inventory(): readonly KeyInventoryEntry[] {
    const nowMs = this.#now();
    return this.#register.records().map((record) => ({ ...record, state: keyStateAt(record, nowMs) }));
  }

  /** Keys that retire or expire within `withinMs`, or did already and still wait to be destroyed. */
  dueKeys(withinMs: number): readonly KeyInventoryEntry[] {
    const horizonMs = this.#now() + withinMs;
    return this.inventory().filter(
      (entry) => entry.state === 'expired' || (entry.state === 'active' && entry.activeUntilMs <= horizonMs),
    );
  }

  /** The newest active key of a family: `seal` gives `seal/3`. @throws KeyError KEY_NOT_FOUND */
  findCurrent(family: string): Promise<KeyHandle> {
    return this.#oneAtATime(() => {
      const record = currentKeyOf(family, this.#register.records(), this.#now());
      if (!record) throw new KeyError('KEY_NOT_FOUND', `no key of ${family} is active`);
      return Promise.resolve(this.#ring.find(record.name));
    });
  }

  /**
   * Makes the next version of a key: of the newest active one of a family (`seal`), or of the one that is named
   * (`imk-ac/1`), where several products have keys of one family. The one before protects for `overlapMs` more, then
   * only verifies and decrypts. @throws KeyError KEY_NOT_FOUND when there is no such active key
   */
  rotate(familyOrName: string, overlapMs: number, details: KeyDetails = {}): Promise<KeyHandle> {
    return this.#oneAtATime(async () => {
      const records = this.#register.records();
      const family = versionOf(familyOrName)?.family ?? familyOrName;
      const eligible = records.filter(({ name }) => familyOrName === family || name === familyOrName);
      const before = currentKeyOf(family, eligible, this.#now());
      if (!before) throw new KeyError('KEY_NOT_FOUND', `no key of ${familyOrName} is active`);
      const name = nextVersionName(
        family,
        records.map((record) => record.name),
      );
      const { mode, exportability, custodian } = before;
      const spec = this.#specLike(await this.#readStored(before.name));
      const handle = await this.#ensureNow(name, spec, { mode, exportability, custodian, ...details });
      this.#retire(before.name, this.#now() + overlapMs);
      return handle;
    });
  }

  /** RSA keys keep their size and exponent. */
  #specLike({ header, value }: StoredKey): KeySpec {
    try {
      if (header.algorithm !== 'RSA') return { algorithm: header.algorithm, usage: header.usage } as KeySpec;
      const details = createPublicKey(privateKeyOf(value)).asymmetricKeyDetails;
      const exponent = details?.publicExponent === 3n ? 3 : 65537;
      return { algorithm: 'RSA', usage: header.usage, bits: details?.modulusLength, exponent } as KeySpec;
    } finally {
      value.fill(0);
    }
  }

  /** Ends the active part of a key's life at `fromMs`, or earlier when it ends earlier. */
  retire(name: string, fromMs: number = this.#now()): Promise<void> {
    return this.#oneAtATime(() => {
      this.#ring.find(name);
      this.#retire(name, fromMs);
      return Promise.resolve();
    });
  }

  #retire(name: string, fromMs: number): void {
    this.#register.append(() => ({ type: 'retired', name, fromMs, atMs: this.#now() }));
  }

  /**
   * Destroys a key by order of two people: the entry first, then file and memory, so that a crash between is
   * finished at the next opening. The entry stays as the record. Backups of the folder are not reached.
   * @throws KeyError KEY_NOT_FOUND, KEY_USAGE when the two are one person or nameless
   */
  destroy(name: string, by: TwoPersons, reason: string): Promise<KeyRecord> {
    return this.#oneAtATime(async () => {
      this.#ring.find(name);
      const [first, second] = by.map((person) => person.normalize('NFKC').trim().toLowerCase());
      if (!first || !second || first === second || reason.trim() === '') {
        throw new KeyError('KEY_USAGE', `destroying key ${name} takes two people and a reason`);
      }
      this.#register.append(() => ({ type: 'destroyed', name, by, reason, atMs: this.#now() }));
      this.#ring.remove(name);
      await removeKeyFile(this.#options.folder, name);
      const record = this.#register.find(name);
      if (!record) throw new KeyError('KEY_NOT_FOUND', `key ${name} is not registered`);
      return record;
    });
  }

  // --- key blocks ---

  #protectionKey(kbpk: KeyHandle, operation: 'wrapKeyBlock' | 'unwrapKeyBlock'): ProtectionKey {
    const bytes = this.#ring.useSymmetric(kbpk, operation, kbpkAlgorithms);
    return { algorithm: kbpk.algorithm, mode: this.#register.find(kbpk.id)?.mode ?? 'N', bytes };
  }

  /**
   * Imports a key block (versions B and D) under a name. A block that policy refuses is a value; the same block
   * again gives the same key.
   * @throws KeyError KEY_USAGE, KEY_RETIRED for the protection key, KEY_STORE as `ensure`
   */
  importKeyBlock(
    kbpk: KeyHandle,
    block: string,
    { name, isLabelOptional = false, ...details }: ImportKeyBlockOptions,
  ): Promise<{ readonly ok: true; readonly handle: KeyHandle } | KeyBlockRefusal> {
    return this.#oneAtATime(async () => {
      const { environment } = this.#options;
      const protection = this.#protectionKey(kbpk, 'unwrapKeyBlock');
      const opened = openKeyBlock(protection, block, { environment, isLabelOptional });
      if (!opened.ok) return opened;
      const { algorithm, usage, mode, exportability, key } = opened;
      try {
        const spec = { algorithm, usage, value: key } as KeySpec;
        const origin = 'key-block';
        const handle = await this.#ensureNow(name, spec, { ...details, origin, mode, exportability });
        return { ok: true, handle };
      } finally {
        key.fill(0);
      }
    });
  }

  /**
   * A long-lived key as a version D block, which says `exportability` of itself (default N).
   * @throws KeyError KEY_USAGE, KEY_RETIRED
   */
  exportKeyBlock(
    kbpk: KeyHandle,
    key: KeyHandle,
    exportability: Exportability = 'N',
  ): Promise<{ readonly ok: true; readonly block: string } | KeyBlockRefusal> {
    return this.#oneAtATime(() => {
      const protection = this.#protectionKey(kbpk, 'wrapKeyBlock');
      const bytes = this.#ring.useSymmetric(key, 'beKeyBlock', travellingAlgorithms);
      const held = this.#register.find(key.id);
      if (!held) throw new KeyError('KEY_NOT_FOUND', `key ${key.id} is not registered`);
      const leaving = {
        usage: key.usage,
        algorithm: key.algorithm,
        mode: held.mode ?? undefined,
        exportability: held.exportability,
        bytes,
      };
      return Promise.resolve(makeKeyBlock(protection, leaving, this.#options.environment, exportability));
    });
  }

  // --- ceremonies ---

  /** Who has known which component of the keys of a family. */
  componentsKnown(family: string): readonly { readonly component: number; readonly custodian: string }[] {
    this.#register.records();
    return this.#register.componentsKnown().filter((known) => known.family === family);
  }

  /**
   * Remembers for good that somebody knows a component. Durable on return.
   * @throws KeyError KEY_USAGE when the person knows another one of the family, also from another process
   */
  recordComponentKnown(known: {
    readonly family: string;
    readonly component: number;
    readonly custodian: string;
    readonly ceremonyId: string;
  }): void {
    this.#register.append(() => {
      const { family, component, custodian } = known;
      const knowsAnother = this.#register
        .componentsKnown()
        .some((one) => one.family === family && one.custodian === custodian && one.component !== component);
      if (knowsAnother) throw new KeyError('KEY_USAGE', `a custodian knows two components of ${family}`);
      return { type: 'component-known', ...known, atMs: this.#now() };
    });
  }

  /** Takes the one place that ceremonies have here. @returns gives it back @throws KeyError KEY_STORE when taken */
  takeCeremonyPlace(): () => void {
    if (this.#isCeremonyHeld) throw new KeyError('KEY_STORE', 'another ceremony is under way');
    this.#isCeremonyHeld = true;
    return () => {
      this.#isCeremonyHeld = false;
    };
  }

  /** Every operation has key bytes in this process; the known-answer tests run at the first call. */
  status(): Promise<KeyAdapterStatus> {
    this.#status ??= softwareKeyStatus(this, this.#ring);
    return this.#status;
  }

  /** Wipes every key. The adapter is unusable afterwards. */
  async close(): Promise<void> {
    await this.#change;
    this.#ring.close();
    this.#register.close();
    this.#masterKey.fill(0);
  }
}

export interface ImportKeyBlockOptions extends Pick<KeyDetails, 'custodian' | 'activeMs' | 'keepMs'> {
  readonly name: string;
  /** Accepts a block that does not name its environment, as those of other systems. */
  readonly isLabelOptional?: boolean;
}

export function addStored(ring: KeyRing, { header, value }: StoredKey): KeyHandle {
  return ring.addNamed(header.name, header.algorithm, header.usage, materialOf(header.algorithm, value));
}
