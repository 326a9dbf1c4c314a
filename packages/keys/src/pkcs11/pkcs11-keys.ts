/**
 * The operations of the key port over a PKCS#11 token.
 *
 * Invariants: every operation passes the usage matrix before the token is asked; an operation that failed its
 * known-answer test, or shows key bytes to the host where that is forbidden, is refused by name; key bytes that do
 * pass through the host are wiped before the method returns.
 */
import { randomBytes } from 'node:crypto';
import { concatBytes, decimalize, pad80, type PinDigits, pvvBlock } from '@cardwright/emv';
import { jweRefusal, readCompactJwe } from '../jwe-opening.ts';
import {
  type DekMode,
  type EncipheredPin,
  type KeyAlgorithm,
  KeyError,
  type KeyHandle,
  type KeyInfo,
  type KeyPort,
  type KeyUsage,
  type ReferencePinFormat,
  type RsaPublicKey,
} from '../key-port.ts';
import { type KeyRing, type TokenMaterial } from '../key-ring.ts';
import { type KeyOperationName } from '../key-status.ts';
import { pinKeyAlgorithms, referencePin, withPin } from '../pin-translation.ts';
import { rsaCrtParts } from '../rsa-crt.ts';
import { CKA, CKK, CKM, CKO } from './cryptoki-constants.ts';
import {
  des3CbcEncryptData,
  type Mechanism,
  mechanismWithData,
  mechanismWithIv,
  plainMechanism,
} from './mechanism.ts';
import { Pkcs11Error } from './pkcs11-error.ts';
import {
  cardVerificationValue,
  cmacLastInput,
  firstHalfOf,
  retailMac,
  tdesCheckValue,
} from './token-composition.ts';
import { closeInToken, encipherForCard, openInToken, wrapInside, wrapperOf } from './token-card-wrapping.ts';
import { openJweInToken } from './token-jwe.ts';
import { deriveTdesKey, destroyKey, generateRsaInToken } from './token-key-making.ts';
import { derives, privateKeyTemplate, secretKeyTemplate } from './token-key-template.ts';
import { exportKeyValue, privateKeyObject } from './token-key-transport.ts';
import { type TokenMethods } from './token-methods.ts';
import { publicJwk, readRsaPublicKey } from './token-public-key.ts';
import { type TokenSession } from './token-session.ts';
import { type TokenSessionPool } from './token-session-pool.ts';

const tdes: readonly KeyAlgorithm[] = ['TDES-2KEY'];
const aes: readonly KeyAlgorithm[] = ['AES-128', 'AES-256'];
const rsa: readonly KeyAlgorithm[] = ['RSA'];
const p256: readonly KeyAlgorithm[] = ['EC-P256'];

type PublicEcJwk = Awaited<ReturnType<KeyPort['ecPublicJwk']>>;

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

/** KeyPort over a token that is open and logged in; `openPkcs11Keys` adds long-lived keys. */
export class Pkcs11KeyOperations implements KeyPort {
  readonly adapter = 'pkcs11';
  readonly #options: Pkcs11OperationsOptions;
  readonly #ring: KeyRing;
  readonly #rsaPublicKeys = new WeakMap<TokenMaterial, RsaPublicKey>();

  constructor(options: Pkcs11OperationsOptions) {
    this.#options = options;
    this.#ring = options.ring;
  }

  /** One operation with a session of its own. @throws KeyError KEY_OPERATION_REFUSED */
  async #perform<T>(operation: KeyOperationName, work: (session: TokenSession) => Promise<T>): Promise<T> {
    const reason = this.#options.refused.get(operation);
    if (reason !== undefined)
      throw new KeyError('KEY_OPERATION_REFUSED', `${operation} is refused: ${reason}`);
    return this.#withSession(work);
  }

  async #withSession<T>(work: (session: TokenSession) => Promise<T>): Promise<T> {
    try {
      return await this.#options.pool.use(work);
    } catch (error) {
      if (error instanceof Pkcs11Error && error.isTokenLost) this.#options.onTokenLost(error);
      throw error;
    }
  }

  async find(name: string): Promise<KeyHandle> {
    return Promise.resolve().then(() => this.#ring.find(name));
  }

  async list(): Promise<readonly KeyInfo[]> {
    const infos: KeyInfo[] = [];
    for (const handle of this.#ring.namedHandles()) {
      infos.push(await this.#withSession((session) => this.#describe(session, handle)));
    }
    return infos;
  }

  async #describe(session: TokenSession, handle: KeyHandle): Promise<KeyInfo> {
    const info = { handle, environment: this.#options.environment };
    if (handle.algorithm === 'TDES-2KEY') {
      const { object } = this.#ring.useToken(handle, 'list', tdes);
      const value = await tdesCheckValue(session, object, derives(handle.usage));
      return { ...info, kcv: { method: 'TDES-ECB-0', value } };
    }
    if (!aes.includes(handle.algorithm)) return info;
    const { object } = this.#ring.useToken(handle, 'list', aes);
    const mac = await session.sign(object, plainMechanism(CKM.aesCmac), new Uint8Array(16));
    return { ...info, kcv: { method: 'AES-CMAC-0', value: mac.slice(0, 5) } };
  }

  async release(key: KeyHandle): Promise<void> {
    const material = this.#ring.release(key);
    if (material?.kind === 'token') await this.#withSession((session) => destroyKey(session, material));
  }

  randomBytes(length: number): Uint8Array {
    return Uint8Array.from(randomBytes(length));
  }

  /** Gives a new key its handle; when there is no room for it, the token forgets it. */
  async #keep(
    session: TokenSession,
    algorithm: KeyAlgorithm,
    usage: KeyUsage,
    material: TokenMaterial,
  ): Promise<KeyHandle> {
    try {
      return this.#ring.addTemporary(algorithm, usage, material);
    } catch (error) {
      await destroyKey(session, material);
      throw error;
    }
  }

  // --- symmetric primitives ---

  tdesCbcEncrypt(key: KeyHandle, iv: Uint8Array, data: Uint8Array): Promise<Uint8Array> {
    return this.#perform('tdesCbcEncrypt', async (session) => {
      const { object } = this.#ring.useToken(key, 'tdesCbcEncrypt', tdes);
      requireBlocks(data, iv, 8);
      return session.encrypt(object, mechanismWithIv(CKM.des3Cbc, iv), data);
    });
  }

  retailMac(key: KeyHandle, data: Uint8Array, padding: 1 | 2, iv?: Uint8Array): Promise<Uint8Array> {
    return this.#perform('retailMac', (session) =>
      retailMac(session, this.#ring.useToken(key, 'retailMac', tdes), data, padding, iv),
    );
  }

  desFirstHalfEncrypt(key: KeyHandle, block: Uint8Array): Promise<Uint8Array> {
    return this.#perform('desFirstHalfEncrypt', async (session) => {
      const material = this.#ring.useToken(key, 'desFirstHalfEncrypt', tdes);
      requireLength(block, 8);
      return session.encrypt(firstHalfOf(material), plainMechanism(CKM.des3Ecb), block);
    });
  }

  aesCmac(key: KeyHandle, data: Uint8Array): Promise<Uint8Array> {
    return this.#perform('aesCmac', (session) => {
      const { object } = this.#ring.useToken(key, 'aesCmac', aes);
      return session.sign(object, plainMechanism(CKM.aesCmac), data);
    });
  }

  aesEcbEncrypt(key: KeyHandle, block: Uint8Array): Promise<Uint8Array> {
    return this.#perform('aesEcbEncrypt', async (session) => {
      const { object } = this.#ring.useToken(key, 'aesEcbEncrypt', aes);
      requireLength(block, 16);
      return session.encrypt(object, plainMechanism(CKM.aesEcb), block);
    });
  }

  aesCbcEncrypt(key: KeyHandle, iv: Uint8Array, data: Uint8Array): Promise<Uint8Array> {
    return this.#perform('aesCbcEncrypt', async (session) => {
      const { object } = this.#ring.useToken(key, 'aesCbcEncrypt', aes);
      requireBlocks(data, iv, 16);
      return session.encrypt(object, mechanismWithIv(CKM.aesCbc, iv), data);
    });
  }

  hmac(key: KeyHandle, data: Uint8Array): Promise<Uint8Array> {
    return this.#perform('hmac', (session) => {
      const { object } = this.#ring.useToken(key, 'hmac', ['HMAC-SHA256']);
      return session.sign(object, plainMechanism(CKM.sha256Hmac), data);
    });
  }

  // --- derivation ---

  /** The token sets odd parity in any case; DES ignores it. */
  deriveTdesEcb(key: KeyHandle, data: Uint8Array, usage: KeyUsage, _oddParity: boolean): Promise<KeyHandle> {
    return this.#perform('deriveTdesEcb', async (session) => {
      requireLength(data, 16);
      const parent = this.#ring.useTokenAsParent(key, 'deriveTdesEcb', usage, tdes);
      const material = await deriveTdesKey(session, parent.object, data, usage, (input) =>
        mechanismWithData(CKM.des3EcbEncryptData, input),
      );
      return this.#keep(session, 'TDES-2KEY', usage, material);
    });
  }

  deriveTdesCbc(key: KeyHandle, data: Uint8Array, usage: KeyUsage): Promise<KeyHandle> {
    return this.#perform('deriveTdesCbc', async (session) => {
      requireLength(data, 16);
      const parent = this.#ring.useTokenAsParent(key, 'deriveTdesCbc', usage, tdes);
      const material = await deriveTdesKey(session, parent.object, data, usage, (input) =>
        des3CbcEncryptData(new Uint8Array(8), input),
      );
      return this.#keep(session, 'TDES-2KEY', usage, material);
    });
  }

  deriveAesCmac(key: KeyHandle, inputs: readonly Uint8Array[], usage: KeyUsage): Promise<KeyHandle> {
    return this.#perform('deriveAesCmac', async (session) => {
      const { object } = this.#ring.useTokenAsParent(key, 'deriveAesCmac', usage, aes);
      if (inputs.length !== 1 && inputs.length !== 2) throw new RangeError('a derivation of 1 or 2 blocks');
      const blocks: Uint8Array[] = [];
      for (const input of inputs) blocks.push(await cmacLastInput(session, object, input));
      const algorithm = inputs.length === 1 ? 'AES-128' : 'AES-256';
      const template = secretKeyTemplate(algorithm, usage, 'session', inputs.length * 16);
      const mechanism = mechanismWithData(CKM.aesEcbEncryptData, concatBytes(...blocks));
      const derived = await session.deriveKey(object, mechanism, template);
      return this.#keep(session, algorithm, usage, { kind: 'token', object: derived });
    });
  }

  // --- wrapping for one chip ---

  wrapForCard(dek: KeyHandle, mode: DekMode, keys: readonly KeyHandle[]): Promise<Uint8Array> {
    return this.#perform(`wrapForCard/${mode}`, async (session) => {
      const wrapping = this.#useDek(dek, mode);
      const wrapped = keys.map((key) => this.#ring.useToken(key, 'beWrapped', tdes));
      if (this.#options.methods.wrapsInside[mode]) return wrapInside(session, wrapping, mode, wrapped);
      const values: Uint8Array[] = [];
      try {
        for (const { object } of wrapped) values.push(await this.#exportValue(session, object));
        return await encipherForCard(session, wrapping, mode, concatBytes(...values));
      } finally {
        for (const value of values) value.fill(0);
      }
    });
  }

  #useDek(dek: KeyHandle, mode: DekMode): TokenMaterial {
    return mode === 'TDES-ECB'
      ? this.#ring.useToken(dek, 'wrapUnderTdesEcb', tdes)
      : this.#ring.useToken(dek, 'wrapUnderAesCbc', aes);
  }

  #exportValue(session: TokenSession, object: number): Promise<Uint8Array> {
    const { keyWrapPad } = this.#options.methods;
    if (keyWrapPad === undefined) {
      throw new KeyError('KEY_OPERATION_REFUSED', 'the token wraps no key with AES (RFC 5649)');
    }
    return exportKeyValue(session, object, keyWrapPad);
  }

  wrapRsaForCard(dek: KeyHandle, mode: DekMode, key: KeyHandle): Promise<readonly Uint8Array[]> {
    return this.#perform('wrapRsaForCard', async (session) => {
      const wrapping = this.#useDek(dek, mode);
      const encoded = await this.#exportValue(session, this.#ring.useToken(key, 'beWrappedRsa', rsa).object);
      const privateKey = privateKeyObject(encoded);
      encoded.fill(0);
      const pkcs1 = privateKey.export({ format: 'der', type: 'pkcs1' });
      const { qInverse, dq, dp, q, p } = rsaCrtParts(pkcs1);
      pkcs1.fill(0);
      const wrapped: Uint8Array[] = [];
      const parts = [qInverse, dq, dp, q, p];
      try {
        for (const part of parts) {
          wrapped.push(
            await encipherForCard(session, wrapping, mode, pad80(part, mode === 'TDES-ECB' ? 8 : 16)),
          );
        }
      } finally {
        for (const part of parts) part.fill(0);
      }
      return wrapped;
    });
  }

  wrapPinForCard(
    dek: KeyHandle,
    mode: DekMode,
    pin: EncipheredPin,
    format: ReferencePinFormat,
  ): Promise<Uint8Array> {
    return this.#perform('wrapPinForCard', async (session) => {
      const wrapping = this.#useDek(dek, mode);
      return this.#withPin(session, pin, (digits) =>
        encipherForCard(session, wrapping, mode, referencePin(digits, format, mode)),
      );
    });
  }

  kcv(key: KeyHandle): Promise<Uint8Array> {
    return this.#perform('kcv', (session) =>
      tdesCheckValue(session, this.#ring.useToken(key, 'kcv', tdes).object, derives(key.usage)),
    );
  }

  // --- RSA ---

  generateRsa(bits: number, exponent: 3 | 65537, usage: 'CA' | 'ISSUER' | 'ICC'): Promise<KeyHandle> {
    return this.#perform(`generateRsa/${exponent}`, async (session) => {
      const isInside = exponent === 65537 || this.#options.methods.generatesExponent3;
      const material = await generateRsaInToken(session, bits, exponent, usage, 'session', isInside);
      return this.#keep(session, 'RSA', usage, material);
    });
  }

  rsaPublic(key: KeyHandle): Promise<RsaPublicKey> {
    return this.#perform('rsaPublic', (session) =>
      this.#rsaPublicKey(session, this.#ring.useToken(key, 'rsaPublic', rsa)),
    );
  }

  async #rsaPublicKey(session: TokenSession, material: TokenMaterial): Promise<RsaPublicKey> {
    const known = this.#rsaPublicKeys.get(material);
    if (known) return known;
    const read = await readRsaPublicKey(session, material.object);
    this.#rsaPublicKeys.set(material, read);
    return read;
  }

  rsaRawSign(key: KeyHandle, block: Uint8Array): Promise<Uint8Array> {
    return this.#perform('rsaRawSign', async (session) => {
      const material = this.#ring.useToken(key, 'rsaRawSign', rsa);
      const { modulus } = await this.#rsaPublicKey(session, material);
      requireLength(block, modulus.length);
      return session.sign(material.object, plainMechanism(CKM.rsaX509), block, true);
    });
  }

  // --- card verification values ---

  cvv(cvk: KeyHandle, pan: string, expiryYYMM: string, serviceCode: string): Promise<string> {
    return this.#perform('cvv', (session) =>
      cardVerificationValue(session, this.#ring.useToken(cvk, 'cvv', tdes), pan, expiryYYMM, serviceCode),
    );
  }

  // --- PINs: the keys stay inside, the clear PIN is in this process while it is checked ---

  checkPinBlock(pin: EncipheredPin): Promise<void> {
    return this.#perform('checkPinBlock', (session) => this.#withPin(session, pin, () => undefined));
  }

  pvv(pvk: KeyHandle, pvki: string, pin: EncipheredPin): Promise<string> {
    return this.#perform('pvv', async (session) => {
      const { object } = this.#ring.useToken(pvk, 'pvv', tdes);
      return this.#withPin(session, pin, async (digits) => {
        const block = pvvBlock(pvki, pin.pan, digits);
        try {
          return decimalize(await session.encrypt(object, plainMechanism(CKM.des3Ecb), block), 4);
        } finally {
          block.fill(0);
        }
      });
    });
  }

  async #withPin<T>(
    session: TokenSession,
    pin: EncipheredPin,
    use: (digits: PinDigits) => T | Promise<T>,
  ): Promise<T> {
    const { object } = this.#ring.useToken(pin.key, 'openPin', pinKeyAlgorithms[pin.format]);
    const ecb = plainMechanism(pin.format === 'ISO9564-4' ? CKM.aesEcb : CKM.des3Ecb);
    return withPin((block) => session.decrypt(object, ecb, block), pin, use);
  }

  // --- sealing ---

  seal(key: KeyHandle, plaintext: Uint8Array, context: string): Promise<Uint8Array> {
    return this.#perform('seal', (session) => {
      const { object } = this.#ring.useToken(key, 'seal', ['AES-256']);
      return closeInToken(session, object, 'data', context, plaintext);
    });
  }

  unseal(key: KeyHandle, sealed: Uint8Array, context: string): Promise<Uint8Array> {
    return this.#perform('unseal', (session) => {
      const { object } = this.#ring.useToken(key, 'unseal', ['AES-256']);
      return openInToken(session, object, 'data', context, sealed);
    });
  }

  /** The key wrapped inside the token (RFC 5649), then sealed with its context. */
  sealRsa(sealKey: KeyHandle, key: KeyHandle, context: string): Promise<Uint8Array> {
    return this.#perform('sealRsa', async (session) => {
      const seal = this.#ring.useToken(sealKey, 'sealRsa', ['AES-256']);
      const { object } = this.#ring.useToken(key, 'beSealedRsa', rsa);
      const wrapped = await session.wrapKey(wrapperOf(seal), this.#keyWrap(), object, 4096);
      return closeInToken(session, seal.object, 'rsa-key', context, wrapped);
    });
  }

  unsealRsa(sealKey: KeyHandle, sealed: Uint8Array, context: string): Promise<KeyHandle> {
    return this.#perform('unsealRsa', async (session) => {
      const seal = this.#ring.useToken(sealKey, 'unsealRsa', ['AES-256']);
      const wrapped = await openInToken(session, seal.object, 'rsa-key', context, sealed);
      const object = await session.unwrapKey(wrapperOf(seal), this.#keyWrap(), wrapped, [
        [CKA.class, CKO.privateKey],
        [CKA.keyType, CKK.rsa],
        ...privateKeyTemplate('RSA', 'ICC', 'session', randomBytes(16)),
      ]);
      return this.#keep(session, 'RSA', 'ICC', { kind: 'token', object });
    });
  }

  #keyWrap(): Mechanism {
    const { keyWrapPad } = this.#options.methods;
    if (keyWrapPad === undefined) {
      throw new KeyError('KEY_OPERATION_REFUSED', 'the token wraps no key with AES (RFC 5649)');
    }
    return plainMechanism(keyWrapPad);
  }

  // --- JWE ---

  openJwe(key: KeyHandle, jwe: string): Promise<Uint8Array> {
    return this.#perform('openJwe', async (session) => {
      const { object, publicPoint } = this.#ring.useToken(key, 'openJwe', p256);
      const parts = readCompactJwe(jwe, publicJwk(publicPoint).kid);
      if (!parts) throw jweRefusal();
      return openJweInToken(session, object, parts, this.#options.methods.derivesContentKey);
    });
  }

  ecPublicJwk(key: KeyHandle): Promise<PublicEcJwk> {
    return this.#perform('ecPublicJwk', () =>
      Promise.resolve(publicJwk(this.#ring.useToken(key, 'ecPublicJwk', p256).publicPoint)),
    );
  }
}

function requireLength(data: Uint8Array, length: number): void {
  if (data.length !== length) throw new RangeError(`${data.length} bytes where ${length} are needed`);
}

function requireBlocks(data: Uint8Array, iv: Uint8Array, blockLength: number): void {
  requireLength(iv, blockLength);
  if (data.length === 0 || data.length % blockLength !== 0) {
    throw new RangeError(`${data.length} bytes are no whole number of blocks`);
  }
}
