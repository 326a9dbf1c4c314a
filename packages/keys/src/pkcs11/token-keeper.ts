/**
 * Long-lived keys as objects of a token: making, opening, comparing and destroying them for the shared management.
 *
 * Invariants: a key's value is generated in the token, or enters it at an import and stays; only a key block
 * protection key comes out again, wrapped under a key made for this one transport, because no token here opens key
 * blocks; ceremonies and key blocks are refused where key bytes in the host are forbidden.
 */
import { formatCheckValue } from '../key-block/key-check-value.ts';
import { makeKeyValue, type KeySpec } from '../key-making.ts';
import { type KeptKey, type KeyKeeper } from '../key-management.ts';
import { type KeyAlgorithm, KeyError, type KeyHandle } from '../key-port.ts';
import { type KeyMaterial, type KeyRing, type TokenMaterial } from '../key-ring.ts';
import { type KeyOperationName } from '../key-status.ts';
import { CKM } from './cryptoki-constants.ts';
import { plainMechanism } from './mechanism.ts';
import { type Pkcs11OperationsOptions } from './pkcs11-symmetric-keys.ts';
import { tdesCheckValue } from './token-composition.ts';
import { isSameKey } from './token-key-comparison.ts';
import { findNamedKeys, type NamedTokenKey, removeNamedKey } from './token-key-inventory.ts';
import {
  destroyKey,
  generateP256,
  generateRsaInToken,
  generateSecretKey,
  importKey,
  inSession,
  type PlaceOf,
} from './token-key-making.ts';
import { derives, isNamedKeyExtractable } from './token-key-template.ts';
import { exportKeyValue } from './token-key-transport.ts';
import { type TokenSession } from './token-session.ts';
import { workingCopyOf } from './token-working-copy.ts';

const blockAlgorithms: readonly KeyAlgorithm[] = ['TDES-2KEY', 'AES-128', 'AES-256', 'HMAC-SHA256'];

export class TokenKeeper implements KeyKeeper {
  readonly description: string;
  readonly #operations: Pkcs11OperationsOptions;
  readonly #ring: KeyRing;

  /** @param token label and serial number, for the transcript */
  constructor(operations: Pkcs11OperationsOptions, token: string) {
    this.#operations = operations;
    this.#ring = operations.ring;
    this.description = `PKCS#11 token ${token}; components are combined in memory, the key stays in the token`;
  }

  async make(name: string, spec: KeySpec): Promise<void> {
    const { environment, pool } = this.#operations;
    const { algorithm, usage } = spec;
    const placeOf: PlaceOf = (role) => ({ environment, usage, algorithm, role, name });
    await pool.use((session) => this.#makeObjects(session, name, spec, placeOf));
  }

  async #makeObjects(
    session: TokenSession,
    name: string,
    spec: KeySpec,
    placeOf: PlaceOf,
  ): Promise<TokenMaterial> {
    if (spec.value) {
      const value = await makeKeyValue(name, spec);
      return importKey(session, spec.algorithm, spec.usage, value, placeOf).finally(() => value.fill(0));
    }
    switch (spec.algorithm) {
      case 'RSA': {
        const exponent = spec.exponent ?? 3;
        this.#require(`generateRsa/${exponent}`);
        const isInside = exponent === 65537 || this.#operations.methods.generatesExponent3;
        return generateRsaInToken(session, spec.bits ?? 1408, exponent, spec.usage, placeOf('key'), isInside);
      }
      case 'EC-P256':
        return generateP256(session, spec.usage, placeOf);
      default:
        return generateSecretKey(session, spec.algorithm, spec.usage, placeOf);
    }
  }

  /** @throws KeyError KEY_OPERATION_REFUSED */
  #require(operation: KeyOperationName): void {
    const reason = this.#operations.refused.get(operation);
    if (reason === undefined) return;
    throw new KeyError('KEY_OPERATION_REFUSED', `${operation} is refused: ${reason}`);
  }

  async open(name: string): Promise<KeptKey> {
    const { environment, pool } = this.#operations;
    return pool.use(async (session) => {
      const [key] = await findNamedKeys(session, environment, name);
      if (!key) throw new KeyError('KEY_STORE', `key ${name} is gone from the token`);
      return this.keep(session, key);
    });
  }

  /** A key that was found in the token, to work with. */
  async keep(session: TokenSession, { material, ...key }: NamedTokenKey): Promise<KeptKey> {
    const checkValue = await checkValueText(session, key, material);
    // A protection key is not worked with inside, and a copy of it would be one more that can leave.
    const isUsedInside = !isNamedKeyExtractable(key.usage);
    return { ...key, checkValue, material: isUsedInside ? await workingCopyOf(session, material) : material };
  }

  async hasValue(handle: KeyHandle, value: Uint8Array): Promise<boolean> {
    return this.#operations.pool.use(async (session) => {
      const offered = await importKey(session, handle.algorithm, handle.usage, value, inSession);
      try {
        return await isSameKey(session, handle, this.#ring.materialOf(handle), offered);
      } finally {
        await destroyKey(session, offered);
      }
    });
  }

  async remove(name: string, held: readonly KeyMaterial[]): Promise<void> {
    await this.#operations.pool.use(async (session) => {
      await removeNamedKey(session, name);
      // Working copies and card keys end with their session in any case; some are objects that are gone by now.
      for (const material of held) {
        if (material.kind === 'token') await destroyKey(session, material).catch(() => undefined);
      }
    });
  }

  async withKeyBytes<T>(
    handle: KeyHandle,
    operation: 'wrapKeyBlock' | 'unwrapKeyBlock' | 'beKeyBlock',
    use: (bytes: Uint8Array) => T | Promise<T>,
  ): Promise<T> {
    const { object } = this.#ring.useToken(handle, operation, blockAlgorithms);
    if (!isNamedKeyExtractable(handle.usage)) {
      throw new KeyError('KEY_OPERATION_REFUSED', `key ${handle.id} does not leave the token`);
    }
    this.#require('importKeyBlock');
    const bytes = await this.#operations.pool.use((session) => this.protectionKey(session, handle, object));
    try {
      return await use(bytes);
    } finally {
      bytes.fill(0);
    }
  }

  /** Bytes of a key block protection key. The caller wipes them. */
  async protectionKey(session: TokenSession, { algorithm }: KeyHandle, object: number): Promise<Uint8Array> {
    const { keyWrapPad } = this.#operations.methods;
    if (keyWrapPad === undefined) {
      throw new KeyError('KEY_OPERATION_REFUSED', 'the token wraps no key with AES (RFC 5649)');
    }
    const value = await exportKeyValue(session, object, keyWrapPad);
    if (value.length === (algorithm === 'AES-256' ? 32 : 16)) return value;
    value.fill(0);
    throw new KeyError('KEY_STORE', 'the token gives a protection key of another length');
  }

  requireCeremony(): void {
    this.#require('holdCeremony');
  }
}

/** As the software adapter states it, computed by the token. */
async function checkValueText(
  session: TokenSession,
  { algorithm, usage }: Pick<KeyHandle, 'algorithm' | 'usage'>,
  { object }: TokenMaterial,
): Promise<string | null> {
  switch (algorithm) {
    case 'TDES-2KEY': {
      const value = await tdesCheckValue(session, object, derives(usage));
      return formatCheckValue({ method: 'TDES-ECB-0', value });
    }
    case 'AES-128':
    case 'AES-256': {
      const mac = await session.sign(object, plainMechanism(CKM.aesCmac), new Uint8Array(16));
      return formatCheckValue({ method: 'AES-CMAC-0', value: mac.slice(0, 5) });
    }
    case 'HMAC-SHA256':
    case 'RSA':
    case 'EC-P256':
      return null;
  }
}
