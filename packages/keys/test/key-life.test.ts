import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { copyFile, readdir, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { DatabaseSync } from 'node:sqlite';
import { type TestContext, test } from 'node:test';
import { hex } from '@cardwright/emv';
import {
  type KeyHandle,
  openSoftwareKeys,
  type SoftwareKeys,
  type SoftwareKeysOptions,
} from '../src/index.ts';
import { openTestKeys } from './key-fixture.ts';

const dayMs = 86_400_000;
const tdes = (usage: 'IMK-AC' | 'CVK') => ({ algorithm: 'TDES-2KEY', usage }) as const;
const seal = { algorithm: 'AES-256', usage: 'SEAL' } as const;
const keyStore = { code: 'KEY_STORE' };
const retired = { code: 'KEY_RETIRED' };
const block = new Uint8Array(16).fill(3);

interface Timed {
  readonly keys: SoftwareKeys;
  readonly options: SoftwareKeysOptions;
  readonly pass: (ms: number) => void;
}

/** Keys over a clock that only the test moves. */
async function timedKeys(t: TestContext): Promise<Timed> {
  let nowMs = Date.UTC(2030, 0, 1);
  const { keys, options } = await openTestKeys(t, { now: () => nowMs });
  return { keys, options, pass: (ms) => (nowMs += ms) };
}

async function reopen(t: TestContext, options: SoftwareKeysOptions): Promise<SoftwareKeys> {
  const keys = await openSoftwareKeys(options);
  t.after(() => keys.close());
  return keys;
}

test('past its active period a key opens old seals and makes no new ones; past its keeping period it does nothing (K10)', async (t) => {
  const { keys, pass } = await timedKeys(t);
  const key = await keys.ensure('seal/1', seal, { activeMs: 10 * dayMs, keepMs: 5 * dayMs });
  const sealed = await keys.seal(key, block, 'c');
  pass(10 * dayMs - 1);
  await keys.seal(key, block, 'c');
  assert.deepEqual(keys.management.dueKeys(0), []);
  assert.equal(keys.management.dueKeys(dayMs)[0]?.name, 'seal/1');
  pass(1);
  await assert.rejects(keys.seal(key, block, 'c'), retired);
  assert.deepEqual(await keys.unseal(key, sealed, 'c'), block);
  pass(5 * dayMs);
  await assert.rejects(keys.unseal(key, sealed, 'c'), retired);
  assert.equal(keys.management.inventory()[0]?.state, 'expired');
  assert.equal(keys.management.dueKeys(0)[0]?.name, 'seal/1');
  assert.equal((await keys.list()).length, 1);
});

test('a rotated key overlaps with its successor, then only verifies what it made (K10)', async (t) => {
  const { keys, pass } = await timedKeys(t);
  const first = await keys.ensure('seal/1', seal);
  const sealed = await keys.seal(first, block, 'c');
  const second = await keys.management.rotate('seal', 7 * dayMs);
  assert.equal(second.id, 'seal/2');
  assert.equal((await keys.management.findCurrent('seal')).id, 'seal/2');
  await keys.seal(first, block, 'c');
  pass(7 * dayMs);
  await assert.rejects(keys.seal(first, block, 'c'), retired);
  assert.deepEqual(await keys.unseal(first, sealed, 'c'), block);
  await assert.rejects(keys.unseal(second, sealed, 'c'), { code: 'SEAL_BROKEN' });
  assert.equal((await keys.management.rotate('seal', 0)).id, 'seal/3');
  await assert.rejects(keys.management.rotate('unheard-of', 0), { code: 'KEY_NOT_FOUND' });
});

test('where two products have keys of one family, the one that is named is rotated and the other stays', async (t) => {
  const { keys, pass } = await timedKeys(t);
  const first = await keys.ensure('cvk/1', tdes('CVK'));
  const second = await keys.ensure('cvk/2', tdes('CVK'));
  const third = await keys.management.rotate('cvk/1', dayMs);
  assert.equal(third.id, 'cvk/3');
  pass(dayMs);
  const card = ['9999001234567892', '3512', '201'] as const;
  await assert.rejects(keys.cvv(first, ...card), retired);
  for (const key of [second, third]) assert.match(await keys.cvv(key, ...card), /^\d{3}$/);
  await assert.rejects(keys.management.rotate('cvk/1', 0), { code: 'KEY_NOT_FOUND' });
  await assert.rejects(keys.management.rotate('cvk/9', 0), { code: 'KEY_NOT_FOUND' });
});

test('under a retired issuer master key a card in the field is still verified, and no new card is made', async (t) => {
  const { keys, pass } = await timedKeys(t);
  const imk = await keys.ensure('imk-ac/1', tdes('IMK-AC'), { activeMs: dayMs, keepMs: dayMs });
  const kmc = await keys.ensure('kmc/1', { algorithm: 'AES-128', usage: 'KMC' });
  const dek = await keys.deriveAesCmac(kmc, [block], 'CARD-STATIC');
  const before = await keys.deriveTdesEcb(imk, block, 'UDK', true);
  await keys.wrapForCard(dek, 'AES-CBC', [before]);
  pass(dayMs);
  const udk = await keys.deriveTdesEcb(imk, block, 'UDK', true);
  const session = await keys.deriveTdesEcb(udk, block, 'AC-SESSION', true);
  assert.equal((await keys.retailMac(session, block, 2)).length, 8);
  for (const derived of [before, udk]) {
    await assert.rejects(keys.wrapForCard(dek, 'AES-CBC', [derived]), retired);
  }
  pass(dayMs);
  await assert.rejects(keys.retailMac(session, block, 2), retired);
});

test('RSA keys keep size and exponent when rotated', async (t) => {
  const { keys } = await openTestKeys(t);
  await keys.ensure('issuer/1', { algorithm: 'RSA', usage: 'ISSUER', bits: 1024, exponent: 65537 });
  const { modulus, exponent } = await keys.rsaPublic(await keys.management.rotate('issuer', 0));
  assert.deepEqual([modulus.length, hex(exponent)], [128, '010001']);
});

test('a destroyed key is gone from memory and disk, its name is spent, and the record stays (K14)', async (t) => {
  const { keys, options } = await timedKeys(t);
  const imk = await keys.ensure('imk-ac/1', tdes('IMK-AC'));
  const udk = await keys.deriveTdesEcb(imk, block, 'UDK', true);
  const backup = join(options.folder, 'backup');
  await copyFile(join(options.folder, 'imk-ac~1.key'), backup);
  for (const by of [
    ['Aiko', 'aiko '],
    ['Aiko', ''],
  ] as const) {
    await assert.rejects(keys.management.destroy('imk-ac/1', by, 'end of life'), { code: 'KEY_USAGE' });
  }
  const { destroyed } = await keys.management.destroy('imk-ac/1', ['Aiko', 'Ben'], 'end of life');
  assert.deepEqual(destroyed, { atMs: Date.UTC(2030, 0, 1), by: ['Aiko', 'Ben'], reason: 'end of life' });
  await assert.rejects(keys.kcv(imk), { code: 'KEY_NOT_FOUND' });
  await assert.rejects(keys.kcv(udk), { code: 'KEY_NOT_FOUND' });
  await assert.rejects(keys.find('imk-ac/1'), { code: 'KEY_NOT_FOUND' });
  await assert.rejects(keys.ensure('imk-ac/1', tdes('IMK-AC')), keyStore);
  assert.deepEqual((await readdir(options.folder)).sort(), ['backup', 'register.sqlite']);
  await keys.close();

  await copyFile(backup, join(options.folder, 'imk-ac~1.key'));
  const again = await reopen(t, options);
  await assert.rejects(again.find('imk-ac/1'), { code: 'KEY_NOT_FOUND' });
  assert.deepEqual((await readdir(options.folder)).sort(), ['backup', 'register.sqlite']);
  assert.equal(again.management.inventory()[0]?.state, 'destroyed');
});

test('a key file that was removed is noticed, while running and at the next start', async (t) => {
  const { keys, options } = await openTestKeys(t);
  await keys.ensure('imk-ac/1', tdes('IMK-AC'));
  const other = await reopen(t, options);
  await other.ensure('cvk/1', tdes('CVK'));
  await rm(join(options.folder, 'cvk~1.key'));
  await assert.rejects(keys.ensure('cvk/1', tdes('CVK')), keyStore);
  await assert.rejects(openSoftwareKeys(options), {
    message: 'key cvk/1 is registered but gone from the key folder',
  });
});

test('a register that was removed is noticed as long as one key is left', async (t) => {
  const { keys, options } = await openTestKeys(t);
  await keys.ensure('imk-ac/1', tdes('IMK-AC'));
  await keys.close();
  await rm(join(options.folder, 'register.sqlite'));
  await assert.rejects(openSoftwareKeys(options), keyStore);
});

test('a key whose making was cut short before its entry is registered as found', async (t) => {
  const { keys, options } = await openTestKeys(t);
  const elsewhere = await openTestKeys(t, { masterKey: options.masterKey });
  await elsewhere.keys.ensure('imk-ac/1', tdes('IMK-AC'));
  await keys.ensure('cvk/1', tdes('CVK'));
  await copyFile(join(elsewhere.options.folder, 'imk-ac~1.key'), join(options.folder, 'imk-ac~1.key'));
  const again = await reopen(t, options);
  assert.equal(again.management.inventory().find(({ name }) => name === 'imk-ac/1')?.origin, 'found');
});

test('another key under a registered name is refused', async (t) => {
  const { keys, options } = await openTestKeys(t);
  const elsewhere = await openTestKeys(t, { masterKey: options.masterKey });
  await keys.ensure('imk-ac/1', tdes('IMK-AC'));
  await elsewhere.keys.ensure('imk-ac/1', tdes('IMK-AC'));
  await copyFile(join(elsewhere.options.folder, 'imk-ac~1.key'), join(options.folder, 'imk-ac~1.key'));
  await assert.rejects(openSoftwareKeys(options), {
    message: 'key imk-ac/1 is not the one that is registered',
  });
});

test('every change, removal and exchange of register entries is refused', async (t) => {
  const { keys, options } = await openTestKeys(t);
  await keys.ensure('imk-ac/1', tdes('IMK-AC'));
  await keys.ensure('cvk/1', tdes('CVK'));
  await keys.management.retire('cvk/1');
  await keys.close();
  const file = join(options.folder, 'register.sqlite');
  const sound = `${file}.sound`;
  await copyFile(file, sound);
  for (const tampering of [
    `UPDATE key_event SET body = replace(body, '"N"', '"E"') WHERE sequence = 2`,
    'UPDATE key_event SET mac = zeroblob(32) WHERE sequence = 3',
    'UPDATE key_event SET mac = zeroblob(31) WHERE sequence = 3',
    'DELETE FROM key_event WHERE sequence = 2',
    'DELETE FROM key_event WHERE sequence = 1',
    'UPDATE key_event SET sequence = 9 WHERE sequence = 2',
    'UPDATE key_event SET body = (SELECT body FROM key_event WHERE sequence = 3) WHERE sequence = 2',
    'DROP TABLE key_event',
  ]) {
    const database = new DatabaseSync(file);
    database.exec(tampering);
    database.close();
    await assert.rejects(openSoftwareKeys(options), keyStore, tampering);
    await copyFile(sound, file);
  }
  await (await reopen(t, options)).find('imk-ac/1');
});

test('a folder opened exclusively is refused to everybody else, and the other way round', async (t) => {
  const { keys, options } = await openTestKeys(t, { isExclusive: true });
  for (const isExclusive of [true, false]) {
    await assert.rejects(openSoftwareKeys({ ...options, isExclusive }), keyStore);
  }
  await keys.ensure('imk-ac/1', tdes('IMK-AC'));
  await keys.close();
  await reopen(t, options);
});

async function protectionKey(keys: SoftwareKeys, value: Uint8Array): Promise<KeyHandle> {
  return keys.ensure('kbpk/1', { algorithm: 'AES-256', usage: 'KBPK', value });
}

test('a key travels between two folders in a key block and does the same work there', async (t) => {
  const kbpk = randomBytes(32);
  const from = await openTestKeys(t);
  const to = await openTestKeys(t);
  const imk = await from.keys.ensure('imk-ac/1', tdes('IMK-AC'), { exportability: 'E' });
  const made = await from.keys.management.exportKeyBlock(await protectionKey(from.keys, kbpk), imk, 'N');
  assert.ok(made.ok);
  const theirs = await protectionKey(to.keys, kbpk);
  const imported = await to.keys.management.importKeyBlock(theirs, made.block, {
    name: 'imk-ac/7',
    custodian: 'Aiko',
  });
  assert.ok(imported.ok);
  assert.equal(hex(await to.keys.kcv(imported.handle)), hex(await from.keys.kcv(imk)));
  const record = to.keys.management.inventory().find(({ name }) => name === 'imk-ac/7');
  assert.deepEqual(
    [record?.origin, record?.mode, record?.exportability, record?.custodian],
    ['key-block', 'X', 'N', 'Aiko'],
  );
  // Again the same is the same; another key under the name is not.
  assert.deepEqual(
    await to.keys.management.importKeyBlock(theirs, made.block, { name: 'imk-ac/7' }),
    imported,
  );
  const onward = await to.keys.management.exportKeyBlock(theirs, imported.handle, 'N');
  assert.equal(!onward.ok && onward.reason, 'EXPORTABILITY');
});

test('keys made here do not leave unless they were made to', async (t) => {
  const { keys } = await openTestKeys(t);
  const kbpk = await protectionKey(keys, randomBytes(32));
  const made = await keys.management.exportKeyBlock(kbpk, await keys.ensure('cvk/1', tdes('CVK')), 'N');
  assert.equal(!made.ok && made.reason, 'EXPORTABILITY');
  await assert.rejects(keys.management.exportKeyBlock(kbpk, await keys.ensure('seal/1', seal)), {
    code: 'KEY_USAGE',
  });
});

test('a block of the other environment is refused, and a retired protection key unwraps but wraps no more', async (t) => {
  const kbpk = randomBytes(32);
  const { keys } = await openTestKeys(t);
  const production = await openTestKeys(t, { environment: 'production', productionForTests: true });
  const cvk = await keys.ensure('cvk/1', tdes('CVK'), { exportability: 'E' });
  const ours = await protectionKey(keys, kbpk);
  const made = await keys.management.exportKeyBlock(ours, cvk, 'E');
  assert.ok(made.ok);
  const refused = await production.keys.management.importKeyBlock(
    await protectionKey(production.keys, kbpk),
    made.block,
    {
      name: 'cvk/1',
      isLabelOptional: true,
    },
  );
  assert.equal(!refused.ok && refused.reason, 'ENVIRONMENT');
  assert.deepEqual(
    production.keys.management.inventory().map(({ name }) => name),
    ['kbpk/1'],
  );
  await keys.management.retire('kbpk/1');
  await assert.rejects(keys.management.exportKeyBlock(ours, cvk, 'E'), retired);
  assert.equal((await keys.management.importKeyBlock(ours, made.block, { name: 'cvk/2' })).ok, true);
});
