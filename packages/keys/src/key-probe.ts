/**
 * Known-answer tests of every operation of a key port: what an adapter lists proves nothing, what it does counts.
 *
 * Invariants: every answer is compared with a second implementation (`@cardwright/emv`, which is itself held to
 * published vectors, and node:crypto); the keys are made for the test and released after it; an operation that
 * throws or answers anything else has failed, and says so by name.
 */
import {
  constants,
  createHmac,
  createPublicKey,
  generateKeyPairSync,
  type JsonWebKey,
  type KeyObject,
  privateEncrypt,
  publicEncrypt,
} from 'node:crypto';
import {
  aesCbcDecrypt,
  aesCbcEncrypt,
  aesCmac,
  aesEcbEncrypt,
  concatBytes,
  cvv,
  desEcbEncrypt,
  encipherPinBlockFormat4,
  equalBytes,
  oddParity,
  pinBlockFormat0,
  pinBlockFormat2,
  pinBlockFormat3,
  pvv,
  retailMac,
  tdesCbcEncrypt,
  tdesEcbDecrypt,
  tdesEcbEncrypt,
  tdesKcv,
  unhex,
  unpad80,
} from '@cardwright/emv';
import { CompactEncrypt } from 'jose';
import {
  type EncipheredPin,
  type KeyAlgorithm,
  type KeyHandle,
  type KeyPort,
  type KeyUsage,
} from './key-port.ts';
import { makeKeyBlock, openKeyBlock } from './key-block/key-block-policy.ts';
import { type KeyOperationName, keyOperationNames } from './key-status.ts';

/** An adapter under test: its port, and a way in for the keys of the test, which live until they are released. */
export interface ProbeTarget {
  readonly port: KeyPort;
  /** `value`: raw bytes of a symmetric key, PKCS#8 DER of a private one. */
  importTemporary(algorithm: KeyAlgorithm, usage: KeyUsage, value: Uint8Array): Promise<KeyHandle>;
  /** Bytes of a key block protection key for as long as `use` runs. */
  withProtectionKey<T>(key: KeyHandle, use: (bytes: Uint8Array) => T): Promise<T>;
}

/** Why an operation failed its test; operations that passed are absent. */
export type ProbeFailures = ReadonlyMap<KeyOperationName, string>;

const masterKey = unhex('0123456789ABCDEFFEDCBA9876543210');
const aesKey = unhex('2B7E151628AED2A6ABF7158809CF4F3C');
const sealValue = unhex('603DEB1015CA71BE2B73AEF0857D77811F352C073B6108D72D9810A30914DFF4');
const data16 = unhex('00112233445566778899AABBCCDDEEFF');
const data32 = concatBytes(data16, unhex('0F1E2D3C4B5A69788796A5B4C3D2E1F0'));
const zero8 = new Uint8Array(8);
const zero16 = new Uint8Array(16);
const pan = '4123456789012345';
/** Digit values. Nobody's PIN. */
const testPin = Uint8Array.of(1, 2, 3, 4, 5, 6);

/** Runs every test. Takes some hundred milliseconds: RSA keys are generated. */
export async function probeKeyOperations(target: ProbeTarget): Promise<ProbeFailures> {
  const failures = new Map<KeyOperationName, string>();
  const probe = new KeyProbe(target);
  for (const operation of keyOperationNames) {
    try {
      if (!(await probe.test(operation)))
        failures.set(operation, 'the known-answer test gave another answer');
    } catch (error) {
      failures.set(operation, error instanceof Error ? error.message : 'the known-answer test failed');
    } finally {
      await probe.releaseAll();
    }
  }
  return failures;
}

class KeyProbe {
  readonly #target: ProbeTarget;
  readonly #port: KeyPort;
  #held: KeyHandle[] = [];
  readonly #rsa = rsaTestKey(1024);

  constructor(target: ProbeTarget) {
    this.#target = target;
    this.#port = target.port;
  }

  async releaseAll(): Promise<void> {
    for (const key of this.#held.splice(0)) await this.#port.release(key);
  }

  async #hold(key: Promise<KeyHandle>): Promise<KeyHandle> {
    const handle = await key;
    this.#held.push(handle);
    return handle;
  }

  #put(algorithm: KeyAlgorithm, usage: KeyUsage, value: Uint8Array): Promise<KeyHandle> {
    return this.#hold(this.#target.importTemporary(algorithm, usage, value));
  }

  /** A 3DES session key of SCP02 and its value. */
  async #scp02Session(): Promise<{ key: KeyHandle; value: Uint8Array }> {
    const card = await this.#put('TDES-2KEY', 'CARD-STATIC', masterKey);
    const key = await this.#hold(this.#port.deriveTdesCbc(card, data16, 'CARD-SESSION'));
    return { key, value: tdesCbcEncrypt(masterKey, zero8, data16) };
  }

  async #scp03Session(): Promise<{ key: KeyHandle; value: Uint8Array }> {
    const card = await this.#put('AES-128', 'CARD-STATIC', aesKey);
    const key = await this.#hold(this.#port.deriveAesCmac(card, [data32], 'CARD-SESSION'));
    return { key, value: aesCmac(aesKey, data32) };
  }

  async #udk(): Promise<{ key: KeyHandle; value: Uint8Array }> {
    const imk = await this.#put('TDES-2KEY', 'IMK-AC', masterKey);
    const key = await this.#hold(this.#port.deriveTdesEcb(imk, data16, 'UDK', true));
    return { key, value: oddParity(tdesEcbEncrypt(masterKey, data16)) };
  }

  async test(operation: KeyOperationName): Promise<boolean> {
    const port = this.#port;
    switch (operation) {
      case 'tdesCbcEncrypt': {
        const { key, value } = await this.#scp02Session();
        return equalBytes(
          await port.tdesCbcEncrypt(key, zero8, data32),
          tdesCbcEncrypt(value, zero8, data32),
        );
      }
      case 'retailMac':
      case 'deriveTdesCbc': {
        const { key, value } = await this.#scp02Session();
        return equalBytes(await port.retailMac(key, data32, 2), retailMac(value, data32, 2));
      }
      case 'desFirstHalfEncrypt': {
        const { key, value } = await this.#scp02Session();
        const block = data16.subarray(0, 8);
        return equalBytes(
          await port.desFirstHalfEncrypt(key, block),
          desEcbEncrypt(value.subarray(0, 8), block),
        );
      }
      case 'aesCmac':
      case 'deriveAesCmac': {
        const { key, value } = await this.#scp03Session();
        return equalBytes(await port.aesCmac(key, data16), aesCmac(value, data16));
      }
      case 'aesEcbEncrypt': {
        const { key, value } = await this.#scp03Session();
        return equalBytes(await port.aesEcbEncrypt(key, data16), aesEcbEncrypt(value, data16));
      }
      case 'aesCbcEncrypt': {
        const { key, value } = await this.#scp03Session();
        return equalBytes(
          await port.aesCbcEncrypt(key, data16, data32),
          aesCbcEncrypt(value, data16, data32),
        );
      }
      case 'hmac': {
        const key = await this.#put('HMAC-SHA256', 'TOKEN', sealValue);
        return equalBytes(
          await port.hmac(key, data32),
          createHmac('sha256', sealValue).update(data32).digest(),
        );
      }
      case 'kcv':
      case 'deriveTdesEcb': {
        const { key, value } = await this.#udk();
        return equalBytes(await port.kcv(key), tdesKcv(value));
      }
      case 'cvv': {
        const key = await this.#put('TDES-2KEY', 'CVK', masterKey);
        return (await port.cvv(key, pan, '8701', '101')) === cvv(masterKey, pan, '8701', '101');
      }
      case 'checkPinBlock': {
        for (const given of await this.#encipheredPins()) {
          await port.checkPinBlock(given);
          const block = given.block.map((byte, at) => (at === 0 ? byte ^ 1 : byte));
          if (!(await isRefused(port.checkPinBlock({ ...given, block })))) return false;
        }
        return true;
      }
      case 'pvv': {
        const key = await this.#put('TDES-2KEY', 'PVK', masterKey);
        for (const given of await this.#encipheredPins()) {
          if ((await port.pvv(key, '1', given)) !== pvv(masterKey, '1', pan, testPin)) return false;
        }
        return true;
      }
      case 'wrapPinForCard':
        return this.#testPinWrapping();
      case 'wrapForCard/TDES-ECB': {
        const udk = await this.#udk();
        const dek = await this.#scp02Session();
        const wrapped = await port.wrapForCard(dek.key, 'TDES-ECB', [udk.key, udk.key]);
        return equalBytes(tdesEcbDecrypt(dek.value, wrapped), concatBytes(udk.value, udk.value));
      }
      case 'wrapForCard/AES-CBC': {
        const udk = await this.#udk();
        const dek = await this.#put('AES-128', 'CARD-STATIC', aesKey);
        const wrapped = await port.wrapForCard(dek, 'AES-CBC', [udk.key, udk.key]);
        return equalBytes(aesCbcDecrypt(aesKey, zero16, wrapped), concatBytes(udk.value, udk.value));
      }
      case 'wrapRsaForCard':
        return this.#testRsaWrapping();
      case 'generateRsa/3':
        return this.#testGeneration(3);
      case 'generateRsa/65537':
        return this.#testGeneration(65537);
      case 'rsaPublic':
      case 'rsaRawSign':
        return this.#testRsaSigning();
      case 'seal':
      case 'unseal': {
        const key = await this.#put('AES-256', 'SEAL', sealValue);
        const sealed = await port.seal(key, data32, 'probe');
        const isOpened = equalBytes(await port.unseal(key, sealed, 'probe'), data32);
        return isOpened && (await isRefused(port.unseal(key, sealed, 'other')));
      }
      case 'sealRsa':
      case 'unsealRsa':
        return this.#testRsaSealing();
      case 'openJwe':
        return this.#testJwe();
      case 'ecPublicJwk': {
        const { handle, publicJwk } = await this.#recipient();
        const { x, y } = await port.ecPublicJwk(handle);
        return x === publicJwk.x && y === publicJwk.y;
      }
      case 'holdCeremony':
        return this.#testKeyEntry();
      case 'importKeyBlock':
        return this.#testKeyBlock();
    }
  }

  /** One PIN in every format that an issuer may send. */
  async #encipheredPins(): Promise<EncipheredPin[]> {
    const tdesKey = await this.#put('TDES-2KEY', 'PIN', masterKey);
    const key = await this.#put('AES-128', 'PIN', aesKey);
    const zero = tdesEcbEncrypt(masterKey, pinBlockFormat0(testPin, pan));
    const three = tdesEcbEncrypt(masterKey, pinBlockFormat3(testPin, pan, data16));
    const four = encipherPinBlockFormat4(aesKey, testPin, pan, zero8);
    return [
      { key: tdesKey, format: 'ISO9564-0', block: zero, pan },
      { key: tdesKey, format: 'ISO9564-3', block: three, pan },
      { key, format: 'ISO9564-4', block: four, pan },
    ];
  }

  async #testPinWrapping(): Promise<boolean> {
    const tdes = await this.#scp02Session();
    const aes = await this.#put('AES-128', 'CARD-STATIC', aesKey);
    const block = pinBlockFormat2(testPin);
    for (const given of await this.#encipheredPins()) {
      const overTdes = await this.#port.wrapPinForCard(tdes.key, 'TDES-ECB', given, 'ISO9564-2');
      const overAes = await this.#port.wrapPinForCard(aes, 'AES-CBC', given, 'ISO9564-2');
      const isSame =
        equalBytes(tdesEcbDecrypt(tdes.value, overTdes), block) &&
        equalBytes(unpad80(aesCbcDecrypt(aesKey, zero16, overAes)), block);
      if (!isSame) return false;
    }
    return true;
  }

  async #testRsaSigning(): Promise<boolean> {
    const { privateKey, pkcs8 } = this.#rsa;
    const key = await this.#put('RSA', 'CA', pkcs8);
    const block = new Uint8Array(128).fill(0x5a);
    const answer = privateEncrypt({ key: privateKey, padding: constants.RSA_NO_PADDING }, block);
    const { modulus } = await this.#port.rsaPublic(key);
    const { n } = createPublicKey(privateKey).export({ format: 'jwk' });
    const isSamePublicKey = Buffer.from(modulus).toString('base64url') === n;
    return isSamePublicKey && equalBytes(await this.#port.rsaRawSign(key, block), answer);
  }

  async #testGeneration(exponent: 3 | 65537): Promise<boolean> {
    const key = await this.#hold(this.#port.generateRsa(1024, exponent, 'CA'));
    const publicKey = await this.#port.rsaPublic(key);
    const block = new Uint8Array(128).fill(0x5a);
    const recovered = publicOperation(publicKey, await this.#port.rsaRawSign(key, block));
    return (
      Number(`0x${Buffer.from(publicKey.exponent).toString('hex')}`) === exponent &&
      equalBytes(recovered, block)
    );
  }

  async #testRsaWrapping(): Promise<boolean> {
    const { privateKey, pkcs8 } = this.#rsa;
    const icc = await this.#put('RSA', 'ICC', pkcs8);
    const dek = await this.#put('AES-128', 'CARD-STATIC', aesKey);
    const wrapped = await this.#port.wrapRsaForCard(dek, 'AES-CBC', icc);
    const parts = wrapped.map((part) => unpad80(aesCbcDecrypt(aesKey, zero16, part)));
    const jwk = privateKey.export({ format: 'jwk' });
    return [jwk.qi, jwk.dq, jwk.dp, jwk.q, jwk.p].every((part, index) => {
      const expected = Buffer.from(part ?? '', 'base64url');
      return Buffer.from(parts[index] ?? [])
        .subarray(-expected.length)
        .equals(expected);
    });
  }

  async #testRsaSealing(): Promise<boolean> {
    const { pkcs8 } = this.#rsa;
    const seal = await this.#put('AES-256', 'SEAL', sealValue);
    const icc = await this.#put('RSA', 'ICC', pkcs8);
    const sealed = await this.#port.sealRsa(seal, icc, 'probe');
    const again = await this.#hold(this.#port.unsealRsa(seal, sealed, 'probe'));
    const [before, after] = [await this.#port.rsaPublic(icc), await this.#port.rsaPublic(again)];
    return (
      equalBytes(before.modulus, after.modulus) &&
      (await isRefused(this.#port.unsealRsa(seal, sealed, 'other')))
    );
  }

  async #recipient(): Promise<{ handle: KeyHandle; publicKey: KeyObject; publicJwk: JsonWebKey }> {
    const { privateKey, publicKey } = generateKeyPairSync('ec', { namedCurve: 'P-256' });
    const value = privateKey.export({ format: 'der', type: 'pkcs8' });
    const handle = await this.#put('EC-P256', 'JWE-RECIPIENT', value);
    return { handle, publicKey, publicJwk: publicKey.export({ format: 'jwk' }) };
  }

  /** What somebody typed is the key that its check value is of. */
  async #testKeyEntry(): Promise<boolean> {
    const entered = await this.#put('TDES-2KEY', 'IMK-AC', masterKey);
    return equalBytes(await this.#port.kcv(entered), tdesKcv(masterKey));
  }

  async #testKeyBlock(): Promise<boolean> {
    const kbpk = await this.#put('AES-256', 'KBPK', sealValue);
    const protection = { algorithm: 'AES-256', mode: 'N' } as const;
    const travelling = { usage: 'CVK', algorithm: 'TDES-2KEY', mode: undefined, exportability: 'E' } as const;
    const clear = { ...protection, bytes: sealValue };
    const made = makeKeyBlock(clear, { ...travelling, bytes: masterKey }, 'test', 'N');
    if (!made.ok) return false;
    const rules = { environment: 'test', isLabelOptional: false } as const;
    const opened = await this.#target.withProtectionKey(kbpk, (bytes) =>
      openKeyBlock({ ...protection, bytes }, made.block, rules),
    );
    return opened.ok && equalBytes(opened.key, masterKey);
  }

  async #testJwe(): Promise<boolean> {
    const { handle, publicKey } = await this.#recipient();
    const { kid } = await this.#port.ecPublicJwk(handle);
    const header = { alg: 'ECDH-ES', enc: 'A256GCM', kid } as const;
    const jwe = await new CompactEncrypt(data32).setProtectedHeader(header).encrypt(publicKey);
    return equalBytes(await this.#port.openJwe(handle, jwe), data32);
  }
}

function rsaTestKey(bits: number): { privateKey: KeyObject; pkcs8: Uint8Array } {
  const { privateKey } = generateKeyPairSync('rsa', { modulusLength: bits, publicExponent: 3 });
  return { privateKey, pkcs8: privateKey.export({ format: 'der', type: 'pkcs8' }) };
}

function publicOperation(key: { modulus: Uint8Array; exponent: Uint8Array }, block: Uint8Array): Uint8Array {
  const [n, e] = [key.modulus, key.exponent].map((part) => Buffer.from(part).toString('base64url'));
  const publicKey = createPublicKey({ format: 'jwk', key: { kty: 'RSA', n: n ?? '', e: e ?? '' } });
  return publicEncrypt({ key: publicKey, padding: constants.RSA_NO_PADDING }, block);
}

function isRefused(work: Promise<unknown>): Promise<boolean> {
  return work.then(
    () => false,
    () => true,
  );
}
