/**
 * A PKCS#11 module that hangs or takes the vault with it: the process ends with a code of its own, starts again,
 * and the repeated request is answered. The module is made to hang by what makes SoftHSM wait in the field: a file
 * lock of another process.
 */
import assert from 'node:assert/strict';
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { closeSync, openSync, readdirSync, readFileSync } from 'node:fs';
import { readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { describe, it, type TestContext } from 'node:test';
import { setTimeout as pause } from 'node:timers/promises';
import { type PrepareAnswer, vaultPaths, VaultStatus, check } from '@cardwright/protocol';
import { ConfigError } from '@cardwright/runtime';
import koffi from 'koffi';
import { readVaultConfig } from '../src/config.ts';
import {
  connect,
  makeVaultFolder,
  prepareRequest,
  removeVaultFolder,
  runVault,
  useToken,
  type VaultFolder,
} from './vault-fixture.ts';

const main = join(import.meta.dirname, '../src/main.ts');
/** lockf(3): 1 waits for the lock of the whole file. */
const lockf = koffi.load(null).func('lockf', 'int', ['int', 'int', 'long']) as (
  file: number,
  command: number,
  length: number,
) => number;

interface VaultChild {
  readonly process: ChildProcess;
  readonly origin: string;
  readonly lines: string[];
}

async function start(t: TestContext, place: VaultFolder): Promise<VaultChild> {
  const child = spawn(process.execPath, [main, '--config', place.configFile], {
    stdio: ['ignore', 'pipe', 'pipe'],
  });
  t.after(() => child.kill('SIGKILL'));
  const lines: string[] = [];
  const { promise, resolve, reject } = Promise.withResolvers<string>();
  createInterface({ input: child.stdout }).on('line', (line) => {
    lines.push(line);
    const record = JSON.parse(line) as { event: string; origin?: string };
    if (record.event === 'vault.listening') resolve(record.origin ?? '');
  });
  child.once('exit', () => {
    reject(new Error('the vault ended before it listened'));
  });
  return { process: child, origin: await promise, lines };
}

async function limitCalls({ configFile }: VaultFolder, callLimitMs: number): Promise<void> {
  const config = JSON.parse(await readFile(configFile, 'utf8')) as { keys: Record<string, unknown> };
  await writeFile(configFile, JSON.stringify({ ...config, keys: { ...config.keys, callLimitMs } }));
}

/** Holds the locks of every file of the token until the returned function is called. */
function lockToken(place: VaultFolder): () => void {
  const tokens = join(place.folder, 'token/tokens');
  const [token = ''] = readdirSync(tokens);
  const files = readdirSync(join(tokens, token)).map((name) => openSync(join(tokens, token, name), 'r+'));
  for (const file of files) assert.equal(lockf(file, 1, 0), 0);
  return () => {
    for (const file of files) closeSync(file);
  };
}

/** The kernel lists a waiting process behind an arrow. */
async function waitsForLock({ process: child }: VaultChild): Promise<void> {
  const deadline = Date.now() + 20_000;
  const waiting = new RegExp(`-> POSIX .* ${String(child.pid)} `);
  while (!waiting.test(readFileSync('/proc/locks', 'utf8'))) {
    assert(Date.now() < deadline, 'the vault calls the token');
    await pause(20);
  }
}

async function post(place: VaultFolder, { origin }: VaultChild, order: unknown): Promise<PrepareAnswer> {
  const client = await connect(place, origin, place.client);
  try {
    const { body } = await client.request({ method: 'POST', path: vaultPaths.prepare, json: order });
    return JSON.parse(body) as PrepareAnswer;
  } finally {
    await client.close();
  }
}

describe('a key module', () => {
  it('that hangs ends the vault with code 75, and the repeated request is answered', async (t) => {
    const place = await makeVaultFolder({ iccKeyPoolSize: 0 });
    t.after(() => removeVaultFolder(place));
    await useToken(place, 'softhsm');
    const helper = await runVault(place);
    const order = await prepareRequest(helper);
    await helper.stop();
    // Not before the keys are made: generating one may rightly take seconds.
    await limitCalls(place, 5_000);

    const first = await start(t, place);
    const unlock = lockToken(place);
    const ended = once(first.process, 'exit');
    const refused = assert.rejects(post(place, first, order));
    assert.deepEqual(await ended, [75, null]);
    await refused;
    const lastWords = JSON.parse(first.lines.at(-1) ?? '{}') as { event: string; function: string };
    assert.equal(lastWords.event, 'vault.key-module-hangs');
    assert.match(lastWords.function, /^C_/);
    unlock();

    const second = await start(t, place);
    assert.equal((await post(place, second, order)).result, 'prepared');
  });

  it('killed in the middle of an operation loses nothing: the same plan opens, the order is prepared', async (t) => {
    const place = await makeVaultFolder({ iccKeyPoolSize: 0 });
    t.after(() => removeVaultFolder(place));
    await useToken(place, 'softhsm');
    const helper = await runVault(place);
    const order = await prepareRequest(helper);
    const before = (await helper.post(vaultPaths.prepare, order)).json as PrepareAnswer;
    assert(before.result === 'prepared');
    await helper.stop();

    const first = await start(t, place);
    const unlock = lockToken(place);
    const ended = once(first.process, 'exit');
    const refused = assert.rejects(post(place, first, order));
    await waitsForLock(first);
    first.process.kill('SIGKILL');
    await ended;
    await refused;
    unlock();

    const again = await runVault(place);
    t.after(() => again.stop());
    const answer = (await again.post(vaultPaths.prepare, order)).json as PrepareAnswer;
    assert(answer.result === 'prepared');
    assert.equal(answer.panToken, before.panToken);
    const job = { jobId: 'job-1', epoch: 1, stationId: 'KIOSK-PS-101', sealedPlan: before.sealedPlan };
    assert.equal((await again.post(vaultPaths.chipBegin, job)).status, 200);
  });
});

describe('the status', () => {
  it('names the token and every operation that shows key bytes to the vault', async (t) => {
    const place = await makeVaultFolder({ iccKeyPoolSize: 0 });
    t.after(() => removeVaultFolder(place));
    await useToken(place, 'softhsm');
    const vault = await runVault(place);
    t.after(() => vault.stop());
    const checked = check(VaultStatus, (await vault.get(vaultPaths.status)).json);
    assert(checked.ok);
    const { adapter, token, operations } = checked.value.keys;
    assert.equal(adapter, 'pkcs11');
    assert.equal(token?.model, 'SoftHSM v2');
    assert.notEqual(token.firmwareVersion, '');
    const seen = operations.filter(({ keyBytes }) => keyBytes === 'host').map(({ operation }) => operation);
    assert.deepEqual(seen, [
      'wrapForCard/TDES-ECB',
      'wrapRsaForCard',
      'checkPinBlock',
      'pvv',
      'wrapPinForCard',
      'openJwe',
      'holdCeremony',
      'importKeyBlock',
    ]);
    assert(operations.every(({ result }) => result === 'passed'));
    const opened = vault
      .log()
      .split('\n')
      .find((line) => line.includes('"vault.keys-opened"'));
    assert(opened?.includes('SoftHSM v2'));
  });
});

describe('a vault whose token may show no key bytes', () => {
  it('does not start, and names what it would need', async (t) => {
    const place = await makeVaultFolder({ iccKeyPoolSize: 0 });
    t.after(() => removeVaultFolder(place));
    await useToken(place, 'softhsm', { allowHostKeyBytes: false });
    await assert.rejects(
      runVault(place),
      /refuses what is needed: .*wrapRsaForCard: it needs key bytes in the host, which is forbidden .*; see keys\.allowHostKeyBytes/,
    );
  });

  it('starts when what its products need is named, and serves the channel that stays inside', async (t) => {
    const place = await makeVaultFolder({ iccKeyPoolSize: 0 });
    t.after(() => removeVaultFolder(place));
    const needed = ['wrapRsaForCard', 'openJwe', 'checkPinBlock', 'wrapPinForCard'];
    await useToken(place, 'softhsm', { allowHostKeyBytes: needed });
    const vault = await runVault(place);
    t.after(() => vault.stop());
    const answer = (await vault.post(vaultPaths.prepare, await prepareRequest(vault))).json as PrepareAnswer;
    assert.equal(answer.result, 'prepared');
    const refused = vault
      .log()
      .split('\n')
      .filter((line) => line.includes('"vault.key-operation-refused"'));
    const names = refused.map((line) => (JSON.parse(line) as { operation: string }).operation);
    assert.deepEqual(names, ['wrapForCard/TDES-ECB', 'pvv', 'holdCeremony', 'importKeyBlock']);
  });
});

describe('production', () => {
  it('takes no keys in software, and no blanket permission for key bytes', async (t) => {
    const software = await makeVaultFolder({ environment: 'production' });
    t.after(() => removeVaultFolder(software));
    assert.throws(() => readVaultConfig(software.configFile), ConfigError);
    const token = await makeVaultFolder({ environment: 'production' });
    t.after(() => removeVaultFolder(token));
    await useToken(token, 'softhsm', { allowHostKeyBytes: true });
    assert.throws(() => readVaultConfig(token.configFile), /production names the operations/);
  });

  it('does not start without its master keys in the token, and names each', async (t) => {
    const place = await makeVaultFolder({ environment: 'production', iccKeyPoolSize: 0 });
    t.after(() => removeVaultFolder(place));
    await useToken(place, 'softhsm', { allowHostKeyBytes: ['wrapRsaForCard', 'openJwe'] });
    await assert.rejects(runVault(place), (error) => {
      assert(error instanceof ConfigError);
      const text = error.faults.join('\n');
      for (const name of ['imk-ac/1', 'cvk/1', 'kmc-scp03/1', 'ca/1']) assert(text.includes(name), name);
      return true;
    });
  });
});
