/**
 * The management of long-lived keys, over whatever holds them: creation, inventory, rotation, destruction, key blocks
 * and what ceremonies need. The adapter gives a keeper; life, policy and register are here, once for all adapters.
 *
 * Invariants: a key never changes its algorithm, usage or value; a name is used once, also after its key was
 * destroyed; nothing is told to a caller before it is durable in keeper and register.
 */
import {
  type KeyBlockRefusal,
  makeKeyBlock,
  openKeyBlock,
  type ProtectionKey,
} from './key-block/key-block-policy.ts';
import { type Exportability } from './key-block/key-block-usage.ts';
import { isKeyName } from './key-folder.ts';
import { type KeySpec } from './key-making.ts';
import { KeyError, type KeyHandle, type KeyPort } from './key-port.ts';
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
import { type FoundKey, newKeyRecord } from './key-register/key-registration.ts';
import { type KeyMaterial, type KeyRing } from './key-ring.ts';
import { algorithmsByUsage, mayStore } from './key-usage.ts';
import { isWellKnownKey } from './well-known-keys.ts';

/** A key as its keeper opened it. */
export interface KeptKey extends FoundKey {
  readonly material: KeyMaterial;
}

/** Where an adapter keeps the values of its long-lived keys. No method returns key bytes. */
export interface KeyKeeper {
  /** What it is called in the transcript of a ceremony. */
  readonly description: string;
  /** Makes the key, or imports `spec.value`, durably. What another process made meanwhile stays as it is. */
  make(name: string, spec: KeySpec): Promise<void>;
  /** Opens a key that exists. @throws KeyError KEY_STORE */
  open(name: string): Promise<KeptKey>;
  hasValue(handle: KeyHandle, value: Uint8Array): Promise<boolean>;
  /** Removes a key for good; one that is gone already is fine. `held`: it and what was derived from it. */
  remove(name: string, held: readonly KeyMaterial[]): Promise<void>;
  /**
   * Bytes of a symmetric key for as long as `use` runs, wiped or given back afterwards.
   * @throws KeyError KEY_OPERATION_REFUSED when they do not leave the keeper
   */
  withKeyBytes<T>(
    handle: KeyHandle,
    operation: 'wrapKeyBlock' | 'unwrapKeyBlock' | 'beKeyBlock',
    use: (bytes: Uint8Array) => T | Promise<T>,
  ): Promise<T>;
  /** @throws KeyError KEY_OPERATION_REFUSED when components may not be combined in this process */
  requireCeremony(): void;
}

export interface KeyManagementParts {
  readonly port: Pick<KeyPort, 'rsaPublic'>;
  readonly ring: KeyRing;
  readonly register: KeyRegister;
  readonly keeper: KeyKeeper;
  readonly environment: 'test' | 'production';
  readonly now: () => number;
}

export interface KeyInventoryEntry extends KeyRecord {
  readonly state: KeyState;
}

export interface ImportKeyBlockOptions extends Pick<KeyDetails, 'custodian' | 'activeMs' | 'keepMs'> {
  readonly name: string;
  /** Accepts a block that does not name its environment, as those of other systems. */
  readonly isLabelOptional?: boolean;
}

export class KeyManagement {
  readonly #parts: KeyManagementParts;
  readonly #ring: KeyRing;
  readonly #register: KeyRegister;
  readonly #now: () => number;
  /** One change at a time: two callers ensuring one name get one key. */
  #change: Promise<unknown> = Promise.resolve();
  #isCeremonyHeld = false;
  #isClosed = false;

  constructor(parts: KeyManagementParts) {
    this.#parts = parts;
    this.#ring = parts.ring;
    this.#register = parts.register;
    this.#now = parts.now;
  }

  get environment(): 'test' | 'production' {
    return this.#parts.environment;
  }

  #oneAtATime<T>(work: () => Promise<T>): Promise<T> {
    const done = this.#change.then(() => {
      if (this.#isClosed) throw new KeyError('KEY_STORE', 'the key adapter is closed');
      return work();
    });
    this.#change = done.catch(() => undefined);
    return done;
  }

  /**
   * The named key; generated, or imported from `spec.value`, when it does not exist yet. Durable on return.
   * `details` count for a new key only.
   * @throws KeyError KEY_USAGE when the spec contradicts the usage matrix; KEY_STORE when the stored key differs
   *   from the spec, it is gone, it was destroyed, the value is unusable, or a well-known key is offered in
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
      const { keeper } = this.#parts;
      if (!record) await keeper.make(name, spec);
      const { material, ...found } = await keeper.open(name);
      this.#registerKey(found, spec, details);
      this.#ring.addNamed(name, found.algorithm, found.usage, material);
    }
    const handle = this.#ring.find(name);
    if (handle.algorithm !== spec.algorithm || handle.usage !== spec.usage) {
      throw new KeyError('KEY_STORE', `key ${name} exists as ${handle.algorithm} ${handle.usage}`);
    }
    if (spec.value && !(await this.#parts.keeper.hasValue(handle, spec.value))) {
      throw new KeyError('KEY_STORE', `key ${name} exists with another value`);
    }
    return handle;
  }

  /** The value is durable before its entry: a crash between leaves a key that the next opening registers as found. */
  #registerKey(found: FoundKey, spec: KeySpec, details: KeyDetails): void {
    const origin = details.origin ?? (spec.value ? 'imported' : 'generated');
    const record = newKeyRecord(found, { ...details, origin }, this.#now());
    this.#register.append(() => (this.#register.find(record.name) ? undefined : { type: 'created', record }));
  }

  #checkSpec(name: string, spec: KeySpec): void {
    const { environment } = this.#parts;
    if (!isKeyName(name)) throw new KeyError('KEY_STORE', 'a key name of a wrong form');
    if (!algorithmsByUsage[spec.usage].includes(spec.algorithm) || !mayStore(spec.usage, environment)) {
      throw new KeyError('KEY_USAGE', `key ${name} cannot be stored as ${spec.algorithm} ${spec.usage}`);
    }
    const isSymmetric = spec.algorithm !== 'RSA' && spec.algorithm !== 'EC-P256';
    if (environment === 'production' && isSymmetric && spec.value && isWellKnownKey(spec.value)) {
      throw new KeyError('KEY_STORE', `key ${name} is a well-known test key`);
    }
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
      ({ state, activeUntilMs, keepUntilMs }) =>
        state === 'expired' ||
        (state === 'active' && activeUntilMs <= horizonMs) ||
        (state === 'retired' && keepUntilMs <= horizonMs),
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
      const spec = await this.#specLike(this.#ring.find(before.name));
      const handle = await this.#ensureNow(name, spec, { mode, exportability, custodian, ...details });
      this.#retire(before.name, this.#now() + overlapMs);
      return handle;
    });
  }

  /** RSA keys keep their size and exponent. */
  async #specLike(handle: KeyHandle): Promise<KeySpec> {
    const { algorithm, usage } = handle;
    if (algorithm !== 'RSA') return { algorithm, usage } as KeySpec;
    const { modulus, exponent } = await this.#parts.port.rsaPublic(handle);
    const isThree = exponent.length === 1 && exponent[0] === 3;
    return { algorithm, usage, bits: modulus.length * 8, exponent: isThree ? 3 : 65537 } as KeySpec;
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
   * Destroys a key by order of two people: the entry first, then value and memory, so that a crash between is
   * finished at the next opening. The entry stays as the record. Backups are not reached.
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
      await this.#parts.keeper.remove(name, this.#ring.remove(name));
      const record = this.#register.find(name);
      if (!record) throw new KeyError('KEY_NOT_FOUND', `key ${name} is not registered`);
      return record;
    });
  }

  // --- key blocks ---

  #withProtectionKey<T>(
    kbpk: KeyHandle,
    operation: 'wrapKeyBlock' | 'unwrapKeyBlock',
    use: (key: ProtectionKey) => T | Promise<T>,
  ): Promise<T> {
    const mode = this.#register.find(kbpk.id)?.mode ?? 'N';
    return this.#parts.keeper.withKeyBytes(kbpk, operation, (bytes) =>
      use({ algorithm: kbpk.algorithm, mode, bytes }),
    );
  }

  /**
   * Imports a key block (versions B and D) under a name. A block that policy refuses is a value; the same block
   * again gives the same key.
   * @throws KeyError KEY_USAGE, KEY_RETIRED for the protection key, KEY_STORE as `ensure`, KEY_OPERATION_REFUSED
   */
  importKeyBlock(
    kbpk: KeyHandle,
    block: string,
    { name, isLabelOptional = false, ...details }: ImportKeyBlockOptions,
  ): Promise<{ readonly ok: true; readonly handle: KeyHandle } | KeyBlockRefusal> {
    return this.#oneAtATime(async () => {
      const { environment } = this.#parts;
      const opened = await this.#withProtectionKey(kbpk, 'unwrapKeyBlock', (protection) =>
        openKeyBlock(protection, block, { environment, isLabelOptional }),
      );
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
   * @throws KeyError KEY_USAGE, KEY_RETIRED, KEY_OPERATION_REFUSED where keys do not leave
   */
  exportKeyBlock(
    kbpk: KeyHandle,
    key: KeyHandle,
    exportability: Exportability = 'N',
  ): Promise<{ readonly ok: true; readonly block: string } | KeyBlockRefusal> {
    const { keeper, environment } = this.#parts;
    return this.#oneAtATime(() =>
      this.#withProtectionKey(kbpk, 'wrapKeyBlock', (protection) =>
        keeper.withKeyBytes(key, 'beKeyBlock', (bytes) => {
          const held = this.#register.find(key.id);
          if (!held) throw new KeyError('KEY_NOT_FOUND', `key ${key.id} is not registered`);
          const { usage, algorithm } = key;
          const mode = held.mode ?? undefined;
          const leaving = { usage, algorithm, mode, exportability: held.exportability, bytes };
          return makeKeyBlock(protection, leaving, environment, exportability);
        }),
      ),
    );
  }

  // --- ceremonies ---

  /** Where the key of a ceremony will be, and who sees its bytes. */
  get keeperDescription(): string {
    return this.#parts.keeper.description;
  }

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

  /**
   * Takes the one place that ceremonies have here. @returns gives it back
   * @throws KeyError KEY_STORE when taken, KEY_OPERATION_REFUSED where components may not be combined
   */
  takeCeremonyPlace(): () => void {
    this.#parts.keeper.requireCeremony();
    if (this.#isCeremonyHeld) throw new KeyError('KEY_STORE', 'another ceremony is under way');
    this.#isCeremonyHeld = true;
    return () => {
      this.#isCeremonyHeld = false;
    };
  }

  /** Waits for the change under way, refuses further ones, closes the register. */
  async close(): Promise<void> {
    await this.#change;
    this.#isClosed = true;
    this.#register.close();
  }
}
