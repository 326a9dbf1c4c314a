/**
 * Keys of an adapter while the process lives, behind handles: clear ones, or objects of a token.
 *
 * Invariants: a key is reached only through `use`, which checks the usage matrix first; what a handle claims about
 * itself is compared, never trusted; symmetric bytes are wiped when a key is released and when the ring closes;
 * the number of temporary keys is bounded, so that a caller that forgets `release` fails loudly.
 */
import { type KeyObject, randomUUID } from 'node:crypto';
import { type KeyAlgorithm, KeyError, type KeyHandle, type KeyUsage } from './key-port.ts';
import {
  algorithmsByUsage,
  type DerivationMethod,
  type KeyOperation,
  mayDerive,
  mayUse,
} from './key-usage.ts';

export type KeyMaterial =
  | { readonly kind: 'symmetric'; readonly bytes: Uint8Array }
  | { readonly kind: 'private'; readonly key: KeyObject }
  | TokenMaterial;

/** A key that a PKCS#11 token holds: object handles, no bytes. */
export interface TokenMaterial {
  readonly kind: 'token';
  readonly object: number;
  /** The first half of a two-key 3DES key, twice: single DES in terms of 3DES. */
  readonly firstHalf?: number;
  /** The key that wraps private keys beside a sealing key, which must not do both. */
  readonly wrapper?: number;
  /** Uncompressed point of an EC key. */
  readonly publicPoint?: Uint8Array;
}

interface RingEntry {
  readonly handle: KeyHandle;
  readonly material: KeyMaterial;
  readonly isNamed: boolean;
  /** The long-lived key that this one comes from, itself when named; undefined for generated keys. */
  readonly root: string | undefined;
}

/** Throws when the life of the long-lived key `root` no longer allows the operation. */
type LifeGuard = (root: string, operation: KeyOperation) => void;

export class KeyRing {
  readonly #entries = new Map<string, RingEntry>();
  readonly #maxTemporaryKeys: number;
  #temporaryKeys = 0;
  #isClosed = false;
  readonly #guardLife: LifeGuard;

  constructor(maxTemporaryKeys: number, guardLife: LifeGuard) {
    this.#maxTemporaryKeys = maxTemporaryKeys;
    this.#guardLife = guardLife;
  }

  addNamed(name: string, algorithm: KeyAlgorithm, usage: KeyUsage, material: KeyMaterial): KeyHandle {
    return this.#add({ handle: { id: name, algorithm, usage }, material, isNamed: true, root: name });
  }

  /**
   * A derived or generated key under a random id. A derived key shares the life of its `parent`.
   * @throws KeyError KEY_STORE when the bound is reached
   */
  addTemporary(
    algorithm: KeyAlgorithm,
    usage: KeyUsage,
    material: KeyMaterial,
    parent?: KeyHandle,
  ): KeyHandle {
    if (this.#temporaryKeys >= this.#maxTemporaryKeys) {
      wipe(material);
      throw new KeyError('KEY_STORE', `more than ${this.#maxTemporaryKeys} derived keys are held`);
    }
    const root = parent && this.#entries.get(parent.id)?.root;
    return this.#add({ handle: { id: randomUUID(), algorithm, usage }, material, isNamed: false, root });
  }

  #add(entry: RingEntry): KeyHandle {
    const handle = Object.freeze(entry.handle);
    if (this.#isClosed || this.#entries.has(handle.id)) {
      wipe(entry.material);
      throw new KeyError('KEY_STORE', `key ${handle.id} cannot be added`);
    }
    this.#entries.set(handle.id, entry);
    if (!entry.isNamed) this.#temporaryKeys++;
    return handle;
  }

  /** @throws KeyError KEY_NOT_FOUND */
  find(name: string): KeyHandle {
    const entry = this.#entries.get(name);
    if (!entry?.isNamed) throw new KeyError('KEY_NOT_FOUND', `key ${name} is not held`);
    return entry.handle;
  }

  namedHandles(): KeyHandle[] {
    return [...this.#entries.values()].filter((entry) => entry.isNamed).map((entry) => entry.handle);
  }

  /**
   * @throws KeyError KEY_NOT_FOUND for an unknown or released handle, KEY_USAGE for a forbidden operation,
   *   KEY_RETIRED when the key, or the one it was derived from, is past the part of its life for the operation
   */
  use(handle: KeyHandle, operation: KeyOperation): KeyMaterial {
    const entry = this.#entries.get(handle.id);
    if (!entry) throw new KeyError('KEY_NOT_FOUND', `key ${handle.id} is not held`);
    const { usage, algorithm } = entry.handle;
    if (handle.usage !== usage || handle.algorithm !== algorithm || !mayUse(operation, usage)) {
      throw new KeyError('KEY_USAGE', `key ${handle.id} (${usage}) may not ${operation}`);
    }
    if (entry.root !== undefined) this.#guardLife(entry.root, operation);
    return entry.material;
  }

  /** Bytes of a symmetric key of one of `algorithms`; they belong to the ring and must not be kept. */
  useSymmetric(handle: KeyHandle, operation: KeyOperation, algorithms: readonly KeyAlgorithm[]): Uint8Array {
    const material = this.use(handle, operation);
    if (material.kind !== 'symmetric' || !algorithms.includes(handle.algorithm)) {
      throw new KeyError('KEY_USAGE', `key ${handle.id} (${handle.algorithm}) may not ${operation}`);
    }
    return material.bytes;
  }

  usePrivate(handle: KeyHandle, operation: KeyOperation): KeyObject {
    const material = this.use(handle, operation);
    if (material.kind !== 'private') {
      throw new KeyError('KEY_USAGE', `key ${handle.id} (${handle.algorithm}) may not ${operation}`);
    }
    return material.key;
  }

  /** Objects of a key that a token holds, of one of `algorithms`. */
  useToken(handle: KeyHandle, operation: KeyOperation, algorithms: readonly KeyAlgorithm[]): TokenMaterial {
    const material = this.use(handle, operation);
    if (material.kind !== 'token' || !algorithms.includes(handle.algorithm)) {
      throw new KeyError('KEY_USAGE', `key ${handle.id} (${handle.algorithm}) may not ${operation}`);
    }
    return material;
  }

  /** Objects of a named key, for the store that made them; operations go through `use`. */
  materialOf(handle: KeyHandle): TokenMaterial {
    const material = this.#entries.get(handle.id)?.material;
    if (material?.kind !== 'token') throw new KeyError('KEY_NOT_FOUND', `key ${handle.id} is not held`);
    return material;
  }

  /** The parent's bytes, once it is certain that the child may exist. */
  useAsParent(
    handle: KeyHandle,
    method: DerivationMethod,
    childUsage: KeyUsage,
    algorithms: readonly KeyAlgorithm[],
  ): Uint8Array {
    const bytes = this.useSymmetric(handle, method, algorithms);
    requireChild(handle, method, childUsage);
    return bytes;
  }

  /** As `useAsParent`, for a key that a token holds. */
  useTokenAsParent(
    handle: KeyHandle,
    method: DerivationMethod,
    childUsage: KeyUsage,
    algorithms: readonly KeyAlgorithm[],
  ): TokenMaterial {
    const material = this.useToken(handle, method, algorithms);
    requireChild(handle, method, childUsage);
    return material;
  }

  /** Forgets a temporary key. @returns its material, for a token to destroy; undefined when nothing was held */
  release(handle: KeyHandle): KeyMaterial | undefined {
    const entry = this.#entries.get(handle.id);
    if (!entry || entry.isNamed) return undefined;
    this.#entries.delete(handle.id);
    this.#temporaryKeys--;
    wipe(entry.material);
    return entry.material;
  }

  /** Takes a long-lived key out for good, and every key derived from it. @returns their material, wiped */
  remove(name: string): KeyMaterial[] {
    const removed: KeyMaterial[] = [];
    for (const [id, entry] of this.#entries) {
      if (entry.root !== name) continue;
      this.#entries.delete(id);
      if (!entry.isNamed) this.#temporaryKeys--;
      wipe(entry.material);
      removed.push(entry.material);
    }
    return removed;
  }

  close(): void {
    this.#isClosed = true;
    for (const entry of this.#entries.values()) wipe(entry.material);
    this.#entries.clear();
    this.#temporaryKeys = 0;
  }
}

function requireChild(handle: KeyHandle, method: DerivationMethod, childUsage: KeyUsage): void {
  if (
    !mayDerive(method, handle.usage, childUsage) ||
    !algorithmsByUsage[childUsage].includes(handle.algorithm)
  ) {
    throw new KeyError('KEY_USAGE', `key ${handle.id} (${handle.usage}) may not become ${childUsage}`);
  }
}

/** Private keys live in OpenSSL's memory and go with their KeyObject; only our own buffers can be wiped. */
function wipe(material: KeyMaterial): void {
  if (material.kind === 'symmetric') material.bytes.fill(0);
}
