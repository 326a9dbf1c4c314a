/**
 * A hundred cards with PINs, then a look into the memory of server and agent and into every file: no PIN, no key,
 * and in the server no card number (I7, I8). The keys are known to this test because it put them there; the scan
 * proves itself on the vault, whose memory must hold them.
 */
import assert from 'node:assert/strict';
import { randomBytes, randomInt } from 'node:crypto';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { luhnCheckDigit } from '@cardwright/domain';
import { deriveUdk, encipherPinBlockFormat4, hex, oddParity, unhex } from '@cardwright/emv';
import { openSoftwareKeys } from '@cardwright/keys';
import { type Canary, scanForCanaries, scanProcessMemory } from '@cardwright/testkit';
import { provisionSandbox } from '../../apps/cli/src/sandbox/provision.ts';
import { freePorts } from '../../apps/cli/src/sandbox/free-ports.ts';
import { type Sandbox, startSandbox } from '../../apps/cli/src/sandbox/sandbox.ts';
import { awaitFinished } from './sandbox-fixture.ts';

/** Fewer only to try the test itself; CI makes the hundred. */
const cards = Number(process.env['CARDWRIGHT_CANARY_CARDS'] ?? '100');
/** Orders on their way at a time: the station makes one card after the other, the rest is ready when it is. */
const inFlight = 4;
const cardLimitMs = 300_000;
const digits = (count: number): string => Array.from({ length: count }, () => String(randomInt(10))).join('');

/** Card numbers and PINs share long random beginnings, so that one needle finds any of them. */
const panStart = `999900${digits(6)}`;
const pinStart = digits(9);
const numbered = Array.from({ length: cards }, (_, index) => {
  const body = panStart + String(index).padStart(3, '0');
  return { pan: body + luhnCheckDigit(body), pin: pinStart + String(index).padStart(3, '0') };
});

const secrets = {
  'imk-ac/1': oddParity(randomBytes(16)),
  'imk-smi/1': oddParity(randomBytes(16)),
  'imk-smc/1': oddParity(randomBytes(16)),
  'cvk/1': oddParity(randomBytes(16)),
  'pvk/1': oddParity(randomBytes(16)),
  'pin/ISS0000001/1': randomBytes(32),
} as const;
const usages = {
  'imk-ac/1': 'IMK-AC',
  'imk-smi/1': 'IMK-SMI',
  'imk-smc/1': 'IMK-SMC',
  'cvk/1': 'CVK',
  'pvk/1': 'PVK',
  'pin/ISS0000001/1': 'PIN',
} as const;

async function plantKeys(vaultFolder: string): Promise<void> {
  const keys = await openSoftwareKeys({
    folder: join(vaultFolder, 'data', 'keys'),
    masterKey: readFileSync(join(vaultFolder, 'master.key')),
    environment: 'test',
  });
  for (const [name, value] of Object.entries(secrets) as [keyof typeof secrets, Uint8Array][]) {
    const algorithm = value.length === 32 ? 'AES-256' : 'TDES-2KEY';
    await keys.ensure(name, { algorithm, usage: usages[name], value });
  }
  await keys.close();
}

async function issue(sandbox: Sandbox, { pan, pin }: (typeof numbered)[number]): Promise<void> {
  const key = secrets['pin/ISS0000001/1'];
  const block = encipherPinBlockFormat4(key, Uint8Array.from(pin, Number), pan, randomBytes(8));
  const pinBlock = { format: 'ISO9564-4', value: hex(block), keyIndex: '1' };
  const placed = await sandbox.issueCard({ name: 'CANARY BIRD', pan, pinBlock });
  const finished = await awaitFinished(sandbox, placed, cardLimitMs);
  assert.equal(finished.issuer.status, 'SUCCESSFUL');
}

/** Keys of the vault and of some cards, and the beginning of every PIN as text and as the chip's own block. */
function keyAndPinCanaries(folder: string): Canary[] {
  const cardKeys = numbered.slice(0, 3).flatMap(({ pan }, index) =>
    (['imk-ac/1', 'imk-smi/1', 'imk-smc/1'] as const).map((name): Canary => {
      return { name: `${name} of card ${index}`, value: deriveUdk(secrets[name], 'B', pan, '00') };
    }),
  );
  return [
    ...Object.entries(secrets).map(([name, value]): Canary => ({ name, value })),
    ...cardKeys,
    { name: 'vault master key', value: readFileSync(join(folder, 'vault', 'master.key')) },
    { name: 'PIN', value: pinStart },
    { name: 'reference PIN', value: unhex(`2C${pinStart}0`) },
    { name: 'reference PIN, next hundred', value: unhex(`2C${pinStart}1`) },
  ];
}

test('after a hundred cards with PINs, server and agent hold no key and no PIN, in memory or on disk', async () => {
  const parent = mkdtempSync(join(tmpdir(), 'cardwright-canary-'));
  const folder = join(parent, 'data');
  const settings = {
    folder,
    ports: await freePorts(),
    secureChannel: 'SCP03',
    timing: 'fast',
    faults: [],
    takeAfterMs: 0,
  } as const;
  await provisionSandbox(settings);
  await plantKeys(join(folder, 'vault'));
  await using cleanup = new AsyncDisposableStack();
  cleanup.defer(() => {
    rmSync(parent, { recursive: true, force: true });
  });
  const sandbox = await startSandbox(settings);
  cleanup.defer(() => sandbox.stop());
  const waiting = numbered.values();
  await Promise.all(
    Array.from({ length: inFlight }, async () => {
      for (const card of waiting) await issue(sandbox, card);
    }),
  );

  const canaries = keyAndPinCanaries(folder);
  const panCanary = { name: 'card number', value: panStart };
  const memoryOf = (
    name: 'server' | 'agent' | 'vault',
    wanted: readonly Canary[],
  ): ReturnType<typeof scanProcessMemory> => {
    const pid = sandbox.supervisor.pidOf(name);
    assert.ok(pid !== undefined, name);
    const scan = scanProcessMemory(pid, wanted);
    assert.ok(scan.bytesScanned > 20_000_000, `${name}: ${scan.bytesScanned} bytes`);
    return scan;
  };
  const known = memoryOf('vault', canaries.slice(0, 3)).hits.map(({ canary }) => canary);
  assert.ok(known.includes('imk-ac/1') && known.includes('imk-smc/1'), 'the scan sees keys where they are');
  assert.deepEqual(memoryOf('server', [...canaries, panCanary]).hits, []);
  assert.deepEqual(memoryOf('agent', canaries).hits, []);

  await sandbox.supervisor.stop();
  const places = ['server', 'agent', 'issuer'].map((name) => join(folder, name));
  const vault = ['data', 'vault.log'].map((name) => join(folder, 'vault', name));
  const guarded = [...places, ...vault];
  const planted = join(folder, 'agent', 'data', 'planted.bin');
  writeFileSync(planted, unhex(`FF2C${pinStart}0FF`));
  const found = scanForCanaries([join(folder, 'agent')], canaries).hits.map(({ canary }) => canary);
  assert.deepEqual(found, ['reference PIN'], 'the scan finds what was planted');
  rmSync(planted);
  const disk = scanForCanaries(guarded, [...canaries, panCanary]);
  assert.ok(disk.filesScanned >= 15, `${disk.filesScanned} files`);
  assert.ok(disk.bytesScanned > 50_000, `${disk.bytesScanned} bytes`);
  assert.deepEqual(disk.hits, []);
});
