import assert from 'node:assert/strict';
import { type ChildProcess, spawn, spawnSync } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { type TestContext, test } from 'node:test';
import { fileURLToPath } from 'node:url';
import { openSoftwareKeys, type SoftwareKeys } from '@cardwright/keys';

const main = fileURLToPath(new URL('../src/main.ts', import.meta.url));

interface Vault {
  readonly folder: string;
  readonly config: string;
  readonly open: () => Promise<SoftwareKeys>;
}

async function vault(t: TestContext): Promise<Vault> {
  const folder = await mkdtemp(join(tmpdir(), 'cardwright-key-commands-'));
  t.after(() => rm(folder, { recursive: true, force: true }));
  const masterKey = randomBytes(32);
  await writeFile(join(folder, 'master.key'), masterKey);
  const config = join(folder, 'config.json');
  const members = { environment: 'sandbox', dataFolder: 'data', masterKeyFile: 'master.key' };
  await writeFile(config, JSON.stringify(members));
  const open = (): Promise<SoftwareKeys> =>
    openSoftwareKeys({
      folder: join(folder, 'data', 'keys'),
      masterKey,
      environment: 'test',
      isExclusive: true,
    });
  return { folder, config, open };
}

function cardwright(...args: string[]): { status: number | null; stdout: string; stderr: string } {
  return spawnSync(process.execPath, [main, 'key', ...args], { encoding: 'utf8' });
}

test('keys are listed, rotated, retired, exported, imported and destroyed offline', async (t) => {
  const { folder, config, open } = await vault(t);
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

/** A command at a terminal of its own (`script`, util-linux): waits for a text, then types. */
class Typist {
  readonly #process: ChildProcess;
  #screen = '';
  #seen = 0;
  #wake: (() => void) | undefined;

  constructor(args: readonly string[]) {
    const command = [process.execPath, main, 'key', ...args].map((part) => `'${part}'`).join(' ');
    this.#process = spawn('script', ['-qefc', command, '/dev/null'], { stdio: ['pipe', 'pipe', 'inherit'] });
    this.#process.stdout?.on('data', (chunk: Buffer) => {
      this.#screen += chunk.toString('utf8');
      this.#wake?.();
    });
    this.ended = new Promise((resolve) => {
      this.#process.on('close', (code) => {
        this.#wake?.();
        resolve(code);
      });
    });
  }

  readonly ended: Promise<number | null>;

  get screen(): string {
    return this.#screen;
  }

  /** Waits until the text comes after all that was waited for before. */
  async sees(text: string): Promise<void> {
    for (;;) {
      const at = this.#screen.indexOf(text, this.#seen);
      if (at !== -1) {
        this.#seen = at + text.length;
        return;
      }
      assert.equal(this.#process.exitCode, null, `the command ended before "${text}": ${this.#screen}`);
      await new Promise<void>((resolve) => {
        this.#wake = resolve;
      });
    }
  }

  types(line: string): void {
    this.#process.stdin?.write(`${line}\r`);
  }
}

/** Check values of the two components and of their sum, from the published key-check-value vectors' algorithm. */
const first = '0123456789ABCDEFFEDCBA9876543210';
const firstCheck = '08D7B4';
const second = 'FEDCBA98765432100123456789ABCDEF';
const secondCheck = '7B8358';

test('a ceremony at a terminal: nothing secret is echoed, and the transcript is verified offline', async (t) => {
  const { folder, config, open } = await vault(t);
  const witness = join(folder, 'witness.pem');
  assert.equal(cardwright('ceremony', 'witness', witness).status, 0);
  const transcript = join(folder, 'kmc.ceremony');
  const args = [
    'ceremony',
    'hold',
    'kmc/1',
    '--usage',
    'KMC',
    '--algorithm',
    'TDES-2KEY',
    '--components',
    '3',
  ];
  const signed = [
    '--witness',
    'Wanda',
    '--witness-key',
    witness,
    '--transcript',
    transcript,
    '--vault',
    config,
  ];
  const third = '1122334455667788AABBCCDDEEFF0011';
  const piped = spawnSync(process.execPath, [main, 'key', ...args, ...signed], {
    input: first,
    encoding: 'utf8',
  });
  assert.match(piped.stderr, /needs a terminal/);

  const typist = new Typist([...args, ...signed]);
  const visits = [
    ['Aiko', first, firstCheck],
    ['Ben', second, secondCheck],
    ['Chiyo', third, await checkValueOf(third)],
  ] as const;
  for (const [custodian, component, check] of visits) {
    await typist.sees("Custodian's name:");
    if (custodian === 'Ben') {
      typist.types('aiko');
      await typist.sees('has entered a component already');
      await typist.sees("Custodian's name:");
    }
    typist.types(custodian);
    await typist.sees('(not shown):');
    typist.types(component);
    await typist.sees('from the paper:');
    typist.types(check);
    await typist.sees('is in.');
  }
  await typist.sees('from the letter:');
  // The first two cancel out but for their bits: all ones, so the key is the complement of the third.
  const sum = [...Buffer.from(third, 'hex')]
    .map((byte) => (byte ^ 0xff).toString(16).padStart(2, '0'))
    .join('');
  typist.types(await checkValueOf(sum));
  assert.equal(await typist.ended, 0, typist.screen);

  const shown = typist.screen.toUpperCase() + (await readFile(transcript, 'utf8')).toUpperCase();
  for (const secret of [first, second, third, sum.toUpperCase()]) assert.equal(shown.includes(secret), false);
  const verified = cardwright('ceremony', 'verify', transcript, '--witness', `${witness}.pub`);
  assert.match(verified.stdout, /^completed: kmc\/1 \(KMC\).*1: aiko, 2: ben, 3: chiyo/);
  await writeFile(transcript, (await readFile(transcript, 'utf8')).replace('ben', 'bob'));
  const changed = cardwright('ceremony', 'verify', transcript, '--witness', `${witness}.pub`);
  assert.deepEqual([changed.status, /signature/.test(changed.stderr)], [1, true]);

  const keys = await open();
  t.after(() => keys.close());
  assert.equal(keys.inventory()[0]?.origin, 'ceremony');
  assert.deepEqual(
    keys.componentsKnown('kmc').map(({ component, custodian }) => `${component} ${custodian}`),
    ['1 aiko', '2 ben', '3 chiyo'],
  );
});

/** The 3DES check value, by another folder's adapter. */
async function checkValueOf(component: string): Promise<string> {
  const folder = await mkdtemp(join(tmpdir(), 'cardwright-check-value-'));
  const keys = await openSoftwareKeys({ folder, masterKey: randomBytes(32), environment: 'test' });
  try {
    const value = Buffer.from(component, 'hex');
    const handle = await keys.ensure('kmc/1', { algorithm: 'TDES-2KEY', usage: 'KMC', value });
    return Buffer.from(await keys.kcv(handle)).toString('hex');
  } finally {
    await keys.close();
    await rm(folder, { recursive: true, force: true });
  }
}
