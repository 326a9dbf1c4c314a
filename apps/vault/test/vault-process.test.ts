/** The vault as a process: first start, kill -9, restart with the same keys, and what it refuses to start with. */
import assert from 'node:assert/strict';
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { readdir, readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { describe, it } from 'node:test';
import { ConfigError } from '@cardwright/runtime';
import {
  type PayloadAnswer,
  type PrepareAnswer,
  type StationPayload,
  vaultPaths,
} from '@cardwright/protocol';
import { compactDecrypt, exportJWK, generateKeyPair } from 'jose';
import { readVaultConfig } from '../src/config.ts';
import {
  connect,
  makeVaultFolder,
  prepareRequest,
  removeVaultFolder,
  type RunningVault,
  runVault,
  type VaultFolder,
} from './vault-fixture.ts';

const main = join(import.meta.dirname, '../src/main.ts');

function spawnVault(place: VaultFolder, environment: Record<string, string> = {}): ChildProcess {
  return spawn(process.execPath, [main, '--config', place.configFile], {
    stdio: ['ignore', 'pipe', 'pipe'],
    env: { ...process.env, ...environment },
  });
}

/** Origin from the `vault.listening` line; rejects when the process ends first. */
async function listening(child: ChildProcess): Promise<string> {
  assert(child.stdout);
  for await (const line of createInterface({ input: child.stdout })) {
    const record = JSON.parse(line) as { event: string; origin?: string };
    if (record.event === 'vault.listening' && record.origin !== undefined) return record.origin;
  }
  throw new Error('the vault ended before it listened');
}

async function kill(child: ChildProcess): Promise<void> {
  if (child.exitCode !== null || child.signalCode !== null) return;
  const ended = once(child, 'exit');
  child.kill('SIGKILL');
  await ended;
}

async function publicKeys(place: VaultFolder, origin: string): Promise<string> {
  const client = await connect(place, origin, place.client);
  const { body } = await client.request({ method: 'GET', path: vaultPaths.publicKeys });
  await client.close();
  return body;
}

/** Hashes of the records of file 2, which hold the card's certificate, as a station gets them. */
async function certificateHashes(vault: RunningVault, sealedPlan: string): Promise<string> {
  const { publicKey, privateKey } = await generateKeyPair('ECDH-ES', { crv: 'P-256', extractable: true });
  const request = { sealedPlan, jobId: 'job-1', epoch: 1, stationId: 'KIOSK-PS-101' };
  const stationKey = await exportJWK(publicKey);
  const answer = await vault.post(vaultPaths.payload, {
    ...request,
    stationKey,
    expiresAt: Date.now() + 60_000,
  });
  const { plaintext } = await compactDecrypt((answer.json as PayloadAnswer).payload, privateKey);
  const payload = JSON.parse(new TextDecoder().decode(plaintext)) as StationPayload;
  const certificates = payload.verification.records.filter(({ sfi }) => sfi === 2);
  assert(certificates.length > 0);
  return certificates.map(({ sha256 }) => sha256).join();
}

describe('the vault process', () => {
  it('keeps its keys over kill -9: same public keys, and an old plan still opens', async () => {
    const place = await makeVaultFolder();
    const first = spawnVault(place);
    const before = await publicKeys(place, await listening(first));
    await kill(first);

    const second = await runVault(place);
    const prepared = (await second.post(vaultPaths.prepare, await prepareRequest(second)))
      .json as PrepareAnswer;
    assert(prepared.result === 'prepared');
    await second.stop();

    const third = await runVault(place);
    assert.equal((await third.get(vaultPaths.publicKeys)).text, before);
    const job = { jobId: 'job-1', epoch: 1, stationId: 'KIOSK-PS-101', sealedPlan: prepared.sealedPlan };
    assert.equal((await third.post(vaultPaths.chipBegin, job)).status, 200);
    const again = (await third.post(vaultPaths.prepare, await prepareRequest(third))).json as PrepareAnswer;
    assert(again.result === 'prepared');
    assert.equal(again.panToken, prepared.panToken);
    await third.stop();
    await removeVaultFolder(place);
  });

  it('killed before it answers can be asked again, and every plan has a certificate of its own', async () => {
    const place = await makeVaultFolder();
    const helper = await runVault(place);
    const order = await prepareRequest(helper);
    await helper.stop();
    const child = spawnVault(place, { CARDWRIGHT_CRASH_AT: 'vault.prepare.before-answer' });
    const client = await connect(place, await listening(child), place.client);
    const ended = once(child, 'exit');
    await assert.rejects(client.request({ method: 'POST', path: vaultPaths.prepare, json: order }));
    assert.deepEqual(await ended, [null, 'SIGKILL']);
    await client.close();
    const vault = await runVault(place);
    const answers = [
      await vault.post(vaultPaths.prepare, order),
      await vault.post(vaultPaths.prepare, order),
    ];
    const plans = answers.map(
      ({ json }) => (json as Extract<PrepareAnswer, { result: 'prepared' }>).sealedPlan,
    );
    const certificates = await Promise.all(plans.map((plan) => certificateHashes(vault, plan)));
    assert.notEqual(certificates[0], certificates[1]);
    await vault.stop();
    await removeVaultFolder(place);
  });

  it('starts after a kill at any moment of its first start', async () => {
    const place = await makeVaultFolder();
    // Each round dies as soon as one more file of the first start exists.
    for (let files = 1; files <= 12; files += 3) {
      const child = spawnVault(place);
      const ended = once(child, 'exit');
      const count = async (): Promise<number> =>
        (await readdir(join(place.folder, 'data/keys')).catch(() => [])).length;
      const deadline = Date.now() + 30_000;
      while ((await count()) < files) assert(Date.now() < deadline, 'the first start makes keys');
      child.kill('SIGKILL');
      await ended;
    }
    const vault = await runVault(place);
    const answer = (await vault.post(vaultPaths.prepare, await prepareRequest(vault))).json as PrepareAnswer;
    assert.equal(answer.result, 'prepared');
    await vault.stop();
    await removeVaultFolder(place);
  });

  it('leaves no key of the master key file, and no published card key, in the clear in its folder', async () => {
    const place = await makeVaultFolder();
    const vault = await runVault(place);
    await vault.stop();
    const master = await readFile(join(place.folder, 'master.key'));
    const published = Buffer.from('404142434445464748494A4B4C4D4E4F', 'hex');
    const names = await readdir(join(place.folder, 'data'), { recursive: true, withFileTypes: true });
    const files = names.filter((entry) => entry.isFile());
    assert(files.length > 10);
    for (const file of files) {
      const bytes = await readFile(join(file.parentPath, file.name));
      assert(!bytes.includes(master) && !bytes.includes(published), file.name);
    }
    await removeVaultFolder(place);
  });

  it('does not start with a changed issuer certificate', async () => {
    const place = await makeVaultFolder();
    await (await runVault(place)).stop();
    const folder = join(place.folder, 'data/certificates');
    const [name] = await readdir(folder);
    assert(name);
    const certificate = JSON.parse(await readFile(join(folder, name), 'utf8')) as { certificate: string };
    const changed = certificate.certificate.replace(/^../, '00');
    await writeFile(join(folder, name), JSON.stringify({ ...certificate, certificate: changed }));
    await assert.rejects(runVault(place), /does not fit the keys/);
    await removeVaultFolder(place);
  });
});

describe('the configuration', () => {
  it('names every fault at once and no value', async () => {
    const place = await makeVaultFolder({
      issuerIds: [],
      testPanPrefixes: ['12'],
      listener: { host: '127.0.0.1', port: 70000, clientCaFile: 'ca.pem' },
      more: 1,
    });
    assert.throws(
      () => readVaultConfig(place.configFile),
      (error) => {
        assert(error instanceof ConfigError);
        const text = error.faults.join('\n');
        for (const name of ['issuerIds', 'testPanPrefixes', 'listener.port', 'more']) {
          assert(text.includes(name), name);
        }
        assert(!text.includes('70000'));
        return true;
      },
    );
    await removeVaultFolder(place);
  });

  it('for production is refused: keys in software and published card keys are for the sandbox', async () => {
    const place = await makeVaultFolder({ environment: 'production' });
    const child = spawnVault(place);
    const [code] = (await once(child, 'exit')) as [number];
    assert.equal(code, 78);
    assert.deepEqual(await readdir(join(place.folder, 'data')).catch(() => []), []);
    await removeVaultFolder(place);
  });

  it('with a master key of the wrong size is refused', async () => {
    const place = await makeVaultFolder();
    await writeFile(join(place.folder, 'master.key'), Buffer.alloc(31));
    await assert.rejects(runVault(place), ConfigError);
    await removeVaultFolder(place);
  });
});
