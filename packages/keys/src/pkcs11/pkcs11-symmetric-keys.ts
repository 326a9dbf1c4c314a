/**
 * Half of the key port over a PKCS#11 token: the inventory, and the primitives of secure channels and cryptograms.
 *
 * Invariants: every operation passes the usage matrix before the token is asked; an operation that failed its
 * known-answer test, or shows key bytes to the host where that is forbidden, is refused by name.
 */
import { randomBytes } from 'node:crypto';
import { type KeyAlgorithm, KeyError, type KeyHandle, type KeyInfo, type KeyUsage } from '../key-port.ts';
import { type KeyRing, type TokenMaterial } from '../key-ring.ts';
import { type KeyOperationName } from '../key-status.ts';
import { CKM } from './cryptoki-constants.ts';
import { mechanismWithIv, plainMechanism } from './mechanism.ts';
import { Pkcs11Error } from './pkcs11-error.ts';
import { firstHalfOf, retailMac, tdesCheckValue } from './token-composition.ts';
import { destroyKey } from './token-key-making.ts';
import { derives } from './token-key-template.ts';
import { type TokenMethods } from './token-methods.ts';
import { type TokenSession } from './token-session.ts';
import { type TokenSessionPool } from './token-session-pool.ts';

const tdes: readonly KeyAlgorithm[] = ['TDES-2KEY'];
const aes: readonly KeyAlgorithm[] = ['AES-128', 'AES-256'];

export interface Pkcs11OperationsOptions {
  readonly ring: KeyRing;
  readonly pool: TokenSessionPool;
  readonly methods: TokenMethods;
  readonly environment: 'test' | 'production';
  /** Operations that are refused, with the reason. Filled while the adapter opens. */
  readonly refused: ReadonlyMap<KeyOperationName, string>;
  /** Told when only a new start can help: the token or the login is gone. */
  readonly onTokenLost: (error: Pkcs11Error) => void;
}

/** The first half of the port over a token that is open and logged in. */
export class Pkcs11SymmetricOperations {
  readonly adapter = 'pkcs11';
  protected readonly options: Pkcs11OperationsOptions;
  protected readonly ring: KeyRing;

  constructor(options: Pkcs11OperationsOptions) {
    this.options = options;
    this.ring = options.ring;
  }

  /** One operation with a session of its own. @throws KeyError KEY_OPERATION_REFUSED */
  protected async perform<T>(
    operation: KeyOperationName,
    work: (session: TokenSession) => Promise<T>,
  ): Promise<T> {
    const reason = this.options.refused.get(operation);
    if (reason !== undefined)
      throw new KeyError('KEY_OPERATION_REFUSED', `${operation} is refused: ${reason}`);
    return this.withSession(work);
  }

  protected async withSession<T>(work: (session: TokenSession) => Promise<T>): Promise<T> {
    try {
      return await this.options.pool.use(work);
    } catch (error) {
      if (error instanceof Pkcs11Error && error.isTokenLost) this.options.onTokenLost(error);
      throw error;
    }
  }

  async find(name: string): Promise<KeyHandle> {
    return Promise.resolve().then(() => this.ring.find(name));
  }

  async list(): Promise<readonly KeyInfo[]> {
    const infos: KeyInfo[] = [];
    for (const handle of this.ring.namedHandles()) {
      infos.push(await this.withSession((session) => this.#describe(session, handle)));
    }
    return infos;
  }

  async #describe(session: TokenSession, handle: KeyHandle): Promise<KeyInfo> {
    const info = { handle, environment: this.options.environment };
    if (handle.algorithm === 'TDES-2KEY') {
      const { object } = this.ring.useToken(handle, 'list', tdes);
      const value = await tdesCheckValue(session, object, derives(handle.usage));
      return { ...info, kcv: { method: 'TDES-ECB-0', value } };
    }
    if (!aes.includes(handle.algorithm)) return info;
    const { object } = this.ring.useToken(handle, 'list', aes);
    const mac = await session.sign(object, plainMechanism(CKM.aesCmac), new Uint8Array(16));
    return { ...info, kcv: { method: 'AES-CMAC-0', value: mac.slice(0, 5) } };
  }

  async release(key: KeyHandle): Promise<void> {
    const material = this.ring.release(key);
    if (material?.kind === 'token') await this.withSession((session) => destroyKey(session, material));
  }

  randomBytes(length: number): Uint8Array {
    return Uint8Array.from(randomBytes(length));
  }

  /** Gives a new key its handle and the life of its `parent`; when there is no room for it, the token forgets it. */
  protected async keep(
    session: TokenSession,
    algorithm: KeyAlgorithm,
    usage: KeyUsage,
    material: TokenMaterial,
    parent?: KeyHandle,
  ): Promise<KeyHandle> {
    try {
      return this.ring.addTemporary(algorithm, usage, material, parent);
    } catch (error) {
      await destroyKey(session, material);
      throw error;
    }
  }

  // --- symmetric primitives ---

  tdesCbcEncrypt(key: KeyHandle, iv: Uint8Array, data: Uint8Array): Promise<Uint8Array> {
    return this.perform('tdesCbcEncrypt', async (session) => {
      const { object } = this.ring.useToken(key, 'tdesCbcEncrypt', tdes);
      requireBlocks(data, iv, 8);
      return session.encrypt(object, mechanismWithIv(CKM.des3Cbc, iv), data);
    });
  }

  retailMac(key: KeyHandle, data: Uint8Array, padding: 1 | 2, iv?: Uint8Array): Promise<Uint8Array> {
    return this.perform('retailMac', (session) =>
      retailMac(session, this.ring.useToken(key, 'retailMac', tdes), data, padding, iv),
    );
  }

  desFirstHalfEncrypt(key: KeyHandle, block: Uint8Array): Promise<Uint8Array> {
    return this.perform('desFirstHalfEncrypt', async (session) => {
      const material = this.ring.useToken(key, 'desFirstHalfEncrypt', tdes);
      requireLength(block, 8);
      return session.encrypt(firstHalfOf(material), plainMechanism(CKM.des3Ecb), block);
    });
  }

  aesCmac(key: KeyHandle, data: Uint8Array): Promise<Uint8Array> {
    return this.perform('aesCmac', (session) => {
      const { object } = this.ring.useToken(key, 'aesCmac', aes);
      return session.sign(object, plainMechanism(CKM.aesCmac), data);
    });
  }

  aesEcbEncrypt(key: KeyHandle, block: Uint8Array): Promise<Uint8Array> {
    return this.perform('aesEcbEncrypt', async (session) => {
      const { object } = this.ring.useToken(key, 'aesEcbEncrypt', aes);
      requireLength(block, 16);
      return session.encrypt(object, plainMechanism(CKM.aesEcb), block);
    });
  }

  aesCbcEncrypt(key: KeyHandle, iv: Uint8Array, data: Uint8Array): Promise<Uint8Array> {
    return this.perform('aesCbcEncrypt', async (session) => {
      const { object } = this.ring.useToken(key, 'aesCbcEncrypt', aes);
      requireBlocks(data, iv, 16);
      return session.encrypt(object, mechanismWithIv(CKM.aesCbc, iv), data);
    });
  }

  hmac(key: KeyHandle, data: Uint8Array): Promise<Uint8Array> {
    return this.perform('hmac', (session) => {
      const { object } = this.ring.useToken(key, 'hmac', ['HMAC-SHA256']);
      return session.sign(object, plainMechanism(CKM.sha256Hmac), data);
    });
  }
}

export function requireLength(data: Uint8Array, length: number): void {
  if (data.length !== length) throw new RangeError(`${data.length} bytes where ${length} are needed`);
}

function requireBlocks(data: Uint8Array, iv: Uint8Array, blockLength: number): void {
  requireLength(iv, blockLength);
  if (data.length === 0 || data.length % blockLength !== 0) {
    throw new RangeError(`${data.length} bytes are no whole number of blocks`);
  }
}
