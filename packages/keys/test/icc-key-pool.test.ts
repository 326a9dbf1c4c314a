import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { DatabaseSync } from 'node:sqlite';
import { type TestContext, test } from 'node:test';
import { setImmediate as immediately } from 'node:timers/promises';
import { hex } from '@cardwright/emv';
import { type IccKeyPool, type KeyHandle, openIccKeyPool, type SoftwareKeys } from '../src/index.ts';
import { openTestKeys, temporaryFolder } from './key-fixture.ts';

const bits = 1024;

interface PoolFixture {
  readonly keys: SoftwareKeys;
  readonly sealKey: KeyHandle;
  readonly file: string;
  readonly faults: unknown[];
  readonly open: (targetSize: number) => IccKeyPool;
}

async function poolFixture(t: TestContext): Promise<PoolFixture> {
  const { keys } = await openTestKeys(t);
  const sealKey = await keys.ensure('seal/1', { algorithm: 'AES-256', usage: 'SEAL' });
  const file = join(await temporaryFolder(t), 'icc-keys.sqlite');
  const faults: unknown[] = [];
  const open = (targetSize: number): IccKeyPool => {
    const onFault = (fault: unknown): void => void faults.push(fault);
    const pool = openIccKeyPool({ keys, sealKey, file, sizes: [{ bits, targetSize }], exponent: 3, onFault });
    t.after(() => pool.close());
    return pool;
  };
  return { keys, sealKey, file, faults, open };
}

async function modulusOf(keys: SoftwareKeys, key: KeyHandle): Promise<string> {
  return hex((await keys.rsaPublic(key)).modulus);
}

test('the pool fills to its target and gives each key once, also over a restart', async (t) => {
  const { keys, open, faults } = await poolFixture(t);
  const pool = open(4);
  await pool.filled();
  assert.equal(pool.size(), 4);
  const seen: string[] = [];
  for (let index = 0; index < 6; index++) seen.push(await modulusOf(keys, await pool.take(bits)));
  await pool.filled();
  assert.equal(pool.size(), 4);
  await pool.close();

  const again = open(0);
  assert.equal(again.size(), 4);
  for (let index = 0; index < 6; index++) {
    const key = await again.take(bits);
    assert.equal(key.source, index < 4 ? 'pool' : 'generated');
    assert.equal(key.usage, 'ICC');
    seen.push(await modulusOf(keys, key));
  }
  assert.equal(new Set(seen).size, seen.length);
  assert.deepEqual(faults, []);
});

test('keys taken at the same time are different keys', async (t) => {
  const { keys, open } = await poolFixture(t);
  const pool = open(3);
  await pool.filled();
  const taken = await Promise.all([1, 2, 3, 4, 5].map(() => pool.take(bits)));
  const moduli = await Promise.all(taken.map((key) => modulusOf(keys, key)));
  assert.equal(new Set(moduli).size, 5);
});

test('a size the pool does not hold is made on demand', async (t) => {
  const { keys, open } = await poolFixture(t);
  const pool = open(0);
  const key = await pool.take(1152);
  assert.equal(key.source, 'generated');
  assert.equal((await keys.rsaPublic(key)).modulus.length, 144);
});

test('an entry that was changed or moved is dropped, never handed out', async (t) => {
  const { open, file, faults } = await poolFixture(t);
  const pool = open(3);
  await pool.filled();
  await pool.close();
  const database = new DatabaseSync(file);
  const ids = database
    .prepare('SELECT id FROM icc_key ORDER BY rowid')
    .all()
    .map((row) => String(row['id']));
  const [first, second, third] = ids;
  assert.ok(first !== undefined && second !== undefined && third !== undefined);
  database
    .prepare('UPDATE icc_key SET sealed = (SELECT sealed FROM icc_key WHERE id = ?) WHERE id = ?')
    .run(third, first);
  database.prepare('UPDATE icc_key SET sealed = zeroblob(700) WHERE id = ?').run(second);
  database.close();
  const again = open(0);
  assert.equal((await again.take(bits)).source, 'pool');
  assert.equal(faults.length, 2);
  assert.equal(again.size(), 0);
});

test('a pool entry holds no RSA key in clear', async (t) => {
  const { open, file } = await poolFixture(t);
  const pool = open(1);
  await pool.filled();
  await pool.close();
  const database = new DatabaseSync(file);
  const sealed = database.prepare('SELECT sealed FROM icc_key').get()?.['sealed'];
  database.close();
  assert.ok(sealed instanceof Uint8Array && sealed.length > 500);
  // The DER of every RSA key carries this object identifier.
  assert.ok(!hex(sealed).includes('2A864886F70D010101'));
});

test('a closed pool gives nothing and can be closed again', async (t) => {
  const { open } = await poolFixture(t);
  const pool = open(1);
  await pool.close();
  await pool.close();
  await assert.rejects(pool.take(bits), { code: 'KEY_STORE' });
});

test('a fault while filling is told, and a later take fills again', async (t) => {
  const { keys, open, faults } = await poolFixture(t);
  const imk = await keys.ensure('imk-ac/1', { algorithm: 'TDES-2KEY', usage: 'IMK-AC' });
  const file = join(await temporaryFolder(t), 'icc-keys.sqlite');
  const broken = openIccKeyPool({
    keys,
    sealKey: imk,
    file,
    sizes: [{ bits, targetSize: 1 }],
    exponent: 3,
    onFault: (fault) => void faults.push(fault),
  });
  t.after(() => broken.close());
  await broken.filled();
  assert.equal(faults.length, 1);
  assert.equal((await broken.take(bits)).source, 'generated');
  await broken.filled();
  assert.equal(faults.length, 2);
  assert.equal(open(0).size(), 0);
});

test('no key of any size is given twice although the process is killed at any moment', async (t) => {
  const sizes = [bits, 1088];
  const { keys, options } = await openTestKeys(t);
  await keys.ensure('seal/1', { algorithm: 'AES-256', usage: 'SEAL' });
  const file = join(await temporaryFolder(t), 'icc-keys.sqlite');
  const script = new URL('icc-key-pool-child.ts', import.meta.url).pathname;
  const seen: string[] = [];
  let killed = 0;
  for (let round = 0; round < 5; round++) {
    const child = spawn(process.execPath, [script, options.folder, file, ...sizes.map(String)], {
      stdio: ['pipe', 'pipe', 'inherit'],
    });
    const exited = once(child, 'exit');
    child.stdin.end(Buffer.from(options.masterKey).toString('hex'));
    let lines = 0;
    for await (const line of createInterface({ input: child.stdout })) {
      seen.push(line);
      // Kill in the middle of the child's stream of takes and fills; lines already written still count.
      if (++lines === 3 + round) child.kill('SIGKILL');
    }
    const [, signal] = (await exited) as [number | null, string | null];
    if (signal === 'SIGKILL') killed++;
  }
  assert.equal(killed, 5);
  assert.ok(seen.length >= 25);
  const sealKey = await keys.find('seal/1');
  const pool = openIccKeyPool({ keys, sealKey, file, sizes: [], exponent: 3 });
  t.after(() => pool.close());
  for (const size of sizes) {
    for (let left = pool.size(size); left > 0; left--) {
      seen.push(await modulusOf(keys, await pool.take(size)));
    }
  }
  assert.equal(pool.size(), 0);
  for (const size of sizes) assert.ok(seen.some((modulus) => modulus.length === size / 4));
  assert.equal(new Set(seen).size, seen.length);
});

test('each size fills to its own target, the emptiest first, and tells what it did', async (t) => {
  const { keys, sealKey, file } = await poolFixture(t);
  const sizes = [
    { bits, targetSize: 4 },
    { bits: 1088, targetSize: 2 },
  ];
  const pool = openIccKeyPool({ keys, sealKey, file, sizes, exponent: 3 });
  t.after(() => pool.close());
  await pool.filled();
  const none = { takenFromPool: 0, madeOnDemand: 0, broken: 0 };
  assert.deepEqual(pool.status(), [
    { bits, targetSize: 4, ready: 4, ...none },
    { bits: 1088, targetSize: 2, ready: 2, ...none },
  ]);
  assert.equal(pool.size(), 6);
  assert.equal((await pool.take(1088)).source, 'pool');
  assert.equal((await pool.take(1152)).source, 'generated');
  await pool.filled();
  assert.deepEqual(pool.status(), [
    { bits, targetSize: 4, ready: 4, ...none },
    { bits: 1088, targetSize: 2, ready: 2, ...none, takenFromPool: 1 },
    { bits: 1152, targetSize: 0, ready: 0, ...none, madeOnDemand: 1 },
  ]);
});

test('an empty pool says so once, makes keys for a bounded number of callers and keeps the others in line', async (t) => {
  const { keys, sealKey, file } = await poolFixture(t);
  let making = 0;
  let most = 0;
  const counting = new Proxy(keys, {
    get: (target, name) => {
      if (name !== 'generateRsa') {
        const member: unknown = Reflect.get(target, name, target);
        return typeof member === 'function' ? (member.bind(target) as unknown) : member;
      }
      return async (...args: Parameters<SoftwareKeys['generateRsa']>) => {
        most = Math.max(most, ++making);
        return target.generateRsa(...args).finally(() => making--);
      };
    },
  });
  const empty: number[] = [];
  const pool = openIccKeyPool({
    keys: counting,
    sealKey,
    file,
    sizes: [{ bits, targetSize: 0 }],
    exponent: 3,
    maxOnDemand: 2,
    onEmpty: (size) => void empty.push(size),
  });
  t.after(() => pool.close());
  const taken = await Promise.all(Array.from({ length: 9 }, () => pool.take(bits)));
  const moduli = await Promise.all(taken.map((key) => modulusOf(keys, key)));
  assert.equal(new Set(moduli).size, 9);
  assert.equal(most, 2);
  assert.deepEqual(empty, [bits]);
  assert.equal(pool.status()[0]?.madeOnDemand, 9);
});

test('who waits for a key when the pool closes is refused', async (t) => {
  const { keys, sealKey, file } = await poolFixture(t);
  const pool = openIccKeyPool({ keys, sealKey, file, sizes: [], exponent: 3, maxOnDemand: 1 });
  const [first, second] = [pool.take(bits), pool.take(bits)];
  const refused = assert.rejects(second, { code: 'KEY_STORE' });
  // Both found the pool empty: the first makes its key, the second stands in line.
  await immediately();
  await pool.close();
  await refused;
  assert.equal((await first).source, 'generated');
});
