/** The key commands over a vault whose keys are in a token: what they do is what they do over a folder. */
import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { mkdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { test, type TestContext } from 'node:test';
import { aesKcv, hex, xorBytes } from '@cardwright/emv';
import { type KeyInventoryEntry, openPkcs11Keys, openSoftwareKeys, type Pkcs11Keys } from '@cardwright/keys';
import { createToken, tokenKinds, type TokenKind } from '../../../tools/pkcs11-tokens.ts';
import { cardwright, cardwrightFed, makeVault } from './key-fixture.ts';

interface TokenVault {
  readonly folder: string;
  readonly config: string;
  readonly open: () => Promise<Pkcs11Keys>;
}

async function makeTokenVault(t: TestContext, kind: TokenKind): Promise<TokenVault> {
  const { folder, config } = await makeVault(t);
  const tokenFolder = join(folder, 'token');
  await mkdir(tokenFolder);
  const { module, libraryParameters, token, pin, environment } = createToken(kind, tokenFolder);
  Object.assign(process.env, environment);
  await writeFile(join(folder, 'pin'), `${pin}\n`);
  const keys = {
    adapter: 'pkcs11',
    module,
    libraryParameters,
    tokenLabel: token.label,
    pinFile: 'pin',
    allowHostKeyBytes: true,
  };
  await writeFile(config, JSON.stringify({ environment: 'sandbox', dataFolder: 'data', keys }));
  const open = (): Promise<Pkcs11Keys> =>
    openPkcs11Keys({
      module,
      ...(libraryParameters !== undefined && { libraryParameters }),
      token,
      pin: new TextEncoder().encode(pin),
      environment: 'test',
      registerFile: join(folder, 'data/keys/register.sqlite'),
      isExclusive: true,
      allowHostKeyBytes: true,
    });
  return { folder, config, open };
}

/** A CVK under `kbpk`, as another organisation sends it. */
async function cvkBlock(t: TestContext, kbpk: Uint8Array): Promise<string> {
  const { folder } = await makeVault(t);
  const sender = join(folder, 'sender');
  const keys = await openSoftwareKeys({ folder: sender, masterKey: randomBytes(32), environment: 'test' });
  try {
    const protection = await keys.ensure('kbpk/1', { algorithm: 'AES-256', usage: 'KBPK', value: kbpk });
    const details = { exportability: 'E' } as const;
    const cvk = await keys.ensure('cvk/1', { algorithm: 'TDES-2KEY', usage: 'CVK' }, details);
    const made = await keys.management.exportKeyBlock(protection, cvk, 'E');
    assert(made.ok);
    return made.block;
  } finally {
    await keys.close();
  }
}

function inventory(config: string): string[] {
  const listed = JSON.parse(cardwright('list', '--json', '--vault', config).stdout) as KeyInventoryEntry[];
  return listed.map(({ name, state, origin }) => `${name} ${state} ${origin}`);
}

for (const kind of tokenKinds) {
  test(`a ceremony, key blocks and the lives of keys over a token (${kind})`, async (t) => {
    const { folder, config, open } = await makeTokenVault(t, kind);
    const vault = ['--vault', config];
    const witness = join(folder, 'witness.pem');
    assert.equal(cardwright('ceremony', 'witness', witness).status, 0);
    const components = [1, 2, 3].map(() => Uint8Array.from(randomBytes(32)));
    const kbpk = components.reduce<Uint8Array>((sum, one) => xorBytes(sum, one), new Uint8Array(32));
    const answers = components.flatMap((one, at) => [
      ['Aiko', 'Ben', 'Chiyo'][at],
      hex(one),
      hex(aesKcv(one)),
    ]);
    const transcript = join(folder, 'kbpk-1.ceremony');
    const held = cardwrightFed(
      [...answers, hex(aesKcv(kbpk)), ''].join('\n'),
      ...['ceremony', 'hold', 'kbpk/1', '--usage', 'KBPK', '--algorithm', 'AES-256', '--witness', 'Wanda'],
      ...['--witness-key', witness, '--transcript', transcript, ...vault],
    );
    assert.match(held.stdout, /Stored kbpk\/1, check value AES-CMAC-0:/, held.stderr);
    for (const one of [kbpk, ...components]) assert.equal(held.stdout.includes(hex(one)), false);
    const verified = cardwright('ceremony', 'verify', transcript, '--witness', `${witness}.pub`);
    assert.match(verified.stdout, /^completed: kbpk\/1 .* kept in PKCS#11 token /);

    const file = join(folder, 'cvk.block');
    await writeFile(file, await cvkBlock(t, kbpk));
    const naming = ['--name', 'cvk/1', '--kbpk', 'kbpk/1', '--custodian', 'Aiko', ...vault];
    assert.match(cardwright('import', file, ...naming).stdout, /Imported cvk\/1, check value TDES-ECB-0:/);
    const leaving = cardwright('export', 'cvk/1', '--kbpk', 'kbpk/1', ...vault);
    assert.deepEqual([leaving.status, leaving.stderr], [1, 'key cvk/1 does not leave the token\n']);
    const issuer = ['issuer/1', '--usage', 'ISSUER', '--bits', '1152', '--custodian', 'Ben', ...vault];
    assert.match(cardwright('generate', ...issuer).stdout, /Made issuer\/1/);
    assert.match(cardwright('generate', ...issuer).stderr, /exists already/);
    assert.match(cardwright('rotate', 'cvk', '--overlap-days', '30', ...vault).stdout, /Made cvk\/2/);
    assert.equal(cardwright('retire', 'cvk/1', ...vault).status, 0);
    const order = ['--by', 'Aiko', 'Ben', '--reason', 'end of life', ...vault];
    assert.equal(cardwright('destroy', 'kbpk/1', ...order).status, 0);
    assert.deepEqual(inventory(config), [
      'kbpk/1 destroyed ceremony',
      'cvk/1 retired key-block',
      'issuer/1 active generated',
      'cvk/2 active generated',
    ]);

    const keys = await open();
    t.after(() => keys.close());
    assert.match(cardwright('list', ...vault).stderr, /the key register is in use by another process/);
    const card = ['9999001234567892', '3512', '201'] as const;
    await assert.rejects(keys.cvv(await keys.find('cvk/1'), ...card), { code: 'KEY_RETIRED' });
    assert.match(await keys.cvv(await keys.find('cvk/2'), ...card), /^\d{3}$/);
    await assert.rejects(keys.find('kbpk/1'), { code: 'KEY_NOT_FOUND' });
  });
}
