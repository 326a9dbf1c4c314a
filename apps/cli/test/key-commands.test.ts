import assert from 'node:assert/strict';
import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { test } from 'node:test';
import { cardwright, makeVault } from './key-fixture.ts';

test('keys are listed, rotated, retired, exported, imported and destroyed offline', async (t) => {
  const { folder, config, open } = await makeVault(t);
  const keys = await open();
  await keys.ensure('cvk/1', { algorithm: 'TDES-2KEY', usage: 'CVK' }, { exportability: 'E' });
  await keys.ensure('kbpk/1', { algorithm: 'AES-256', usage: 'KBPK' });
  assert.match(cardwright('list', '--vault', config).stderr, /in use by another process/);
  await keys.close();

  assert.match(cardwright('list', '--vault', config).stdout, /cvk\/1 +active +CVK +TDES-2KEY +TDES-ECB-0:/);
  assert.match(cardwright('rotate', 'cvk', '--overlap-days', '0', '--vault', config).stdout, /Made cvk\/2/);
  const block = cardwright('export', 'cvk/2', '--kbpk', 'kbpk/1', '--vault', config);
  assert.match(block.stdout, /^D0\d{3}C0TC00N/);
  const file = join(folder, 'block.txt');
  await writeFile(file, block.stdout);
  const naming = ['--name', 'cvk/9', '--kbpk', 'kbpk/1', '--custodian', 'Aiko', '--vault', config];
  assert.match(cardwright('import', file, ...naming).stdout, /Imported cvk\/9, check value TDES-ECB-0:/);
  await writeFile(file, `A${block.stdout.slice(1)}`);
  const refused = cardwright('import', file, ...naming);
  assert.deepEqual([refused.status, refused.stderr.slice(0, 17)], [1, 'refused (VERSION)']);
  assert.equal(cardwright('retire', 'cvk/9', '--vault', config).status, 0);

  const order = ['--reason', 'end of life', '--vault', config];
  assert.equal(cardwright('destroy', 'cvk/1', '--by', 'Aiko', 'aiko', ...order).status, 1);
  const record = cardwright('destroy', 'cvk/1', '--by', 'Aiko', 'Ben', ...order);
  assert.deepEqual((JSON.parse(record.stdout) as { destroyed: { by: string[] } }).destroyed.by, [
    'Aiko',
    'Ben',
  ]);
  const inventory = JSON.parse(cardwright('list', '--json', '--vault', config).stdout) as {
    name: string;
    state: string;
  }[];
  assert.deepEqual(
    inventory.map(({ name, state }) => `${name} ${state}`),
    ['cvk/1 destroyed', 'kbpk/1 active', 'cvk/2 active', 'cvk/9 retired'],
  );
});

test('keys that end soon are listed by themselves, with an exit code that a watchman can use', async (t) => {
  const { config, open } = await makeVault(t);
  const keys = await open();
  await keys.ensure('cvk/1', { algorithm: 'TDES-2KEY', usage: 'CVK' }, { activeMs: 20 * 86_400_000 });
  await keys.ensure('pvk/1', { algorithm: 'TDES-2KEY', usage: 'PVK' });
  await keys.close();
  const due = cardwright('list', '--due', '30', '--vault', config);
  assert.equal(due.status, 1);
  assert.match(due.stdout, /cvk\/1/);
  assert.equal(due.stdout.includes('pvk/1'), false);
  assert.equal(cardwright('list', '--due', '10', '--vault', config).status, 0);
});

test('while two versions overlap both make cards for the products that name them; then the old one only verifies', async (t) => {
  const { config, open } = await makeVault(t);
  const before = await open();
  await before.ensure('cvk/1', { algorithm: 'TDES-2KEY', usage: 'CVK' });
  await before.close();
  const card = ['9999001234567892', '3512', '201'] as const;
  assert.equal(cardwright('rotate', 'cvk', '--overlap-days', '30', '--vault', config).status, 0);
  const during = await open();
  const [old, next] = [await during.find('cvk/1'), await during.find('cvk/2')];
  assert.match(await during.cvv(old, ...card), /^\d{3}$/);
  assert.match(await during.cvv(next, ...card), /^\d{3}$/);
  await during.close();
  assert.equal(cardwright('rotate', 'cvk', '--overlap-days', '0', '--vault', config).status, 0);
  assert.equal(cardwright('retire', 'cvk/1', '--vault', config).status, 0);
  const after = await open();
  t.after(() => after.close());
  for (const name of ['cvk/1', 'cvk/2']) {
    await assert.rejects(after.cvv(await after.find(name), ...card), { code: 'KEY_RETIRED' });
  }
  assert.match(await after.cvv(await after.find('cvk/3'), ...card), /^\d{3}$/);
});
