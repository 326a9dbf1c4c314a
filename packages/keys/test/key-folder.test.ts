import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { copyFile, mkdir, readdir, readFile, rename, stat, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { test } from 'node:test';
import { hex, unhex } from '@cardwright/emv';
import { openSoftwareKeys, type SoftwareKeysOptions } from '../src/index.ts';
import { openTestKeys, temporaryFolder } from './key-fixture.ts';

const tdesImk = { algorithm: 'TDES-2KEY', usage: 'IMK-AC' } as const;
const keyStore = { name: 'KeyError', code: 'KEY_STORE' };

async function refuses(options: SoftwareKeysOptions): Promise<void> {
  await assert.rejects(openSoftwareKeys(options), keyStore);
}

test('keys survive a restart: same handles, same check values', async (t) => {
  const { keys, options } = await openTestKeys(t);
  const imk = await keys.ensure('imk-ac/1', tdesImk);
  await keys.ensure('kmc-scp03/1', { algorithm: 'AES-128', usage: 'KMC' });
  await keys.ensure('jwe/ISS0000001/1', { algorithm: 'EC-P256', usage: 'JWE-RECIPIENT' });
  const ca = await keys.ensure('ca/1', { algorithm: 'RSA', usage: 'CA' });
  const before = { kcv: hex(await keys.kcv(imk)), list: await keys.list(), ca: await keys.rsaPublic(ca) };
  await keys.close();
  const again = await openSoftwareKeys(options);
  t.after(() => again.close());
  assert.equal(hex(await again.kcv(await again.find('imk-ac/1'))), before.kcv);
  const byName = <T extends { handle: { id: string } }>(list: readonly T[]): T[] =>
    list.toSorted((a, b) => a.handle.id.localeCompare(b.handle.id));
  assert.deepEqual(byName(await again.list()), byName(before.list));
  assert.deepEqual(await again.rsaPublic(await again.find('ca/1')), before.ca);
  assert.equal(before.ca.modulus.length, 176);
});

test('ensure keeps an existing key, and refuses to change its kind or value', async (t) => {
  const { keys } = await openTestKeys(t);
  const value = randomBytes(16);
  const imk = await keys.ensure('imk-ac/1', { ...tdesImk, value });
  const kcv = hex(await keys.kcv(imk));
  assert.equal(hex(await keys.kcv(await keys.ensure('imk-ac/1', tdesImk))), kcv);
  assert.equal(await keys.ensure('imk-ac/1', { ...tdesImk, value }), imk);
  await assert.rejects(keys.ensure('imk-ac/1', { ...tdesImk, value: randomBytes(16) }), keyStore);
  await assert.rejects(keys.ensure('imk-ac/1', { ...tdesImk, usage: 'CVK' }), keyStore);
  await assert.rejects(keys.ensure('imk-ac/2', { ...tdesImk, value: randomBytes(15) }), keyStore);
});

test('a failed creation does not block the next one', async (t) => {
  const { keys } = await openTestKeys(t);
  await assert.rejects(keys.ensure('../up', tdesImk), keyStore);
  await assert.rejects(keys.ensure('imk-ac/~', tdesImk), keyStore);
  await keys.ensure('imk-ac/1', tdesImk);
});

test('two adapters that create one key at the same time end with one key', async (t) => {
  const { keys, options } = await openTestKeys(t);
  const other = await openSoftwareKeys(options);
  t.after(() => other.close());
  const all = await Promise.all(
    [keys, other, keys, other].map(async (adapter) => adapter.kcv(await adapter.ensure('imk-ac/1', tdesImk))),
  );
  assert.equal(new Set(all.map(hex)).size, 1);
  assert.deepEqual((await readdir(options.folder)).sort(), ['imk-ac~1.key', 'register.sqlite']);
});

test('a key file is readable by its owner only and left without a trace of its making', async (t) => {
  const { keys, options } = await openTestKeys(t, { folder: join(await temporaryFolder(t), 'made', 'here') });
  await keys.ensure('imk-ac/1', tdesImk);
  assert.deepEqual((await readdir(options.folder)).sort(), ['imk-ac~1.key', 'register.sqlite']);
  assert.equal((await stat(join(options.folder, 'imk-ac~1.key'))).mode & 0o777, 0o600);
  assert.equal((await stat(join(options.folder, 'register.sqlite'))).mode & 0o777, 0o600);
  assert.equal((await stat(options.folder)).mode & 0o777, 0o700);
});

test('every changed byte and every truncation of a key file is refused', async (t) => {
  const { keys, options } = await openTestKeys(t);
  await keys.ensure('imk-ac/1', tdesImk);
  const file = join(options.folder, 'imk-ac~1.key');
  const sound = await readFile(file);
  for (let index = 0; index < sound.length; index++) {
    const changed = Buffer.from(sound);
    changed[index] = (changed[index] ?? 0) ^ (1 << (index % 8));
    await writeFile(file, changed);
    await refuses(options);
  }
  for (let length = 0; length < sound.length; length += 7) {
    await writeFile(file, sound.subarray(0, length));
    await refuses(options);
  }
  await writeFile(file, Buffer.concat([sound, Buffer.from([0])]));
  await refuses(options);
  await writeFile(file, sound);
  await (await openSoftwareKeys(options)).close();
});

test('a key file under the name of another key is refused', async (t) => {
  const { keys, options } = await openTestKeys(t);
  await keys.ensure('imk-ac/1', tdesImk);
  await keys.ensure('cvk/1', { algorithm: 'TDES-2KEY', usage: 'CVK' });
  const [imk, cvk, aside] = ['imk-ac~1.key', 'cvk~1.key', 'aside'].map((file) => join(options.folder, file));
  assert.ok(imk !== undefined && cvk !== undefined && aside !== undefined);
  await rename(imk, aside);
  await rename(cvk, imk);
  await rename(aside, cvk);
  await refuses(options);
});

test('a header taken from another key does not open its box: usage and environment are bound', async (t) => {
  const { keys, options } = await openTestKeys(t);
  await keys.ensure('imk-ac/1', tdesImk);
  const file = join(options.folder, 'imk-ac~1.key');
  const sound = await readFile(file);
  for (const [from, to] of [
    ['"IMK-AC"', '"IMK-XX"'],
    ['IMK-AC', 'CARD-S'],
    ['imk-ac/1', 'imk-ac/2'],
    ['"test"', '"prod"'],
  ] as const) {
    const changed = Buffer.from(sound.toString('latin1').replace(from, to), 'latin1');
    assert.notDeepEqual(changed, sound);
    await writeFile(file, changed);
    await refuses(options);
  }
});

test('another master key opens nothing', async (t) => {
  const { keys, options } = await openTestKeys(t);
  await keys.ensure('imk-ac/1', tdesImk);
  await refuses({ ...options, masterKey: randomBytes(32) });
  await refuses({ ...options, masterKey: options.masterKey.subarray(0, 16) });
});

test('production refuses the software adapter', async (t) => {
  const folder = await temporaryFolder(t);
  await refuses({ folder, masterKey: randomBytes(32), environment: 'production' });
  assert.deepEqual(await readdir(folder), []);
});

test('test keys do not enter production: neither well-known values nor files of a test folder (K3, K11)', async (t) => {
  const production = { environment: 'production', productionForTests: true } as const;
  const { keys, options } = await openTestKeys(t, production);
  const kmc = { algorithm: 'TDES-2KEY', usage: 'KMC' } as const;
  for (const value of [
    '404142434445464748494A4B4C4D4E4F',
    '0123456789ABCDEFFEDCBA9876543210',
    '0022446688AACCEEFEDCBA9876543210', // the one before with other parity bits
    '00000000000000000000000000000000',
    '01010101010101010101010101010101', // zeros with parity
    'FFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFF',
    'A1B2C3D4E5F60718A1B2C3D4E5F60718', // single DES in disguise
  ]) {
    await assert.rejects(keys.ensure('kmc/1', { ...kmc, value: unhex(value) }), keyStore, value);
  }
  await keys.ensure('kmc/1', { ...kmc, value: randomBytes(16) });
  const cardStatic = { algorithm: 'AES-128', usage: 'CARD-STATIC' } as const;
  await assert.rejects(keys.ensure('card/1', cardStatic), { code: 'KEY_USAGE' });

  const { keys: testKeys, options: testOptions } = await openTestKeys(t, { masterKey: options.masterKey });
  await testKeys.ensure('imk-ac/1', tdesImk);
  const folder = join(await temporaryFolder(t), 'moved');
  await mkdir(folder);
  await copyFile(join(testOptions.folder, 'imk-ac~1.key'), join(folder, 'imk-ac~1.key'));
  await refuses({ ...options, folder });
  await assert.rejects(openSoftwareKeys({ ...options, folder }), /belongs to the test environment/);
});
