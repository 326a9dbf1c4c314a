/**
 * After a run no card number, track, verification value or key byte lies in the server's database, any log, or the
 * agent's journal (I7). The scanner proves itself first: a canary planted in the same folders must be found.
 */
import assert from 'node:assert/strict';
import { readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { luhnCheckDigit } from '@cardwright/domain';
import { type Canary, scanForCanaries } from '@cardwright/testkit';
import { awaitFinished, startFixture } from './sandbox-fixture.ts';

const body = `999900${String(Math.floor(Math.random() * 1e9)).padStart(9, '0')}`;
const pan = body + luhnCheckDigit(body);

test('after a card was made, nothing of it lies where it must not', async () => {
  await using fixture = await startFixture();
  const { sandbox, folder } = fixture;
  const finished = await awaitFinished(sandbox, await sandbox.issueCard({ name: 'CANARY BIRD', pan }));
  assert.equal(finished.issuer.status, 'SUCCESSFUL');
  await sandbox.supervisor.stop();

  const serverFolder = join(folder, 'server');
  const canaries: Canary[] = [
    { name: 'card number', value: pan },
    { name: 'card number without check digit', value: pan.slice(0, 15) },
    { name: 'last nine digits and track separator', value: `${pan.slice(-9)}D` },
    { name: 'vault master key', value: readFileSync(join(folder, 'vault', 'master.key')) },
    { name: 'card manager master key', value: Buffer.from('404142434445464748494A4B4C4D4E4F', 'hex') },
    { name: 'printed security code member', value: '"securityCode"' },
    { name: 'card data member', value: '"cvv2"' },
  ];
  const guarded = [
    serverFolder,
    join(folder, 'agent'),
    join(folder, 'issuer'),
    join(folder, 'vault', 'vault.log'),
  ];

  for (const place of [serverFolder, join(folder, 'agent')]) {
    const planted = join(place, 'data', 'planted.bin');
    writeFileSync(planted, Buffer.concat([Buffer.from('x'), Buffer.from(pan, 'hex'), Buffer.from('y')]));
    const found = scanForCanaries(guarded, canaries).hits.filter((hit) => hit.file === planted);
    assert.ok(found.length > 0, 'the scanner finds what was planted');
    rmSync(planted);
  }

  const scan = scanForCanaries(guarded, canaries);
  assert.ok(scan.filesScanned >= 10, `scanned ${scan.filesScanned} files`);
  assert.ok(scan.bytesScanned > 50_000, `scanned ${scan.bytesScanned} bytes`);
  assert.deepEqual(scan.hits, []);
});
