/** Every command in the operators' guide, run as it stands there, in its order. */
import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { readFileSync, writeFileSync } from 'node:fs';
import { mkdtemp, rename, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { aesKcv, hex, xorBytes } from '@cardwright/emv';
import { openSoftwareKeys } from '@cardwright/keys';
import { TestSchemeCa } from '@cardwright/testkit';
import { main, makeVault } from './key-fixture.ts';

const guide = readFileSync(new URL('../../../docs/operators/key-ceremony.md', import.meta.url), 'utf8');
const commands = [...guide.matchAll(/```sh\n([\s\S]*?)```/g)].flatMap(([, block = '']) =>
  block.trim().split('\n'),
);

/** A master key under a protection key, as another organisation would send it. */
async function blockUnder(kbpk: Uint8Array): Promise<string> {
  const folder = await mkdtemp(join(tmpdir(), 'cardwright-sender-'));
  const keys = await openSoftwareKeys({ folder, masterKey: randomBytes(32), environment: 'test' });
  try {
    const spec = { algorithm: 'AES-256', usage: 'KBPK', value: kbpk } as const;
    const protection = await keys.ensure('kbpk/1', spec);
    const details = { exportability: 'E' } as const;
    const key = await keys.ensure('imk-ac/1', { algorithm: 'TDES-2KEY', usage: 'IMK-AC' }, details);
    const made = await keys.management.exportKeyBlock(protection, key, 'E');
    assert.ok(made.ok);
    return made.block;
  } finally {
    await keys.close();
    await rm(folder, { recursive: true });
  }
}

test('the commands of the guide do what it says, one after the other', async (t) => {
  const names = { rid: 'F043415244', index: '05', expires: '4912' };
  const ca = new TestSchemeCa(1408, names);
  const vault = await makeVault(t, { schemeCas: [{ keyFile: 'scheme-ca.json' }] });
  const { folder } = vault;
  await rename(vault.config, join(folder, 'vault.json'));
  await writeFile(join(folder, 'scheme-ca.json'), JSON.stringify(ca.publicKey()));
  const keys = await vault.open();
  await keys.ensure('issuer/1', { algorithm: 'RSA', usage: 'ISSUER', bits: 1408 });
  await keys.ensure('imk-ac/1', { algorithm: 'TDES-2KEY', usage: 'IMK-AC' });
  await keys.ensure('seal/1', { algorithm: 'AES-256', usage: 'SEAL' });
  await keys.close();

  const components = [1, 2, 3].map(() => Uint8Array.from(randomBytes(32)));
  const kbpk = components.reduce<Uint8Array>((sum, one) => xorBytes(sum, one), new Uint8Array(32));
  await writeFile(join(folder, 'imk-ac.block'), await blockUnder(kbpk));
  const answers = components.flatMap((one, at) => [['Aiko', 'Ben', 'Chiyo'][at], hex(one), hex(aesKcv(one))]);
  const typed = [...answers, hex(aesKcv(kbpk)), ''].join('\n');

  const outputs = commands.map((command) => {
    const program = command.replace('npx cardwright', `'${process.execPath}' '${main}'`);
    assert.notEqual(program, command);
    if (command.includes('certificate import')) writeAnswer(folder, ca);
    const input = command.includes('ceremony hold') ? typed : '';
    const { status, stdout, stderr } = spawnSync('sh', ['-c', program], {
      cwd: folder,
      input,
      encoding: 'utf8',
    });
    assert.deepEqual([status, stderr], [0, ''], command);
    return stdout;
  });
  const all = outputs.join('');
  for (const expected of [
    /Stored kbpk\/1, check value AES-CMAC-0:/,
    /^completed: kbpk\/1 \(KBPK\)/m,
    /Imported imk-ac\/2/,
    /^D0\d{3}E0TX00N/m,
    /imk-ac\/2 +active +IMK-AC/,
    /Made imk-ac\/3/,
    /Made issuer\/2/,
    /Made seal\/2/,
    /"Ben Brandt"/,
    /valid until 4506/,
  ]) {
    assert.match(all, expected);
  }
  for (const secret of components) assert.equal(all.includes(hex(secret)), false);
  assert.ok(commands.length >= 14);
});

function writeAnswer(folder: string, ca: TestSchemeCa): void {
  const request = JSON.parse(readFileSync(join(folder, 'request.json'), 'utf8')) as Parameters<
    TestSchemeCa['certify']
  >[0];
  writeFileSync(join(folder, 'answer.json'), JSON.stringify(ca.certify(request)));
}
