import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { test } from 'node:test';
import { aesGpKcv, ascii, hex, unhex } from '@cardwright/emv';
import fc from 'fast-check';
import { deriveKeyBlockKeys } from '../src/key-block/key-block-derivation.ts';
import { parseKeyBlock } from '../src/key-block/key-block-header.ts';
import { unwrapKeyBlock, wrapKeyBlock } from '../src/key-block/key-block-wrapping.ts';
import {
  checkValueOf,
  compareCheckValues,
  formatCheckValue,
  parseCheckValue,
} from '../src/key-block/key-check-value.ts';
import { keyBlockVectors as vectors } from './key-block-vectors.ts';

test('every published block of versions A to E opens to its key, whose check value is the published one', () => {
  assert.equal(vectors.tr31.length, 14);
  for (const { ref, kbpk, block, key, kcv } of vectors.tr31) {
    const opened = unwrapKeyBlock(unhex(kbpk), block);
    assert.ok(opened.ok, ref);
    assert.equal(hex(opened.key), key, ref);
    const isAes = opened.header.algorithm === 'A';
    const algorithm = isAes ? (opened.key.length === 16 ? 'AES-128' : 'AES-256') : 'TDES-2KEY';
    const computed = checkValueOf(algorithm, opened.key);
    assert.ok(computed);
    assert.equal(hex(computed.value).slice(0, kcv.length), kcv, ref);
  }
  assert.deepEqual([...new Set(vectors.tr31.map(({ block }) => block[0]))].sort(), ['A', 'B', 'C', 'D', 'E']);
});

test('protection keys derive to the published encryption and authentication keys', () => {
  assert.equal(vectors.tr31Derivation.length, 3);
  for (const { method, kbpk, kbek, kbak } of vectors.tr31Derivation) {
    const version = method.includes('(B)') ? 'B' : method.includes('(D)') ? 'D' : 'A';
    const keys = deriveKeyBlockKeys(version, unhex(kbpk));
    assert.deepEqual([hex(keys.encryption), hex(keys.authentication)], [kbek, kbak], method);
  }
});

/** Opening with each bit of the block's characters turned over in its turn. */
function bitsThatStillOpen(kbpk: Uint8Array, block: string): number[] {
  const sound = ascii(block);
  const opened: number[] = [];
  for (let bit = 0; bit < sound.length * 8; bit++) {
    const changed = sound.slice();
    changed[bit >> 3] = (changed[bit >> 3] ?? 0) ^ (1 << (bit & 7));
    if (unwrapKeyBlock(kbpk, changed).ok) opened.push(bit);
  }
  return opened;
}

test('every single changed bit of every published block is refused (K4)', () => {
  let bits = 0;
  for (const { ref, kbpk, block } of vectors.tr31) {
    assert.deepEqual(bitsThatStillOpen(unhex(kbpk), block), [], ref);
    bits += block.length * 8;
  }
  assert.ok(bits > 10_000);
});

test('every single changed bit of a block of our own, with optional blocks, is refused', () => {
  const kbpk = randomBytes(32);
  const block = wrapKeyBlock(
    kbpk,
    {
      usage: 'E0',
      algorithm: 'T',
      mode: 'X',
      keyVersion: '00',
      exportability: 'N',
      optionalBlocks: [{ id: '70', value: 'CARDWRIGHT TEST' }],
    },
    randomBytes(16),
  );
  assert.equal(unwrapKeyBlock(kbpk, block).ok, true);
  assert.deepEqual(bitsThatStillOpen(kbpk, block), []);
});

test('every truncation and extension of a published block is refused', () => {
  for (const { kbpk, block } of vectors.tr31) {
    for (let length = 0; length < block.length; length++) {
      assert.equal(unwrapKeyBlock(unhex(kbpk), block.slice(0, length)).ok, false);
    }
    assert.equal(unwrapKeyBlock(unhex(kbpk), `${block}00`).ok, false);
  }
});

const headerArbitrary = fc.record({
  usage: fc.stringMatching(/^[A-Z0-9]{2}$/),
  algorithm: fc.constantFrom('T', 'A', 'H'),
  mode: fc.constantFrom('B', 'C', 'D', 'E', 'G', 'N', 'V', 'X'),
  keyVersion: fc.stringMatching(/^[0-9]{2}$/),
  exportability: fc.constantFrom('E', 'N', 'S'),
  optionalBlocks: fc.uniqueArray(
    fc.record(
      { id: fc.stringMatching(/^[1-9][0-9]$/), value: fc.stringMatching(/^[ -~]{0,300}$/) },
      { noNullPrototype: true },
    ),
    { maxLength: 4, selector: ({ id }) => id },
  ),
});

test('any header and key that is wrapped is unwrapped again, and under no other protection key', () => {
  const bytes = fc.uint8Array({ minLength: 16, maxLength: 16 });
  const run = fc.property(
    headerArbitrary,
    bytes,
    fc.constantFrom(16, 24, 32),
    fc.constantFrom(16, 24, 32),
    (header, seed, kbpkLength, keyLength) => {
      const kbpk = randomBytes(kbpkLength);
      const key = Uint8Array.from({ length: keyLength }, (_, index) => seed[index % 16] ?? 0);
      const block = wrapKeyBlock(kbpk, header, key);
      const opened = unwrapKeyBlock(kbpk, block);
      assert.ok(opened.ok);
      assert.deepEqual(opened.key, key);
      const ours = opened.header.optionalBlocks.filter(({ id }) => id !== 'PB');
      assert.deepEqual({ ...opened.header, optionalBlocks: ours }, { version: 'D', ...header });
      assert.deepEqual(unwrapKeyBlock(randomBytes(kbpkLength), block), { ok: false, reason: 'MAC' });
    },
  );
  fc.assert(run, { numRuns: 200 });
});

test('no text, however strange, makes the parser throw', () => {
  fc.assert(
    fc.property(
      fc.oneof(fc.string(), fc.uint8Array(), fc.stringMatching(/^[A-E]\d{4}[A-Z0-9]{11}/)),
      (any) => {
        parseKeyBlock(any);
      },
    ),
  );
});

test('a key short of its longest form gives a block of the same length, so that the length tells nothing', () => {
  const header = {
    usage: 'K1',
    algorithm: 'A',
    mode: 'B',
    keyVersion: '00',
    exportability: 'N',
    optionalBlocks: [],
  };
  const lengths = [16, 24, 32].map(
    (length) => wrapKeyBlock(randomBytes(32), header, randomBytes(length)).length,
  );
  assert.equal(new Set(lengths).size, 1);
});

test('check values carry their method, and the published ones of both methods are met', () => {
  const byMethod = { 'TDES-ECB zeros': 'TDES-2KEY', 'AES-CMAC zeros (X9.24-1/TR-31)': 'AES' } as const;
  for (const { alg, key, kcv } of vectors.kcv) {
    const bytes = unhex(key);
    if (!(alg in byMethod)) {
      assert.equal(hex(aesGpKcv(bytes)), kcv);
      continue;
    }
    const aes = bytes.length === 16 ? 'AES-128' : 'AES-256';
    const computed = checkValueOf(alg.startsWith('TDES') ? 'TDES-2KEY' : aes, bytes);
    assert.ok(computed);
    const claimed = parseCheckValue(`${computed.method}:${kcv}`);
    assert.ok(claimed);
    assert.equal(compareCheckValues(claimed, computed), 'SAME');
    assert.deepEqual(parseCheckValue(formatCheckValue(computed)), computed);
  }
});

test('an AES key with a 3DES style check value is refused, not compared (K7)', () => {
  const computed = checkValueOf('AES-128', randomBytes(16));
  assert.ok(computed);
  const claimed = { method: 'TDES-ECB-0', value: computed.value.slice(0, 3) } as const;
  assert.equal(compareCheckValues(claimed, computed), 'WRONG_METHOD');
  const short = { method: 'AES-CMAC-0', value: computed.value.slice(0, 2) } as const;
  assert.equal(compareCheckValues(short, computed), 'DIFFERENT');
  for (const text of [
    '08D7B4',
    'AES-ECB-0:08D7B4',
    'TDES-ECB-0:08D7',
    'TDES-ECB-0:08D7B4EE',
    'AES-CMAC-0:',
  ]) {
    assert.equal(parseCheckValue(text), undefined, text);
  }
});
