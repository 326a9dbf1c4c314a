import assert from 'node:assert/strict';
import { test } from 'node:test';
import { concatBytes, hex, parseDgis } from '@cardwright/emv';
import fc from 'fast-check';
import { type ReadyDgi, storeDataCommands } from '../src/store-data.ts';

function dgi(id: string, length: number, isEnciphered = false): ReadyDgi {
  return { id, value: new Uint8Array(length).fill(0x5a), isEnciphered };
}

function shape(dgis: readonly ReadyDgi[]): string[] {
  return storeDataCommands(dgis).map(
    ({ p1, p2, data }) => `${hex(Uint8Array.of(p1, p2))} ${data?.length ?? 0}`,
  );
}

test('small groupings share a command, and the last command says so', () => {
  assert.deepEqual(shape([dgi('0101', 10), dgi('9102', 20)]), ['8000 36']);
});

test('a grouping that does not fit any more begins a command of its own', () => {
  assert.deepEqual(shape([dgi('0101', 200), dgi('0102', 40)]), ['0000 203', '8001 43']);
  assert.deepEqual(shape([dgi('0101', 200), dgi('0102', 25)]), ['8000 231']);
});

test('a grouping longer than a command spans commands', () => {
  assert.deepEqual(shape([dgi('0101', 254), dgi('0102', 1)]), ['0000 231', '8001 30']);
  assert.deepEqual(shape([dgi('0101', 500)]), ['0000 231', '0001 231', '8002 43']);
});

test('enciphered and clear groupings never share a command', () => {
  const dgis = [dgi('9102', 5), dgi('8000', 48, true), dgi('8201', 80, true), dgi('9000', 9)];
  assert.deepEqual(shape(dgis), ['0000 8', '6001 134', '8002 12']);
  assert.deepEqual(shape([dgi('8000', 48, true)]), ['E000 51']);
});

test('no grouping at all and more blocks than P2 can number are impossible requests', () => {
  assert.throws(() => storeDataCommands([]), RangeError);
  assert.throws(() => storeDataCommands([dgi('0101', 257 * 231)]), RangeError);
  assert.equal(storeDataCommands([dgi('0101', 256 * 231 - 5)]).length, 256);
});

test('whatever is packed arrives whole, in order and in short commands', () => {
  const dgis = fc.array(
    fc.record({
      id: fc.integer({ min: 0, max: 0xffff }).map((id) => id.toString(16).toUpperCase().padStart(4, '0')),
      value: fc.uint8Array({ maxLength: 700 }),
      isEnciphered: fc.boolean(),
    }),
    { minLength: 1, maxLength: 12 },
  );
  fc.assert(
    fc.property(dgis, (sent) => {
      const commands = storeDataCommands(sent);
      const received = parseDgis(concatBytes(...commands.map(({ data }) => data ?? new Uint8Array(0))));
      assert.deepEqual(
        received.map(({ id, value }) => [id, hex(value)]),
        sent.map(({ id, value }) => [id, hex(value)]),
      );
      for (const [number, { p1, p2, data }] of commands.entries()) {
        assert.equal(p2, number);
        assert.equal((p1 & 0x80) !== 0, number === commands.length - 1);
        assert.ok((data?.length ?? 0) >= 1 && (data?.length ?? 0) <= 231);
      }
      const enciphered = commands
        .filter(({ p1 }) => (p1 & 0x60) === 0x60)
        .map(({ data }) => data?.length ?? 0);
      const secret = sent.filter(({ isEnciphered }) => isEnciphered);
      const secretLength = secret.reduce(
        (sum, { value }) => sum + value.length + (value.length < 255 ? 3 : 5),
        0,
      );
      assert.equal(
        enciphered.reduce((sum, length) => sum + length, 0),
        secretLength,
      );
    }),
  );
});
