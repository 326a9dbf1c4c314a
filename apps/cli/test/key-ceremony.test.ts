import assert from 'node:assert/strict';
import { type ChildProcess, spawn, spawnSync } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { hex, unhex, xorBytes } from '@cardwright/emv';
import { openSoftwareKeys } from '@cardwright/keys';
import { cardwright, cardwrightFed, main, makeVault } from './key-fixture.ts';

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
  const { folder, config, open } = await makeVault(t);
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
  assert.equal(keys.management.inventory()[0]?.origin, 'ceremony');
  assert.deepEqual(
    keys.management.componentsKnown('kmc').map(({ component, custodian }) => `${component} ${custodian}`),
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

test('a ceremony from a pipe makes the same key in a sandbox, shows nothing that was piped, and an end too early ends it', async (t) => {
  const { folder, config, open } = await makeVault(t);
  const witness = join(folder, 'witness.pem');
  cardwright('ceremony', 'witness', witness);
  const args = (name: string): string[] => [
    ...['ceremony', 'hold', name, '--usage', 'PVK', '--algorithm', 'TDES-2KEY', '--components', '2'],
    ...['--witness', 'Wanda', '--witness-key', witness, '--vault', config],
    ...['--transcript', join(folder, `${name.replace('/', '-')}.ceremony`)],
  ];
  const third = '1122334455667788AABBCCDDEEFF0011';
  const sum = xorBytes(unhex(first), unhex(third));
  const lines = ['Aiko', first, firstCheck, 'Ben', third, await checkValueOf(third)];
  const whole = [...lines, await checkValueOf(hex(sum)), ''].join('\n');
  const done = cardwrightFed(whole, ...args('pvk/1'));
  assert.deepEqual([done.status, done.stderr], [0, '']);
  assert.match(done.stdout, /Stored pvk\/1, check value TDES-ECB-0:/);
  for (const secret of [first, third]) assert.equal(done.stdout.includes(secret), false);

  const cut = cardwrightFed([...lines, ''].join('\n'), ...args('pvk/2'));
  assert.deepEqual([cut.status, cut.stderr], [1, 'the ceremony was interrupted\n']);
  const verified = cardwright(
    ...['ceremony', 'verify', join(folder, 'pvk-1.ceremony'), join(folder, 'pvk-2.ceremony')],
    ...['--witness', `${witness}.pub`],
  );
  assert.match(verified.stdout, /^completed: pvk\/1 .*\nabandoned: pvk\/2 /);
  const again = cardwrightFed(['Ben', ''].join('\n'), ...args('pvk/3'));
  assert.match(again.stdout, /known another component of this key, now or earlier/);

  const keys = await open();
  t.after(() => keys.close());
  assert.deepEqual(
    keys.management.inventory().map(({ name, usage }) => `${name} ${usage}`),
    ['pvk/1 PVK'],
  );
});

test('in production a ceremony takes nothing but a terminal', () => {
  const module = new URL('../src/keys/ceremony-terminal.ts', import.meta.url).href;
  const program = `const { CeremonyTerminal } = await import('${module}'); new CeremonyTerminal('production');`;
  const { status, stderr } = spawnSync(process.execPath, ['--input-type=module', '--eval', program], {
    input: first,
    encoding: 'utf8',
  });
  assert.deepEqual([status, stderr.includes('a ceremony needs a terminal')], [1, true]);
});
