import assert from 'node:assert/strict';
import { constants, createPublicKey, generateKeyPairSync, publicEncrypt, randomBytes } from 'node:crypto';
import {
  aesCbcDecrypt,
  cskData,
  hex,
  oddParity,
  tdesCbcEncrypt,
  tdesEcbDecrypt,
  tdesEcbEncrypt,
  udkData,
  unhex,
  unpad80,
} from '@cardwright/emv';
import fc from 'fast-check';
import { KeyError, type KeyHandle, type KeyPort } from '../src/index.ts';
import { testOverAdapters } from './key-adapters.ts';
import { vectors } from './symmetric-key-vectors.ts';

function rsaPublicOperation(n: Uint8Array, e: Uint8Array, block: Uint8Array): Uint8Array {
  const key = createPublicKey({
    format: 'jwk',
    key: { kty: 'RSA', n: Buffer.from(n).toString('base64url'), e: Buffer.from(e).toString('base64url') },
  });
  return Uint8Array.from(publicEncrypt({ key, padding: constants.RSA_NO_PADDING }, block));
}

testOverAdapters('published key check values come out of the inventory and of kcv', async (t, open) => {
  const { keys } = await open(t);
  for (const [index, { alg, key, kcv }] of vectors.kcv.entries()) {
    const value = unhex(key);
    const name = `vector/${index}`;
    if (alg.startsWith('TDES')) {
      const handle = await keys.ensure(name, { algorithm: 'TDES-2KEY', usage: 'KMC', value });
      assert.equal(hex(await keys.kcv(handle)), kcv);
    } else if (alg.startsWith('AES-CMAC')) {
      const algorithm = value.length === 16 ? 'AES-128' : 'AES-256';
      await keys.ensure(name, { algorithm, usage: 'KMC', value });
    } else continue;
    const info = (await keys.list()).find(({ handle }) => handle.id === name);
    assert.ok(hex(info?.kcv?.value ?? new Uint8Array(0)).startsWith(kcv));
    assert.equal(info?.kcv?.method, alg.startsWith('TDES') ? 'TDES-ECB-0' : 'AES-CMAC-0');
  }
});

async function deriveUdk(keys: KeyPort, imk: KeyHandle, of: { option: 'A' | 'B'; pan: string; psn: string }) {
  return keys.deriveTdesEcb(imk, udkData(of.option, of.pan, of.psn), 'UDK', true);
}

testOverAdapters('card master keys derived through handles match the published vectors', async (t, open) => {
  const { keys } = await open(t);
  const value = unhex('0123456789ABCDEFFEDCBA9876543210');
  const imk = await keys.ensure('imk-ac/1', { algorithm: 'TDES-2KEY', usage: 'IMK-AC', value });
  const dekValue = randomBytes(16);
  const dek = await keys.ensure('card/dek', { algorithm: 'AES-128', usage: 'CARD-STATIC', value: dekValue });
  for (const vector of vectors.udk) {
    assert.equal(vector.imk, hex(value));
    const udk = await deriveUdk(keys, imk, vector);
    if (vector.udkKcv !== undefined) assert.equal(hex(await keys.kcv(udk)).slice(0, 4), vector.udkKcv);
    if (vector.udk === undefined) continue;
    // The key itself is not to be had: what a card deciphers from its wrapped form is compared.
    const wrapped = await keys.wrapForCard(dek, 'AES-CBC', [udk]);
    assert.equal(hex(aesCbcDecrypt(dekValue, new Uint8Array(16), wrapped)), vector.udk);
  }
});

testOverAdapters(
  'application cryptograms computed through handles match the published vectors',
  async (t, open) => {
    const { keys } = await open(t);
    let checked = 0;
    for (const { udkOf, r, padding, data, ac } of vectors.applicationCryptogram) {
      if (!udkOf || r === null || r === undefined) continue;
      const spec = { algorithm: 'TDES-2KEY', usage: 'IMK-AC', value: unhex(udkOf.imk) } as const;
      const udk = await deriveUdk(keys, await keys.ensure('imk-ac/1', spec), udkOf);
      const session = await keys.deriveTdesEcb(udk, cskData(unhex(r)), 'AC-SESSION', true);
      assert.equal(hex(await keys.retailMac(session, unhex(data), padding)), ac);
      checked++;
    }
    assert.ok(checked >= 3);
  },
);

testOverAdapters('card verification values match the published vectors', async (t, open) => {
  const { keys } = await open(t);
  for (const [index, { cvk, pan, expiryYYMM, service, cvv }] of vectors.cvv.entries()) {
    const spec = { algorithm: 'TDES-2KEY', usage: 'CVK', value: unhex(cvk) } as const;
    assert.equal(await keys.cvv(await keys.ensure(`cvk/${index}`, spec), pan, expiryYYMM, service), cvv);
  }
});

testOverAdapters('an ICC key wrapped for a card deciphers to its five CRT parts, padded', async (t, open) => {
  const { keys } = await open(t);
  const icc = await keys.generateRsa(1152, 3, 'ICC');
  const { modulus, exponent } = await keys.rsaPublic(icc);
  const dekValue = randomBytes(16);
  const dek = await keys.ensure('card/dek', { algorithm: 'AES-128', usage: 'CARD-STATIC', value: dekValue });
  const wrapped = await keys.wrapRsaForCard(dek, 'AES-CBC', icc);
  const parts = wrapped.map((part) => unpad80(aesCbcDecrypt(dekValue, new Uint8Array(16), part)));
  assert.deepEqual(
    parts.map((part) => part.length),
    [72, 72, 72, 72, 72],
  );
  const [qInverse, dq, dp, q, p] = parts.map((part) => BigInt(`0x${hex(part)}`));
  assert.ok(qInverse && dq && dp && q && p);
  assert.equal(p * q, BigInt(`0x${hex(modulus)}`));
  assert.equal((qInverse * q) % p, 1n);
  const e = BigInt(`0x${hex(exponent)}`);
  assert.equal(e, 3n);
  assert.equal((dp * e) % (p - 1n), 1n);
  assert.equal((dq * e) % (q - 1n), 1n);
});

testOverAdapters(
  'card keys wrapped under an SCP02 session key decipher to the derived keys in order',
  async (t, open) => {
    const { keys } = await open(t);
    const imkValue = randomBytes(16);
    const imk = await keys.ensure('imk-ac/1', { algorithm: 'TDES-2KEY', usage: 'IMK-AC', value: imkValue });
    const first = await keys.deriveTdesEcb(imk, new Uint8Array(16).fill(1), 'UDK', true);
    const second = await keys.deriveTdesEcb(imk, new Uint8Array(16).fill(2), 'UDK', true);
    const staticValue = randomBytes(16);
    const cardKey = await keys.ensure('card/dek', {
      algorithm: 'TDES-2KEY',
      usage: 'CARD-STATIC',
      value: staticValue,
    });
    const dek = await keys.deriveTdesCbc(cardKey, new Uint8Array(16).fill(9), 'CARD-SESSION');
    const dekValue = tdesCbcEncrypt(staticValue, new Uint8Array(8), new Uint8Array(16).fill(9));
    const clear = tdesEcbDecrypt(dekValue, await keys.wrapForCard(dek, 'TDES-ECB', [first, second]));
    assert.equal(
      hex(clear),
      [1, 2].map((byte) => hex(oddParity(tdesEcbEncrypt(imkValue, new Uint8Array(16).fill(byte))))).join(''),
    );
  },
);

testOverAdapters('a raw RSA signature recovers to its block under the public key', async (t, open) => {
  const { keys } = await open(t);
  const ca = await keys.ensure('ca/1', { algorithm: 'RSA', usage: 'CA', bits: 1024 });
  const { modulus, exponent } = await keys.rsaPublic(ca);
  assert.equal(hex(exponent), '03');
  const block = new Uint8Array(modulus.length).fill(0x5a);
  block[0] = 0x6a;
  const signature = await keys.rsaRawSign(ca, block);
  assert.equal(hex(rsaPublicOperation(modulus, exponent, signature)), hex(block));
  await assert.rejects(keys.rsaRawSign(ca, block.subarray(1)), RangeError);
});

testOverAdapters(
  'every changed byte of a sealed blob, and every other context, is refused alike',
  async (t, open) => {
    const { keys } = await open(t);
    const seal = await keys.ensure('seal/1', { algorithm: 'AES-256', usage: 'SEAL' });
    const other = await keys.ensure('seal/2', { algorithm: 'AES-256', usage: 'SEAL' });
    const plaintext = randomBytes(40);
    const sealed = await keys.seal(seal, plaintext, 'plan/7');
    assert.equal(hex(await keys.unseal(seal, sealed, 'plan/7')), hex(plaintext));
    const broken = { name: 'KeyError', code: 'SEAL_BROKEN', message: 'the seal was refused' };
    for (let index = 0; index < sealed.length; index++) {
      const changed = Uint8Array.from(sealed);
      changed[index] = (changed[index] ?? 0) ^ (1 << (index % 8));
      await assert.rejects(keys.unseal(seal, changed, 'plan/7'), broken);
    }
    for (let length = 0; length < sealed.length; length++) {
      await assert.rejects(keys.unseal(seal, sealed.subarray(0, length), 'plan/7'), broken);
    }
    await assert.rejects(keys.unseal(seal, sealed, 'plan/8'), broken);
    await assert.rejects(keys.unseal(other, sealed, 'plan/7'), broken);
  },
);

testOverAdapters('what was sealed opens again for any bytes and any context', async (t, open) => {
  const { keys } = await open(t);
  const seal = await keys.ensure('seal/1', { algorithm: 'AES-256', usage: 'SEAL' });
  await fc.assert(
    fc.asyncProperty(fc.uint8Array({ maxLength: 300 }), fc.string(), async (plaintext, context) => {
      const sealed = await keys.seal(seal, plaintext, context);
      assert.equal(hex(await keys.unseal(seal, sealed, context)), hex(plaintext));
    }),
    { numRuns: 50 },
  );
});

testOverAdapters('a sealed ICC key comes back as the same key, and never as bytes', async (t, open) => {
  const { keys } = await open(t);
  const seal = await keys.ensure('seal/1', { algorithm: 'AES-256', usage: 'SEAL' });
  const icc = await keys.generateRsa(1024, 3, 'ICC');
  const sealed = await keys.sealRsa(seal, icc, 'pool/1');
  const { modulus } = await keys.rsaPublic(icc);
  await keys.release(icc);
  const again = await keys.unsealRsa(seal, sealed, 'pool/1');
  assert.equal(hex((await keys.rsaPublic(again)).modulus), hex(modulus));
  await assert.rejects(keys.unseal(seal, sealed, 'pool/1'), { code: 'SEAL_BROKEN' });
  await assert.rejects(keys.unsealRsa(seal, sealed, 'pool/2'), { code: 'SEAL_BROKEN' });
  const data = await keys.seal(seal, randomBytes(64), 'pool/1');
  await assert.rejects(keys.unsealRsa(seal, data, 'pool/1'), { code: 'SEAL_BROKEN' });
});

testOverAdapters(
  'a released key is gone, a second release is harmless, a named key stays',
  async (t, open) => {
    const { keys } = await open(t);
    const imk = await keys.ensure('imk-ac/1', { algorithm: 'TDES-2KEY', usage: 'IMK-AC' });
    const udk = await keys.deriveTdesEcb(imk, new Uint8Array(16), 'UDK', true);
    await keys.release(udk);
    await keys.release(udk);
    await keys.release(imk);
    await assert.rejects(keys.kcv(udk), { code: 'KEY_NOT_FOUND' });
    assert.equal((await keys.kcv(imk)).length, 3);
    await assert.rejects(keys.find(udk.id), { code: 'KEY_NOT_FOUND' });
  },
);

testOverAdapters('more derived keys than the bound are refused until one is released', async (t, open) => {
  const { keys } = await open(t, { maxTemporaryKeys: 2 });
  const imk = await keys.ensure('imk-ac/1', { algorithm: 'TDES-2KEY', usage: 'IMK-AC' });
  const derive = (): Promise<KeyHandle> => keys.deriveTdesEcb(imk, randomBytes(16), 'UDK', true);
  const first = await derive();
  await derive();
  await assert.rejects(derive(), { code: 'KEY_STORE' });
  await keys.release(first);
  await derive();
});

testOverAdapters('a closed adapter holds no key', async (t, open) => {
  const { keys } = await open(t);
  const imk = await keys.ensure('imk-ac/1', { algorithm: 'TDES-2KEY', usage: 'IMK-AC' });
  await keys.close();
  await assert.rejects(keys.kcv(imk), { code: 'KEY_NOT_FOUND' });
  await assert.rejects(keys.ensure('imk-ac/2', { algorithm: 'TDES-2KEY', usage: 'IMK-AC' }), KeyError);
});

testOverAdapters('an RSA private key imported at first start keeps its modulus', async (t, open) => {
  const { keys } = await open(t);
  const made = await keys.ensure('ca/1', { algorithm: 'RSA', usage: 'CA', bits: 1024, exponent: 65537 });
  assert.equal(hex((await keys.rsaPublic(made)).exponent), '010001');
  const { privateKey } = generateKeyPairSync('rsa', { modulusLength: 1024, publicExponent: 3 });
  const value = privateKey.export({ format: 'der', type: 'pkcs8' });
  const imported = await keys.ensure('ca/2', { algorithm: 'RSA', usage: 'CA', value });
  const { n } = createPublicKey(privateKey).export({ format: 'jwk' });
  assert.equal(Buffer.from((await keys.rsaPublic(imported)).modulus).toString('base64url'), n);
  await assert.rejects(keys.ensure('ca/3', { algorithm: 'RSA', usage: 'CA', value: randomBytes(64) }), {
    code: 'KEY_STORE',
  });
});
