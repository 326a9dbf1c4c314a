/** PIN blocks and PIN verification values: the published ones, every PIN back again, and nothing else. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import {
  decipherPinBlockFormat4,
  EmvError,
  encipherPinBlockFormat4,
  hex,
  ibm3624Offset,
  ibm3624Pin,
  pinBlockFormat0,
  pinBlockFormat1,
  pinBlockFormat2,
  pinBlockFormat3,
  type PinDigits,
  pvv,
  readPinBlockFormat0,
  readPinBlockFormat2,
  readPinBlockFormat3,
  unhex,
} from '../src/index.ts';
import { readVectors, vectorName } from './emv-vectors.ts';

const digits = (pin: string): PinDigits => Uint8Array.from(pin, Number);
const text = (pin: PinDigits | undefined): string | undefined => pin && Array.from(pin).join('');

interface PinBlockVector {
  readonly src: string;
  readonly format: 0 | 2 | 3 | 4;
  readonly pin: string;
  readonly pan?: string;
  readonly key?: string;
  readonly random?: string;
  readonly block: string;
}

/** Reads a vector's block as its format says. */
function readBlock({ format, pan = '', key = '', block }: PinBlockVector): PinDigits | undefined {
  switch (format) {
    case 0:
      return readPinBlockFormat0(unhex(block), pan);
    case 2:
      return readPinBlockFormat2(unhex(block));
    case 3:
      return readPinBlockFormat3(unhex(block), pan);
    case 4:
      return decipherPinBlockFormat4(unhex(key), unhex(block), pan);
  }
}

test('the 10 published PIN blocks give their PIN, and those that are not random are made again', () => {
  const vectors = readVectors('pin', 'pinBlock') as readonly PinBlockVector[];
  assert.equal(vectors.length, 10);
  const made: string[] = [];
  for (const [index, vector] of vectors.entries()) {
    const { format, pin, pan = '', key = '', random, block } = vector;
    assert.equal(text(readBlock(vector)), pin, vectorName(vector, index));
    if (format === 0) made.push(hex(pinBlockFormat0(digits(pin), pan)), block);
    if (format === 2) made.push(hex(pinBlockFormat2(digits(pin))), block);
    if (format === 4 && random !== undefined) {
      made.push(hex(encipherPinBlockFormat4(unhex(key), digits(pin), pan, unhex(random))), block);
    }
  }
  assert.equal(made.length, 2 * 6);
  for (let at = 0; at < made.length; at += 2) assert.equal(made[at], made[at + 1]);
});

test('the 4 published PIN verification values are computed', () => {
  const vectors = readVectors('pin', 'pvv') as readonly Record<
    'src' | 'pvk' | 'pvki' | 'pan' | 'pin' | 'pvv',
    string
  >[];
  assert.equal(vectors.length, 4);
  for (const [index, vector] of vectors.entries()) {
    const value = pvv(unhex(vector.pvk), vector.pvki, vector.pan, digits(vector.pin));
    assert.equal(value, vector.pvv, vectorName(vector, index));
  }
});

test('the 3 published IBM 3624 PINs belong to their offsets, both ways', () => {
  const vectors = readVectors('pin', 'ibm3624') as readonly {
    src: string;
    pvk: string;
    decTable: string;
    offset: string;
    pan: string;
    validationStart: number;
    validationLen: number;
    pad: string;
    pin: string;
  }[];
  assert.equal(vectors.length, 3);
  for (const [index, vector] of vectors.entries()) {
    const rules = {
      decimalizationTable: vector.decTable,
      validationStart: vector.validationStart,
      validationLength: vector.validationLen,
      pad: vector.pad,
    };
    const key = unhex(vector.pvk);
    assert.equal(
      text(ibm3624Pin(key, rules, vector.pan, vector.offset)),
      vector.pin,
      vectorName(vector, index),
    );
    assert.equal(ibm3624Offset(key, rules, vector.pan, digits(vector.pin)), vector.offset);
  }
});

const pinArbitrary = fc.stringMatching(/^[0-9]{4,12}$/);
const panArbitrary = fc.stringMatching(/^[0-9]{12,19}$/);
const bytes = (length: number): fc.Arbitrary<Uint8Array> =>
  fc.uint8Array({ minLength: length, maxLength: length });

test('any PIN comes back from any format, for its own card number', () => {
  fc.assert(
    fc.property(pinArbitrary, panArbitrary, bytes(12), bytes(16), (pin, pan, random, key) => {
      assert.equal(text(readPinBlockFormat0(pinBlockFormat0(digits(pin), pan), pan)), pin);
      assert.equal(text(readPinBlockFormat2(pinBlockFormat2(digits(pin)))), pin);
      assert.equal(text(readPinBlockFormat3(pinBlockFormat3(digits(pin), pan, random), pan)), pin);
      const block = encipherPinBlockFormat4(key, digits(pin), pan, random.subarray(0, 8));
      assert.equal(text(decipherPinBlockFormat4(key, block, pan)), pin);
      const field = hex(pinBlockFormat1(digits(pin), random));
      assert.ok(field.startsWith(`1${pin.length.toString(16).toUpperCase()}${pin}`));
    }),
  );
});

test('a format 4 block of another card, under another key or with any bit changed is no PIN', () => {
  const key = unhex('00112233445566778899AABBCCDDEEFF');
  const pan = '9999001234567892';
  const block = encipherPinBlockFormat4(key, digits('123456789012'), pan, unhex('0102030405060708'));
  for (let bit = 0; bit < 128; bit++) {
    const changed = block.slice();
    changed[bit >> 3] = (changed[bit >> 3] ?? 0) ^ (1 << (bit & 7));
    assert.equal(decipherPinBlockFormat4(key, changed, pan), undefined, `bit ${String(bit)}`);
  }
  assert.equal(decipherPinBlockFormat4(key, block, '9999001234567893'), undefined);
  const otherKey = key.slice();
  otherKey[0] = 0x01;
  assert.equal(decipherPinBlockFormat4(otherKey, block, pan), undefined);
  assert.equal(decipherPinBlockFormat4(key, block.subarray(0, 8), pan), undefined);
});

test('blocks whose control, length, digits or fill are wrong are no PIN', () => {
  for (const block of [
    '14123456FFFFFFFF',
    '231234FFFFFFFFFF',
    '2D123456789012FF',
    '24123AFFFFFFFFFF',
    '241234FFFFFFFFF0',
    '2C1234567890123F',
    '241234FFFFFFFF',
    '',
  ]) {
    assert.equal(readPinBlockFormat2(unhex(block)), undefined, block);
  }
  const pan = '5555555551234567';
  assert.equal(readPinBlockFormat0(unhex('341261AAAAEDCBA9'), pan), undefined);
  assert.equal(readPinBlockFormat3(unhex('041261AAAAEDCBA9'), pan), undefined);
  assert.equal(readPinBlockFormat0(unhex('041261AAAAEDCBA9'), '4444444441234567'), undefined);
});

test('what is no PIN is never put into a block or a value, and the error does not repeat it', () => {
  for (const pin of [[], [1, 2, 3], new Array<number>(13).fill(1), [1, 2, 3, 10]]) {
    const value = Uint8Array.from(pin);
    for (const attempt of [
      () => pinBlockFormat0(value, '5555555551234567'),
      () => pinBlockFormat2(value),
      () => pvv(new Uint8Array(16).fill(1), '1', '5555555551234567', value),
    ]) {
      assert.throws(attempt, (error) => error instanceof EmvError && !/[5-9]{4}|10/.test(error.message));
    }
  }
});
