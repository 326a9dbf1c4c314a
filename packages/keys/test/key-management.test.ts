/** Lives, key blocks and ceremonies of long-lived keys are the same whatever holds the keys. */
import assert from 'node:assert/strict';
import { generateKeyPairSync, randomBytes, randomUUID } from 'node:crypto';
import { rmSync } from 'node:fs';
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { test, type TestContext } from 'node:test';
import { hex, oddParity, tdesKcv, udkData, xorBytes } from '@cardwright/emv';
import { createToken, tokenKinds } from '../../../tools/pkcs11-tokens.ts';
import {
  type CeremonyPlan,
  CeremonyTranscript,
  KeyCeremony,
  type KeyStore,
  openPkcs11Keys,
  verifyCeremonyTranscript,
} from '../src/index.ts';
import { testOverAdapters, tokenOptions } from './key-adapters.ts';
import { openTestKeys, temporaryFolder } from './key-fixture.ts';

const dayMs = 86_400_000;
const imk = { algorithm: 'TDES-2KEY', usage: 'IMK-AC' } as const;
const cvkSpec = { algorithm: 'TDES-2KEY', usage: 'CVK' } as const;
const sealSpec = { algorithm: 'AES-256', usage: 'SEAL' } as const;
const card = ['9999001234567892', '3512', '201'] as const;
const block = new Uint8Array(16).fill(3);
const retired = { code: 'KEY_RETIRED' };

testOverAdapters(
  'a retired key opens what it sealed and protects nothing new, also after the store was opened again (K10)',
  async (t, open) => {
    let nowMs = Date.UTC(2030, 0, 1);
    const { keys, reopen } = await open(t, { now: () => nowMs });
    const first = await keys.ensure('seal/1', sealSpec, { custodian: 'Aiko' });
    const sealed = await keys.seal(first, block, 'c');
    assert.equal((await keys.management.rotate('seal', 7 * dayMs)).id, 'seal/2');
    assert.deepEqual(
      keys.management.dueKeys(8 * dayMs).map(({ name }) => name),
      ['seal/1'],
    );
    nowMs += 7 * dayMs;
    await assert.rejects(keys.seal(first, block, 'c'), retired);
    assert.deepEqual(await keys.unseal(first, sealed, 'c'), block);
    const before = keys.management.inventory();
    await keys.close();
    const again = await reopen();
    assert.deepEqual(again.management.inventory(), before);
    await assert.rejects(again.seal(await again.find('seal/1'), block, 'c'), retired);
    assert.deepEqual(await again.unseal(await again.find('seal/1'), sealed, 'c'), block);
    assert.equal((await again.management.findCurrent('seal')).id, 'seal/2');
    assert.equal(before[1]?.custodian, 'Aiko');
  },
);

testOverAdapters('a derived key ends with the key that it was derived from', async (t, open) => {
  const { keys } = await open(t);
  const key = await keys.ensure('imk-ac/1', imk);
  const dek = await keys.ensure('card/1', { algorithm: 'AES-128', usage: 'CARD-STATIC' });
  const udk = await keys.deriveTdesEcb(key, udkData('A', card[0], '01'), 'UDK', true);
  await keys.wrapForCard(dek, 'AES-CBC', [udk]);
  await keys.management.retire('imk-ac/1');
  await assert.rejects(keys.wrapForCard(dek, 'AES-CBC', [udk]), retired);
  assert.equal((await keys.kcv(udk)).length, 3);
  await keys.management.destroy('imk-ac/1', ['Aiko', 'Ben'], 'end of life');
  await assert.rejects(keys.kcv(udk), { code: 'KEY_NOT_FOUND' });
});

testOverAdapters('a destroyed key is gone for good, and its name with it', async (t, open) => {
  const { keys, reopen } = await open(t);
  await keys.ensure('cvk/1', cvkSpec);
  await keys.ensure('imk-ac/1', imk);
  const record = await keys.management.destroy('cvk/1', ['Aiko', 'Ben'], 'end of life');
  assert.deepEqual(record.destroyed?.by, ['Aiko', 'Ben']);
  await assert.rejects(keys.find('cvk/1'), { code: 'KEY_NOT_FOUND' });
  await assert.rejects(keys.ensure('cvk/1', cvkSpec), { code: 'KEY_STORE' });
  await keys.close();
  const again = await reopen();
  assert.deepEqual(
    (await again.list()).map(({ handle }) => handle.id),
    ['imk-ac/1'],
  );
  await assert.rejects(again.ensure('cvk/1', cvkSpec), { message: 'key cvk/1 was destroyed' });
});

testOverAdapters('a rotated RSA key keeps its size and exponent', async (t, open) => {
  const { keys } = await open(t);
  await keys.ensure('issuer/1', { algorithm: 'RSA', usage: 'ISSUER', bits: 1152, exponent: 65537 });
  const { modulus, exponent } = await keys.rsaPublic(await keys.management.rotate('issuer', 0));
  assert.deepEqual([modulus.length, hex(exponent)], [144, '010001']);
});

/** A block with a CVK under `kbpk`, as another organisation sends it. */
async function blockFrom(t: TestContext, kbpk: Uint8Array, cvk: Uint8Array): Promise<string> {
  const { keys } = await openTestKeys(t);
  const protection = await keys.ensure('kbpk/1', { algorithm: 'AES-256', usage: 'KBPK', value: kbpk });
  const key = await keys.ensure('cvk/1', { ...cvkSpec, value: cvk }, { exportability: 'E' });
  const made = await keys.management.exportKeyBlock(protection, key, 'E');
  assert(made.ok);
  return made.block;
}

testOverAdapters(
  'a key block opens under its protection key and makes the same values',
  async (t, open, adapter) => {
    const [kbpk, cvk] = [Uint8Array.from(randomBytes(32)), oddParity(Uint8Array.from(randomBytes(16)))];
    const text = await blockFrom(t, kbpk, cvk);
    const { keys, reopen } = await open(t);
    await keys.ensure('kbpk/1', { algorithm: 'AES-256', usage: 'KBPK', value: kbpk });
    await keys.close();
    const again = await reopen();
    const protection = await again.find('kbpk/1');
    const { management } = again;
    const imported = await management.importKeyBlock(protection, text, { name: 'cvk/1', custodian: 'Chiyo' });
    assert(imported.ok);
    const direct = await again.ensure('cvk/2', { ...cvkSpec, value: cvk });
    assert.equal(await again.cvv(imported.handle, ...card), await again.cvv(direct, ...card));
    const [, entry] = management.inventory();
    assert.deepEqual(
      [entry?.origin, entry?.custodian, entry?.exportability, entry?.checkValue],
      ['key-block', 'Chiyo', 'E', `TDES-ECB-0:${hex(tdesKcv(cvk))}`],
    );
    const changed = `${text.slice(0, -1)}${text.endsWith('0') ? '1' : '0'}`;
    const refused = await management.importKeyBlock(protection, changed, { name: 'cvk/3' });
    assert(!refused.ok);
    assert.equal(refused.reason, 'INTEGRITY');
    const leaving = management.exportKeyBlock(protection, imported.handle);
    if (adapter === 'software') assert((await leaving).ok);
    else await assert.rejects(leaving, { message: 'key cvk/1 does not leave the token' });
  },
);

interface Held {
  readonly ceremony: KeyCeremony;
  readonly file: string;
  readonly publicPem: string;
}

async function beginCeremony(t: TestContext, keys: KeyStore): Promise<Held> {
  const { privateKey, publicKey } = generateKeyPairSync('ed25519');
  const file = join(await temporaryFolder(t), 'one.ceremony');
  const pem = privateKey.export({ format: 'pem', type: 'pkcs8' }).toString();
  const transcript = new CeremonyTranscript(file, pem, Date.now);
  t.after(() => {
    transcript.close();
  });
  const plan: CeremonyPlan = {
    ceremonyId: randomUUID(),
    keyName: 'imk-ac/1',
    algorithm: 'TDES-2KEY',
    usage: 'IMK-AC',
    environment: 'test',
    exportability: 'N',
    components: 2,
    witness: 'Wanda',
  };
  const ceremony = new KeyCeremony(plan, keys.management, transcript);
  return { ceremony, file, publicPem: publicKey.export({ format: 'pem', type: 'spki' }).toString() };
}

testOverAdapters(
  'a ceremony makes the key, and its transcript says where the key is (K6, K13)',
  async (t, open, adapter) => {
    const { keys } = await open(t);
    const { ceremony, file, publicPem } = await beginCeremony(t, keys);
    const components = [1, 2].map(() => oddParity(Uint8Array.from(randomBytes(16))));
    for (const [index, component] of components.entries()) {
      ceremony.openSession(['Aiko', 'Ben'][index] ?? '', index + 1);
      ceremony.enterComponent(component.slice());
      assert.deepEqual(ceremony.confirmComponent(hex(tdesKcv(component))), { ok: true });
      ceremony.closeSession();
    }
    const [one, two] = components;
    assert(one && two);
    const value = oddParity(xorBytes(one, two));
    assert(ceremony.combine().ok);
    const done = await ceremony.confirmKey(hex(tdesKcv(value)));
    assert(done.ok);
    assert.equal(hex(await keys.kcv(done.handle)), hex(tdesKcv(value)));
    await keys.ensure('imk-ac/1', { ...imk, value });
    const [record] = keys.management.inventory();
    assert.deepEqual([record?.origin, record?.custodian], ['ceremony', 'aiko, ben']);
    const verdict = verifyCeremonyTranscript(await readFile(file, 'utf8'), publicPem);
    assert(verdict.ok);
    const expected =
      adapter === 'software' ? /^software: .*in memory$/ : /^PKCS#11 token .*combined in memory/;
    assert.match(verdict.ceremony.keeper ?? '', expected);
    await assert.rejects(beginCeremony(t, keys), { code: 'KEY_STORE' });
  },
);

for (const kind of tokenKinds) {
  test(`components and key blocks are refused where key bytes in the host are forbidden (${kind})`, async (t) => {
    const token = createToken(kind, await temporaryFolder(t));
    const keys = await openPkcs11Keys(tokenOptions(token, { allowHostKeyBytes: false }));
    t.after(() => keys.close());
    await assert.rejects(beginCeremony(t, keys), {
      code: 'KEY_OPERATION_REFUSED',
      message: /^holdCeremony is refused: .*forbidden/,
    });
    const kbpk = await keys.ensure('kbpk/1', { algorithm: 'AES-256', usage: 'KBPK' });
    await assert.rejects(keys.management.importKeyBlock(kbpk, 'D0', { name: 'cvk/1' }), {
      code: 'KEY_OPERATION_REFUSED',
      message: /^importKeyBlock is refused/,
    });
  });

  test(`register and token belong together: neither opens without the other (${kind})`, async (t) => {
    const folder = await temporaryFolder(t);
    const token = createToken(kind, folder);
    const first = await openPkcs11Keys(tokenOptions(token));
    await first.ensure('imk-ac/1', imk);
    await first.close();
    const another = createToken(kind, await temporaryFolder(t));
    const { registerFile } = token;
    await assert.rejects(openPkcs11Keys(tokenOptions(another, { registerFile })), {
      message: 'the key register belongs to another token',
    });
    rmSync(registerFile);
    await assert.rejects(openPkcs11Keys(tokenOptions(token)), {
      message: 'the token has keys but no register of them',
    });
  });
}
