import assert from 'node:assert/strict';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, test } from 'node:test';
import { encodingsOf, scanForCanaries } from '../src/index.ts';

const folder = mkdtempSync(join(tmpdir(), 'cardwright-canary-'));
after(() => {
  rmSync(folder, { recursive: true });
});
const pan = '9999001234567897';
const key = Buffer.from('404142434445464748494A4B4C4D4E4F', 'hex');

test('a canary planted in any encoding is found, wherever it stands in a file', () => {
  for (const value of [pan, key]) {
    const encodings = encodingsOf(value);
    assert.ok(encodings.size >= (typeof value === 'string' ? 17 : 12));
    for (const [encoding, bytes] of encodings) {
      const file = join(folder, 'planted.bin');
      writeFileSync(file, Buffer.concat([Buffer.from('noise\0\xff'), bytes, Buffer.from('more noise')]));
      const { hits } = scanForCanaries([file], [{ name: 'planted', value }]);
      assert.ok(
        hits.some((hit) => hit.encoding === encoding),
        `${encoding} was not found`,
      );
    }
  }
});

test('base64 of a longer text that holds the canary is found at every phase', () => {
  for (const prefix of ['', 'a', 'ab', 'abc']) {
    const file = join(folder, 'base64.txt');
    writeFileSync(file, Buffer.from(`${prefix}${pan}","exp":"2911"}`).toString('base64'));
    assert.ok(
      scanForCanaries([file], [{ name: 'pan', value: pan }]).hits.length > 0,
      `prefix of ${prefix.length}`,
    );
  }
});

test('a folder without the canary has no hit, and the scan says how much it saw', () => {
  writeFileSync(join(folder, 'planted.bin'), 'nothing here');
  writeFileSync(join(folder, 'base64.txt'), 'nor here');
  const scan = scanForCanaries([folder], [{ name: 'pan', value: pan }]);
  assert.deepEqual(scan.hits, []);
  assert.equal(scan.filesScanned, 2);
  assert.ok(scan.bytesScanned > 0);
});
