/**
 * The published vectors through the port, with known keys as test keys, over every adapter. What the port has no
 * operation for is named below and counted, so that nothing is left out by accident; secure channels are held to
 * their vectors in personalization, which builds them on the port.
 */
import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { test } from 'node:test';
import {
  aesCbcDecrypt,
  arpcMethod2,
  concatBytes,
  cpsCardKeyData,
  cskData,
  deriveCsk,
  deriveUdk,
  hex,
  tdesEcbEncrypt,
  udkData,
  unhex,
  visa2CardKeyData,
  xorBytes,
} from '@cardwright/emv';
import { type EncipheredPin, type KeyHandle, type KeyPort } from '../src/index.ts';
import { adapterNames } from './key-adapters.ts';
import { openProbeTarget, type TemporaryKeys } from './probe-target.ts';

interface UdkOf {
  readonly option: 'A' | 'B';
  readonly imk: string;
  readonly pan: string;
  readonly psn: string;
}

interface Vectors {
  readonly kcv: readonly { alg: string; key: string; kcv: string }[];
  readonly aesCmac: readonly { key: string; data: string; mac: string }[];
  readonly retailMac: readonly { key: string; dataAscii: string; padding: 1 | 2; mac: string }[];
  readonly udk: readonly (UdkOf & { udk?: string; udkKcv?: string })[];
  readonly sessionKey: readonly {
    method: string;
    mk?: string;
    udkOf?: UdkOf;
    r?: string;
    sk?: string;
    skKcv?: string;
  }[];
  readonly applicationCryptogram: readonly {
    sk?: string;
    udkOf?: UdkOf;
    r?: string | null;
    padding: 1 | 2;
    data: string;
    ac: string;
  }[];
  readonly arpc: readonly {
    method: 1 | 2;
    key?: string;
    udkOf?: UdkOf;
    r?: string | null;
    arqc: string;
    arc?: string;
    csu?: string;
    pad?: string;
    arpc: string;
  }[];
  readonly issuerScript: readonly {
    imkSmc?: string;
    imkSmi: string;
    pan: string;
    psn: string;
    arqc: string;
    pinBlock?: string;
    enciphered?: string;
    command: string;
    mac: string;
  }[];
  readonly cvv: readonly { cvk: string; pan: string; expiryYYMM: string; service: string; cvv: string }[];
  readonly pvv: readonly { pvk: string; pvki: string; pin: string; pan: string; pvv: string }[];
  readonly pinBlock: readonly {
    format: 0 | 2 | 3 | 4;
    key?: string;
    pin: string;
    pan?: string;
    block: string;
  }[];
  readonly cpsKdf: readonly Record<'name' | 'kmc' | 'keydata' | 'kcvEnc' | 'kcvMac' | 'kcvDek', string>[];
}

const vectors = JSON.parse(
  readFileSync(new URL('vectors/port-vectors.json', import.meta.url), 'utf8'),
) as Vectors;

/** Groups of the published collection that need no key of ours, or that the port has no operation for. */
const withoutOperation = {
  ibm3624: 'PINs that a bank makes: nothing here makes PINs',
  tr31: 'key blocks: a layer above the port',
  tr31Derivation: 'key blocks: a layer above the port',
  emvCertificates: 'verification only: no private key is published',
};
const inPersonalization = ['scp02', 'scp03'];

const publicTestKey = unhex('00112233445566778899AABBCCDDEEFF');
const zero16 = new Uint8Array(16);

/** The operations with keys of the vectors; `imported` keys have the usage that the operation asks for. */
class VectorRun {
  readonly port: KeyPort;
  readonly #target: TemporaryKeys;

  constructor(target: TemporaryKeys) {
    this.#target = target;
    this.port = target.port;
  }

  tdes(usage: KeyHandle['usage'], value: string | Uint8Array): Promise<KeyHandle> {
    return this.#target.importTemporary(
      'TDES-2KEY',
      usage,
      typeof value === 'string' ? unhex(value) : value.slice(),
    );
  }

  aes(usage: KeyHandle['usage'], value: string): Promise<KeyHandle> {
    const algorithm = value.length === 32 ? 'AES-128' : 'AES-256';
    return this.#target.importTemporary(algorithm, usage, unhex(value));
  }

  async udk({ option, imk, pan, psn }: UdkOf, usage: 'IMK-AC' | 'IMK-SMI' = 'IMK-AC'): Promise<KeyHandle> {
    const data = udkData(option, pan, psn);
    return this.port.deriveTdesEcb(await this.tdes(usage, imk), data, 'UDK', true);
  }

  async session(udk: KeyHandle, r: string): Promise<KeyHandle> {
    return this.port.deriveTdesEcb(udk, cskData(unhex(r)), 'AC-SESSION', true);
  }

  /** The key that makes cryptograms. Where a scheme uses the card key itself, it is imported as that. */
  async cryptogramKey(of: {
    sk?: string;
    key?: string;
    udkOf?: UdkOf;
    r?: string | null;
  }): Promise<KeyHandle> {
    const raw = of.sk ?? of.key;
    if (raw !== undefined) return this.tdes('AC-SESSION', raw);
    assert(of.udkOf);
    if (typeof of.r === 'string') return this.session(await this.udk(of.udkOf), of.r);
    const { option, imk, pan, psn } = of.udkOf;
    return this.tdes('AC-SESSION', deriveUdk(unhex(imk), option, pan, psn));
  }
}

type Check = (run: VectorRun) => Promise<number>;

/** How many vectors of each group came out of the port. A vector that differs throws. */
const checks: Readonly<Record<keyof Vectors, Check>> = {
  async kcv(run) {
    for (const { alg, key, kcv } of vectors.kcv) {
      if (alg.startsWith('TDES')) {
        assert.equal(hex(await run.port.kcv(await run.tdes('KMC', key))), kcv);
        continue;
      }
      const handle = await run.aes('CARD-SESSION', key);
      const value = alg.startsWith('AES-CMAC')
        ? await run.port.aesCmac(handle, zero16)
        : await run.port.aesEcbEncrypt(handle, new Uint8Array(16).fill(1));
      assert.equal(hex(value).slice(0, kcv.length), kcv);
    }
    return vectors.kcv.length;
  },
  async aesCmac(run) {
    for (const { key, data, mac } of vectors.aesCmac) {
      assert.equal(hex(await run.port.aesCmac(await run.aes('CARD-SESSION', key), unhex(data))), mac);
    }
    return vectors.aesCmac.length;
  },
  async retailMac(run) {
    for (const { key, dataAscii, padding, mac } of vectors.retailMac) {
      const data = new TextEncoder().encode(dataAscii);
      assert.equal(hex(await run.port.retailMac(await run.tdes('AC-SESSION', key), data, padding)), mac);
    }
    return vectors.retailMac.length;
  },
  async udk(run) {
    const dek = await run.aes('CARD-STATIC', hex(publicTestKey));
    for (const vector of vectors.udk) {
      const udk = await run.udk(vector);
      if (vector.udkKcv !== undefined) assert.equal(hex(await run.port.kcv(udk)).slice(0, 4), vector.udkKcv);
      else {
        const wrapped = await run.port.wrapForCard(dek, 'AES-CBC', [udk]);
        assert.equal(hex(aesCbcDecrypt(publicTestKey, zero16, wrapped)), vector.udk);
      }
    }
    return vectors.udk.length;
  },
  async sessionKey(run) {
    const ofPort = vectors.sessionKey.filter(({ method }) => method !== 'Visa SM');
    for (const { mk, udkOf, r, sk, skKcv } of ofPort) {
      assert(r !== undefined);
      const udk = mk === undefined ? udkOf && (await run.udk(udkOf)) : await run.tdes('UDK', mk);
      assert(udk);
      const session = await run.session(udk, r);
      if (skKcv !== undefined) assert.equal(hex(await run.port.kcv(session)).slice(0, 4), skKcv);
      else {
        // The key itself is not to be had: what it enciphers is compared.
        assert(sk !== undefined);
        const block = publicTestKey.subarray(0, 8);
        assert.equal(hex(await run.port.retailMac(session, block, 1)), hex(tdesEcbEncrypt(unhex(sk), block)));
      }
    }
    return ofPort.length;
  },
  async applicationCryptogram(run) {
    for (const vector of vectors.applicationCryptogram) {
      const key = await run.cryptogramKey(vector);
      assert.equal(hex(await run.port.retailMac(key, unhex(vector.data), vector.padding)), vector.ac);
    }
    return vectors.applicationCryptogram.length;
  },
  async arpc(run) {
    for (const vector of vectors.arpc) {
      const key = await run.cryptogramKey(vector);
      const arqc = unhex(vector.arqc);
      if (vector.method === 1) {
        // MAC algorithm 3 over a single block is its 3DES encryption.
        const block = xorBytes(arqc, concatBytes(unhex(vector.arc ?? ''), new Uint8Array(6)));
        assert.equal(hex(await run.port.retailMac(key, block, 1)), vector.arpc);
        continue;
      }
      const data = concatBytes(arqc, unhex(vector.csu ?? ''), unhex(vector.pad ?? ''));
      assert.equal(hex(await run.port.retailMac(key, data, 2)).slice(0, 8), vector.arpc);
      if (vector.key !== undefined) {
        assert.equal(hex(arpcMethod2(unhex(vector.key), arqc, unhex(vector.csu ?? ''))), vector.arpc);
      }
    }
    return vectors.arpc.length;
  },
  async issuerScript(run) {
    for (const {
      imkSmc,
      imkSmi,
      pan,
      psn,
      arqc,
      pinBlock,
      enciphered,
      command,
      mac,
    } of vectors.issuerScript) {
      const of = { option: 'A', pan, psn } as const;
      if (imkSmc !== undefined && pinBlock !== undefined) {
        // The vault sends no scripts after issuance: CBC is a channel's operation, with the key imported as that.
        const udk = deriveUdk(unhex(imkSmc), 'A', pan, psn);
        const key = await run.tdes('CARD-SESSION', deriveCsk(udk, unhex(arqc)));
        const padded = concatBytes(unhex(pinBlock), unhex('8000000000000000'));
        assert.equal(hex(await run.port.tdesCbcEncrypt(key, new Uint8Array(8), padded)), enciphered);
      }
      const session = await run.session(await run.udk({ ...of, imk: imkSmi }, 'IMK-SMI'), arqc);
      const message = concatBytes(unhex(command), unhex(enciphered ?? ''));
      assert.equal(hex(await run.port.retailMac(session, message, 2)), mac);
    }
    return vectors.issuerScript.length;
  },
  async cvv(run) {
    for (const { cvk, pan, expiryYYMM, service, cvv } of vectors.cvv) {
      assert.equal(await run.port.cvv(await run.tdes('CVK', cvk), pan, expiryYYMM, service), cvv);
    }
    return vectors.cvv.length;
  },
  async pvv(run) {
    const pinKey = await run.tdes('PIN', publicTestKey);
    for (const { pvk, pvki, pin, pan, pvv } of vectors.pvv) {
      const given = encipheredFormat0(pinKey, `04${pin}FFFFFFFFFF`, pan);
      assert.equal(await run.port.pvv(await run.tdes('PVK', pvk), pvki, given), pvv);
    }
    return vectors.pvv.length;
  },
  async pinBlock(run) {
    const pinKey = await run.tdes('PIN', publicTestKey);
    const dek = await run.aes('CARD-STATIC', hex(publicTestKey));
    // The port takes card numbers from twelve digits.
    const ofPort = vectors.pinBlock.filter(({ pan }) => pan === undefined || pan.length >= 12);
    for (const { format, key, pin, pan = '9999001234567892', block } of ofPort) {
      const length = pin.length.toString(16).toUpperCase();
      const given: EncipheredPin =
        format === 4
          ? { key: await run.aes('PIN', key ?? ''), format: 'ISO9564-4', block: unhex(block), pan }
          : format === 2
            ? encipheredFormat0(pinKey, `0${length}${pin}`.padEnd(16, 'F'), pan)
            : {
                key: pinKey,
                format: `ISO9564-${format}`,
                block: tdesEcbEncrypt(publicTestKey, unhex(block)),
                pan,
              };
      const wrapped = await run.port.wrapPinForCard(dek, 'AES-CBC', given, 'ISO9564-2');
      const clear = hex(aesCbcDecrypt(publicTestKey, zero16, wrapped)).slice(0, 16);
      assert.equal(clear, format === 2 ? block : `2${length}${pin}`.padEnd(16, 'F'));
    }
    return ofPort.length;
  },
  async cpsKdf(run) {
    for (const { name, kmc, keydata, kcvEnc, kcvMac, kcvDek } of vectors.cpsKdf) {
      const dataOf = name.startsWith('VISA2') ? visa2CardKeyData : cpsCardKeyData;
      const master = await run.tdes('KMC', kmc);
      for (const [constant, kcv] of [
        [1, kcvEnc],
        [2, kcvMac],
        [3, kcvDek],
      ] as const) {
        const card = await run.port.deriveTdesEcb(
          master,
          dataOf(unhex(keydata), constant),
          'CARD-STATIC',
          false,
        );
        assert.equal(hex(await run.port.kcv(card)), kcv);
      }
    }
    return vectors.cpsKdf.length;
  },
};

/** A PIN block of format 0 under the public test key. */
function encipheredFormat0(key: KeyHandle, pinField: string, pan: string): EncipheredPin {
  const panField = unhex(pan.slice(-13, -1).padStart(16, '0'));
  return {
    key,
    format: 'ISO9564-0',
    block: tdesEcbEncrypt(publicTestKey, xorBytes(unhex(pinField), panField)),
    pan,
  };
}

test('every group of the published vectors is run here, in personalization, or named as no operation of a port', () => {
  const groups = [...Object.keys(checks), ...inPersonalization, ...Object.keys(withoutOperation)];
  assert.equal(new Set(groups).size, 18);
});

/** Vectors of each group that the port can do, on every adapter: all but one Visa key and one short card number. */
const expected: Readonly<Record<keyof Vectors, number>> = {
  kcv: 12,
  aesCmac: 3,
  retailMac: 2,
  udk: 12,
  sessionKey: 4,
  applicationCryptogram: 9,
  arpc: 9,
  issuerScript: 2,
  cvv: 4,
  pvv: 4,
  pinBlock: 9,
  cpsKdf: 2,
};

for (const adapter of adapterNames) {
  void test(`72 published vectors of 12 groups come out of the port (${adapter})`, async (t) => {
    const run = new VectorRun(await openProbeTarget(t, adapter));
    const done: Record<string, number> = {};
    for (const [group, check] of Object.entries(checks)) done[group] = await check(run);
    assert.deepEqual(done, expected);
    assert.equal(
      Object.values(done).reduce((sum, count) => sum + count, 0),
      72,
    );
  });
}
