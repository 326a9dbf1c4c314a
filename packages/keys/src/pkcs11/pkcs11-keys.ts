/**
 * The key port over a PKCS#11 token: derivation, wrapping, RSA, card values, PINs, seals and JWE.
 *
 * Invariants: every operation passes the usage matrix before the token is asked; an operation that failed its
 * known-answer test, or shows key bytes to the host where that is forbidden, is refused by name; key bytes that do
 * pass through the host are wiped before the method returns.
 */
import { randomBytes } from 'node:crypto';
import { concatBytes, type PinDigits } from '@cardwright/emv';
import { jweRefusal, readCompactJwe } from '../jwe-opening.ts';
import {
  type DekMode,
  type EncipheredPin,
  type KeyAlgorithm,
  KeyError,
  type KeyHandle,
  type KeyPort,
  type KeyUsage,
  type ReferencePinFormat,
  type RsaPublicKey,
} from '../key-port.ts';
import { type TokenMaterial } from '../key-ring.ts';
import { pinKeyAlgorithms, referencePin, withPin } from '../pin-translation.ts';
import { CKA, CKK, CKM, CKO } from './cryptoki-constants.ts';
import { des3CbcEncryptData, type Mechanism, mechanismWithData, plainMechanism } from './mechanism.ts';
import { Pkcs11SymmetricOperations, requireLength } from './pkcs11-symmetric-keys.ts';
import {
  cardVerificationValue,
  cmacLastInput,
  pinVerificationValue,
  tdesCheckValue,
} from './token-composition.ts';
import {
  closeInToken,
  encipherForCard,
  encipherRsaParts,
  openInToken,
  wrapInside,
  wrapperOf,
} from './token-card-wrapping.ts';
import { openJweInToken } from './token-jwe.ts';
import { deriveTdesKey, generateRsaInToken } from './token-key-making.ts';
import { derives, privateKeyTemplate, secretKeyTemplate } from './token-key-template.ts';
import { exportKeyValue } from './token-key-transport.ts';
import { publicJwk, readRsaPublicKey } from './token-public-key.ts';
import { type TokenSession } from './token-session.ts';

const tdes: readonly KeyAlgorithm[] = ['TDES-2KEY'];
const aes: readonly KeyAlgorithm[] = ['AES-128', 'AES-256'];
const rsa: readonly KeyAlgorithm[] = ['RSA'];
const p256: readonly KeyAlgorithm[] = ['EC-P256'];

type PublicEcJwk = Awaited<ReturnType<KeyPort['ecPublicJwk']>>;

/** KeyPort over a token that is open and logged in; `openPkcs11Keys` adds long-lived keys. */
export class Pkcs11KeyOperations extends Pkcs11SymmetricOperations implements KeyPort {
  readonly #rsaPublicKeys = new WeakMap<TokenMaterial, RsaPublicKey>();

  // --- derivation ---

  /** The token sets odd parity in any case; DES ignores it. */
  deriveTdesEcb(key: KeyHandle, data: Uint8Array, usage: KeyUsage, _oddParity: boolean): Promise<KeyHandle> {
    return this.perform('deriveTdesEcb', async (session) => {
      requireLength(data, 16);
      const parent = this.ring.useTokenAsParent(key, 'deriveTdesEcb', usage, tdes);
      const material = await deriveTdesKey(session, parent.object, data, usage, (input) =>
        mechanismWithData(CKM.des3EcbEncryptData, input),
      );
      return this.keep(session, 'TDES-2KEY', usage, material, key);
    });
  }

  deriveTdesCbc(key: KeyHandle, data: Uint8Array, usage: KeyUsage): Promise<KeyHandle> {
    return this.perform('deriveTdesCbc', async (session) => {
      requireLength(data, 16);
      const parent = this.ring.useTokenAsParent(key, 'deriveTdesCbc', usage, tdes);
      const material = await deriveTdesKey(session, parent.object, data, usage, (input) =>
        des3CbcEncryptData(new Uint8Array(8), input),
      );
      return this.keep(session, 'TDES-2KEY', usage, material, key);
    });
  }

  deriveAesCmac(key: KeyHandle, inputs: readonly Uint8Array[], usage: KeyUsage): Promise<KeyHandle> {
    return this.perform('deriveAesCmac', async (session) => {
      const { object } = this.ring.useTokenAsParent(key, 'deriveAesCmac', usage, aes);
      if (inputs.length !== 1 && inputs.length !== 2) throw new RangeError('a derivation of 1 or 2 blocks');
      const blocks: Uint8Array[] = [];
      for (const input of inputs) blocks.push(await cmacLastInput(session, object, input));
      const algorithm = inputs.length === 1 ? 'AES-128' : 'AES-256';
      const template = secretKeyTemplate(algorithm, usage, 'session', inputs.length * 16);
      const mechanism = mechanismWithData(CKM.aesEcbEncryptData, concatBytes(...blocks));
      const derived = await session.deriveKey(object, mechanism, template);
      return this.keep(session, algorithm, usage, { kind: 'token', object: derived }, key);
    });
  }

  // --- wrapping for one chip ---

  wrapForCard(dek: KeyHandle, mode: DekMode, keys: readonly KeyHandle[]): Promise<Uint8Array> {
    return this.perform(`wrapForCard/${mode}`, async (session) => {
      const wrapping = this.#useDek(dek, mode);
      const wrapped = keys.map((key) => this.ring.useToken(key, 'beWrapped', tdes));
      if (this.options.methods.wrapsInside[mode]) return wrapInside(session, wrapping, mode, wrapped);
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
      ? this.ring.useToken(dek, 'wrapUnderTdesEcb', tdes)
      : this.ring.useToken(dek, 'wrapUnderAesCbc', aes);
  }

  #exportValue(session: TokenSession, object: number): Promise<Uint8Array> {
    const { keyWrapPad } = this.options.methods;
    if (keyWrapPad === undefined) {
      throw new KeyError('KEY_OPERATION_REFUSED', 'the token wraps no key with AES (RFC 5649)');
    }
    return exportKeyValue(session, object, keyWrapPad);
  }

  wrapRsaForCard(dek: KeyHandle, mode: DekMode, key: KeyHandle): Promise<readonly Uint8Array[]> {
    return this.perform('wrapRsaForCard', async (session) => {
      const wrapping = this.#useDek(dek, mode);
      const encoded = await this.#exportValue(session, this.ring.useToken(key, 'beWrappedRsa', rsa).object);
      return encipherRsaParts(session, wrapping, mode, encoded);
    });
  }

  wrapPinForCard(
    dek: KeyHandle,
    mode: DekMode,
    pin: EncipheredPin,
    format: ReferencePinFormat,
  ): Promise<Uint8Array> {
    return this.perform('wrapPinForCard', async (session) => {
      const wrapping = this.#useDek(dek, mode);
      return this.#withPin(session, pin, (digits) =>
        encipherForCard(session, wrapping, mode, referencePin(digits, format, mode)),
      );
    });
  }

  kcv(key: KeyHandle): Promise<Uint8Array> {
    return this.perform('kcv', (session) =>
      tdesCheckValue(session, this.ring.useToken(key, 'kcv', tdes).object, derives(key.usage)),
    );
  }

  // --- RSA ---

  generateRsa(bits: number, exponent: 3 | 65537, usage: 'CA' | 'ISSUER' | 'ICC'): Promise<KeyHandle> {
    return this.perform(`generateRsa/${exponent}`, async (session) => {
      const isInside = exponent === 65537 || this.options.methods.generatesExponent3;
      const material = await generateRsaInToken(session, bits, exponent, usage, 'session', isInside);
      return this.keep(session, 'RSA', usage, material);
    });
  }

  rsaPublic(key: KeyHandle): Promise<RsaPublicKey> {
    return this.perform('rsaPublic', (session) =>
      this.#rsaPublicKey(session, this.ring.useToken(key, 'rsaPublic', rsa)),
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
    return this.perform('rsaRawSign', async (session) => {
      const material = this.ring.useToken(key, 'rsaRawSign', rsa);
      const { modulus } = await this.#rsaPublicKey(session, material);
      requireLength(block, modulus.length);
      return session.sign(material.object, plainMechanism(CKM.rsaX509), block, true);
    });
  }

  // --- card verification values ---

  cvv(cvk: KeyHandle, pan: string, expiryYYMM: string, serviceCode: string): Promise<string> {
    return this.perform('cvv', (session) =>
      cardVerificationValue(session, this.ring.useToken(cvk, 'cvv', tdes), pan, expiryYYMM, serviceCode),
    );
  }

  // --- PINs: the keys stay inside, the clear PIN is in this process while it is checked ---

  checkPinBlock(pin: EncipheredPin): Promise<void> {
    return this.perform('checkPinBlock', (session) => this.#withPin(session, pin, () => undefined));
  }

  pvv(pvk: KeyHandle, pvki: string, pin: EncipheredPin): Promise<string> {
    return this.perform('pvv', async (session) => {
      const { object } = this.ring.useToken(pvk, 'pvv', tdes);
      return this.#withPin(session, pin, (digits) =>
        pinVerificationValue(session, object, pvki, pin.pan, digits),
      );
    });
  }

  async #withPin<T>(
    session: TokenSession,
    pin: EncipheredPin,
    use: (digits: PinDigits) => T | Promise<T>,
  ): Promise<T> {
    const { object } = this.ring.useToken(pin.key, 'openPin', pinKeyAlgorithms[pin.format]);
    const ecb = plainMechanism(pin.format === 'ISO9564-4' ? CKM.aesEcb : CKM.des3Ecb);
    return withPin((block) => session.decrypt(object, ecb, block), pin, use);
  }

  // --- sealing ---

  seal(key: KeyHandle, plaintext: Uint8Array, context: string): Promise<Uint8Array> {
    return this.perform('seal', (session) => {
      const { object } = this.ring.useToken(key, 'seal', ['AES-256']);
      return closeInToken(session, object, 'data', context, plaintext);
    });
  }

  unseal(key: KeyHandle, sealed: Uint8Array, context: string): Promise<Uint8Array> {
    return this.perform('unseal', (session) => {
      const { object } = this.ring.useToken(key, 'unseal', ['AES-256']);
      return openInToken(session, object, 'data', context, sealed);
    });
  }

  /** The key wrapped inside the token (RFC 5649), then sealed with its context. */
  sealRsa(sealKey: KeyHandle, key: KeyHandle, context: string): Promise<Uint8Array> {
    return this.perform('sealRsa', async (session) => {
      const seal = this.ring.useToken(sealKey, 'sealRsa', ['AES-256']);
      const { object } = this.ring.useToken(key, 'beSealedRsa', rsa);
      const wrapped = await session.wrapKey(wrapperOf(seal), this.#keyWrap(), object, 4096);
      return closeInToken(session, seal.object, 'rsa-key', context, wrapped);
    });
  }

  unsealRsa(sealKey: KeyHandle, sealed: Uint8Array, context: string): Promise<KeyHandle> {
    return this.perform('unsealRsa', async (session) => {
      const seal = this.ring.useToken(sealKey, 'unsealRsa', ['AES-256']);
      const wrapped = await openInToken(session, seal.object, 'rsa-key', context, sealed);
      const object = await session.unwrapKey(wrapperOf(seal), this.#keyWrap(), wrapped, [
        [CKA.class, CKO.privateKey],
        [CKA.keyType, CKK.rsa],
        ...privateKeyTemplate('RSA', 'ICC', 'session', randomBytes(16)),
      ]);
      return this.keep(session, 'RSA', 'ICC', { kind: 'token', object });
    });
  }

  #keyWrap(): Mechanism {
    const { keyWrapPad } = this.options.methods;
    if (keyWrapPad === undefined) {
      throw new KeyError('KEY_OPERATION_REFUSED', 'the token wraps no key with AES (RFC 5649)');
    }
    return plainMechanism(keyWrapPad);
  }

  // --- JWE ---

  openJwe(key: KeyHandle, jwe: string): Promise<Uint8Array> {
    return this.perform('openJwe', async (session) => {
      const { object, publicPoint } = this.ring.useToken(key, 'openJwe', p256);
      const parts = readCompactJwe(jwe, publicJwk(publicPoint).kid);
      if (!parts) throw jweRefusal();
      return openJweInToken(session, object, parts, this.options.methods.derivesContentKey);
    });
  }

  ecPublicJwk(key: KeyHandle): Promise<PublicEcJwk> {
    return this.perform('ecPublicJwk', () =>
      Promise.resolve(publicJwk(this.ring.useToken(key, 'ecPublicJwk', p256).publicPoint)),
    );
  }
}
