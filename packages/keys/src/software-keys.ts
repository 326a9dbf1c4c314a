/**
 * The operations of the key port in software, over clear keys in a ring.
 *
 * Invariants: every operation passes the usage matrix before it touches key bytes; nothing secret leaves except
 * under encryption; temporary copies of key bytes are wiped before a method returns.
 */
import {
  constants,
  createHmac,
  createPublicKey,
  hash,
  type KeyObject,
  privateEncrypt,
  randomBytes,
} from 'node:crypto';
import {
  aesCbcEncrypt,
  aesCmac,
  aesEcbDecrypt,
  aesEcbEncrypt,
  concatBytes,
  cvv,
  desEcbEncrypt,
  oddParity as withOddParity,
  pad80,
  type PinDigits,
  pvv,
  retailMac,
  tdesCbcEncrypt,
  tdesEcbDecrypt,
  tdesEcbEncrypt,
  tdesKcv,
} from '@cardwright/emv';
import { openCompactJwe } from './jwe-opening.ts';
import { generateRsaKey, materialOf, pkcs8 } from './key-making.ts';
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
} from './key-port.ts';
import { type KeyRing } from './key-ring.ts';
import { algorithmsByUsage } from './key-usage.ts';
import { pinKeyAlgorithms, referencePin, withPin } from './pin-translation.ts';
import { rsaCrtParts } from './rsa-crt.ts';
import { closeBox, openBox, sealAdditionalData } from './sealed-box.ts';

const tdes: readonly KeyAlgorithm[] = ['TDES-2KEY'];
const aes: readonly KeyAlgorithm[] = ['AES-128', 'AES-256'];

type PublicEcJwk = Awaited<ReturnType<KeyPort['ecPublicJwk']>>;

/** KeyPort without a store; `openSoftwareKeys` adds long-lived keys. */
export class SoftwareKeyOperations implements KeyPort {
  readonly adapter = 'software';
  readonly #ring: KeyRing;
  readonly #environment: 'test' | 'production';

  constructor(ring: KeyRing, environment: 'test' | 'production') {
    this.#ring = ring;
    this.#environment = environment;
  }

  find(name: string): Promise<KeyHandle> {
    return promised(() => this.#ring.find(name));
  }

  list(): Promise<readonly KeyInfo[]> {
    return promised(() => this.#ring.namedHandles().map((handle) => this.#describe(handle)));
  }

  #describe(handle: KeyHandle): KeyInfo {
    const info = { handle, environment: this.#environment };
    if (handle.algorithm === 'TDES-2KEY') {
      const value = tdesKcv(this.#ring.useSymmetric(handle, 'list', tdes));
      return { ...info, kcv: { method: 'TDES-ECB-0', value } };
    }
    if (!aes.includes(handle.algorithm)) return info;
    // X9.24: the leftmost five bytes of the CMAC of one zero block.
    const mac = aesCmac(this.#ring.useSymmetric(handle, 'list', aes), new Uint8Array(16));
    return { ...info, kcv: { method: 'AES-CMAC-0', value: mac.slice(0, 5) } };
  }

  release(key: KeyHandle): Promise<void> {
    return promised(() => {
      this.#ring.release(key);
    });
  }

  randomBytes(length: number): Uint8Array {
    return Uint8Array.from(randomBytes(length));
  }

  // --- symmetric primitives ---

  tdesCbcEncrypt(key: KeyHandle, iv: Uint8Array, data: Uint8Array): Promise<Uint8Array> {
    return promised(() => tdesCbcEncrypt(this.#ring.useSymmetric(key, 'tdesCbcEncrypt', tdes), iv, data));
  }

  retailMac(key: KeyHandle, data: Uint8Array, padding: 1 | 2, iv?: Uint8Array): Promise<Uint8Array> {
    return promised(() => retailMac(this.#ring.useSymmetric(key, 'retailMac', tdes), data, padding, iv));
  }

  desFirstHalfEncrypt(key: KeyHandle, block: Uint8Array): Promise<Uint8Array> {
    return promised(() => {
      const bytes = this.#ring.useSymmetric(key, 'desFirstHalfEncrypt', tdes);
      return desEcbEncrypt(bytes.subarray(0, 8), block);
    });
  }

  aesCmac(key: KeyHandle, data: Uint8Array): Promise<Uint8Array> {
    return promised(() => aesCmac(this.#ring.useSymmetric(key, 'aesCmac', aes), data));
  }

  aesEcbEncrypt(key: KeyHandle, block: Uint8Array): Promise<Uint8Array> {
    return promised(() => aesEcbEncrypt(this.#ring.useSymmetric(key, 'aesEcbEncrypt', aes), block));
  }

  aesCbcEncrypt(key: KeyHandle, iv: Uint8Array, data: Uint8Array): Promise<Uint8Array> {
    return promised(() => aesCbcEncrypt(this.#ring.useSymmetric(key, 'aesCbcEncrypt', aes), iv, data));
  }

  hmac(key: KeyHandle, data: Uint8Array): Promise<Uint8Array> {
    return promised(() => {
      const bytes = this.#ring.useSymmetric(key, 'hmac', ['HMAC-SHA256']);
      return Uint8Array.from(createHmac('sha256', bytes).update(data).digest());
    });
  }

  // --- derivation ---

  deriveTdesEcb(key: KeyHandle, data: Uint8Array, usage: KeyUsage, oddParity: boolean): Promise<KeyHandle> {
    return promised(() => {
      requireLength(data, 16);
      const derived = tdesEcbEncrypt(this.#ring.useAsParent(key, 'deriveTdesEcb', usage, tdes), data);
      return this.#keep(key, 'TDES-2KEY', usage, oddParity ? withOddParity(derived) : derived, derived);
    });
  }

  deriveTdesCbc(key: KeyHandle, data: Uint8Array, usage: KeyUsage): Promise<KeyHandle> {
    return promised(() => {
      requireLength(data, 16);
      const parent = this.#ring.useAsParent(key, 'deriveTdesCbc', usage, tdes);
      const derived = tdesCbcEncrypt(parent, new Uint8Array(8), data);
      return this.#keep(key, 'TDES-2KEY', usage, derived, derived);
    });
  }

  deriveAesCmac(key: KeyHandle, inputs: readonly Uint8Array[], usage: KeyUsage): Promise<KeyHandle> {
    return promised(() => {
      const parent = this.#ring.useAsParent(key, 'deriveAesCmac', usage, aes);
      if (inputs.length !== 1 && inputs.length !== 2) throw new RangeError('a derivation of 1 or 2 blocks');
      const blocks = inputs.map((input) => aesCmac(parent, input));
      return this.#keep(
        key,
        inputs.length === 1 ? 'AES-128' : 'AES-256',
        usage,
        concatBytes(...blocks),
        ...blocks,
      );
    });
  }

  /** Keeps an own copy of `value` and wipes every buffer that held it or a part of it. */
  #keep(
    parent: KeyHandle,
    algorithm: KeyAlgorithm,
    usage: KeyUsage,
    value: Uint8Array,
    ...parts: Uint8Array[]
  ): KeyHandle {
    const bytes = Uint8Array.from(value);
    for (const buffer of [value, ...parts]) buffer.fill(0);
    return this.#ring.addTemporary(algorithm, usage, { kind: 'symmetric', bytes }, parent);
  }

  // --- wrapping for one chip ---

  wrapForCard(dek: KeyHandle, mode: DekMode, keys: readonly KeyHandle[]): Promise<Uint8Array> {
    return promised(() => {
      const encipher = this.#cardEncipherment(dek, mode);
      const clear = concatBytes(...keys.map((key) => this.#ring.useSymmetric(key, 'beWrapped', tdes)));
      return encipherAndWipe(encipher, clear);
    });
  }

  wrapRsaForCard(dek: KeyHandle, mode: DekMode, key: KeyHandle): Promise<readonly Uint8Array[]> {
    return promised(() => {
      const encipher = this.#cardEncipherment(dek, mode);
      const encoded = this.#ring.usePrivate(key, 'beWrappedRsa').export({ format: 'der', type: 'pkcs1' });
      const { qInverse, dq, dp, q, p } = rsaCrtParts(encoded);
      encoded.fill(0);
      return [qInverse, dq, dp, q, p].map((part) => {
        const padded = pad80(part, mode === 'TDES-ECB' ? 8 : 16);
        part.fill(0);
        return encipherAndWipe(encipher, padded);
      });
    });
  }

  wrapPinForCard(
    dek: KeyHandle,
    mode: DekMode,
    pin: EncipheredPin,
    format: ReferencePinFormat,
  ): Promise<Uint8Array> {
    return promised(() => {
      const encipher = this.#cardEncipherment(dek, mode);
      return this.#withPin(pin, (digits) => encipherAndWipe(encipher, referencePin(digits, format, mode)));
    });
  }

  #cardEncipherment(dek: KeyHandle, mode: DekMode): (clear: Uint8Array) => Uint8Array {
    switch (mode) {
      case 'TDES-ECB': {
        const key = this.#ring.useSymmetric(dek, 'wrapUnderTdesEcb', tdes);
        return (clear) => tdesEcbEncrypt(key, clear);
      }
      case 'AES-CBC': {
        const key = this.#ring.useSymmetric(dek, 'wrapUnderAesCbc', aes);
        return (clear) => aesCbcEncrypt(key, new Uint8Array(16), clear);
      }
    }
  }

  kcv(key: KeyHandle): Promise<Uint8Array> {
    return promised(() => tdesKcv(this.#ring.useSymmetric(key, 'kcv', tdes)));
  }

  // --- RSA ---

  async generateRsa(bits: number, exponent: 3 | 65537, usage: 'CA' | 'ISSUER' | 'ICC'): Promise<KeyHandle> {
    if (!algorithmsByUsage[usage].includes('RSA'))
      throw new KeyError('KEY_USAGE', `${usage} is no RSA usage`);
    const key = await generateRsaKey(bits, exponent);
    return this.#ring.addTemporary('RSA', usage, { kind: 'private', key });
  }

  rsaPublic(key: KeyHandle): Promise<RsaPublicKey> {
    return promised(() => {
      const { n, e } = createPublicKey(this.#ring.usePrivate(key, 'rsaPublic')).export({ format: 'jwk' });
      return { modulus: fromBase64Url(n), exponent: fromBase64Url(e) };
    });
  }

  rsaRawSign(key: KeyHandle, block: Uint8Array): Promise<Uint8Array> {
    return promised(() => {
      const privateKey = this.#ring.usePrivate(key, 'rsaRawSign');
      requireLength(block, (privateKey.asymmetricKeyDetails?.modulusLength ?? 0) / 8);
      return Uint8Array.from(privateEncrypt({ key: privateKey, padding: constants.RSA_NO_PADDING }, block));
    });
  }

  // --- card verification values ---

  cvv(cvk: KeyHandle, pan: string, expiryYYMM: string, serviceCode: string): Promise<string> {
    return promised(() => cvv(this.#ring.useSymmetric(cvk, 'cvv', tdes), pan, expiryYYMM, serviceCode));
  }

  // --- PINs ---

  checkPinBlock(pin: EncipheredPin): Promise<void> {
    return promised(() => this.#withPin(pin, () => undefined));
  }

  pvv(pvk: KeyHandle, pvki: string, pin: EncipheredPin): Promise<string> {
    return promised(() => {
      const key = this.#ring.useSymmetric(pvk, 'pvv', tdes);
      return this.#withPin(pin, (digits) => pvv(key, pvki, pin.pan, digits));
    });
  }

  #withPin<T>(pin: EncipheredPin, use: (digits: PinDigits) => T): Promise<T> {
    const bytes = this.#ring.useSymmetric(pin.key, 'openPin', pinKeyAlgorithms[pin.format]);
    const decipher = pin.format === 'ISO9564-4' ? aesEcbDecrypt : tdesEcbDecrypt;
    return withPin((block) => decipher(bytes, block), pin, use);
  }

  // --- sealing ---

  seal(key: KeyHandle, plaintext: Uint8Array, context: string): Promise<Uint8Array> {
    return promised(() => {
      const sealKey = this.#ring.useSymmetric(key, 'seal', ['AES-256']);
      return closeBox(sealKey, sealAdditionalData('data', context), plaintext);
    });
  }

  unseal(key: KeyHandle, sealed: Uint8Array, context: string): Promise<Uint8Array> {
    return promised(() => {
      const sealKey = this.#ring.useSymmetric(key, 'unseal', ['AES-256']);
      return openOrThrow(sealKey, sealAdditionalData('data', context), sealed);
    });
  }

  sealRsa(sealKey: KeyHandle, key: KeyHandle, context: string): Promise<Uint8Array> {
    return promised(() => {
      const bytes = this.#ring.useSymmetric(sealKey, 'sealRsa', ['AES-256']);
      const clear = pkcs8(this.#ring.usePrivate(key, 'beSealedRsa'));
      try {
        return closeBox(bytes, sealAdditionalData('rsa-key', context), clear);
      } finally {
        clear.fill(0);
      }
    });
  }

  unsealRsa(sealKey: KeyHandle, sealed: Uint8Array, context: string): Promise<KeyHandle> {
    return promised(() => {
      const bytes = this.#ring.useSymmetric(sealKey, 'unsealRsa', ['AES-256']);
      const clear = openOrThrow(bytes, sealAdditionalData('rsa-key', context), sealed);
      return this.#ring.addTemporary('RSA', 'ICC', materialOf('RSA', clear));
    });
  }

  // --- JWE ---

  async openJwe(key: KeyHandle, jwe: string): Promise<Uint8Array> {
    const privateKey = this.#ring.usePrivate(key, 'openJwe');
    return openCompactJwe(privateKey, publicEcJwk(privateKey).kid, jwe);
  }

  ecPublicJwk(key: KeyHandle): Promise<PublicEcJwk> {
    return promised(() => publicEcJwk(this.#ring.usePrivate(key, 'ecPublicJwk')));
  }
}

/** Runs synchronous work so that what it throws becomes a rejection, as callers of a port expect. */
function promised<T>(work: () => T | Promise<T>): Promise<T> {
  return new Promise((resolve) => {
    resolve(work());
  });
}

function requireLength(data: Uint8Array, length: number): void {
  if (data.length !== length) throw new RangeError(`${data.length} bytes where ${length} are needed`);
}

function encipherAndWipe(encipher: (clear: Uint8Array) => Uint8Array, clear: Uint8Array): Uint8Array {
  try {
    return encipher(clear);
  } finally {
    clear.fill(0);
  }
}

function openOrThrow(key: Uint8Array, bound: Uint8Array, sealed: Uint8Array): Uint8Array {
  const clear = openBox(key, bound, sealed);
  if (!clear) throw new KeyError('SEAL_BROKEN', 'the seal was refused');
  return clear;
}

/** Only the public half is ever exported as JWK; the kid is its RFC 7638 thumbprint. */
function publicEcJwk(privateKey: KeyObject): PublicEcJwk {
  const { x, y } = createPublicKey(privateKey).export({ format: 'jwk' });
  if (x === undefined || y === undefined) throw new KeyError('KEY_STORE', 'no EC key');
  const kid = hash('sha256', `{"crv":"P-256","kty":"EC","x":"${x}","y":"${y}"}`, 'base64url');
  return { kty: 'EC', crv: 'P-256', x, y, kid };
}

function fromBase64Url(text: string | undefined): Uint8Array {
  return Uint8Array.from(Buffer.from(text ?? '', 'base64url'));
}
