import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import {
  EmvError,
  encodeCommand,
  hex,
  parseCommand,
  responseData,
  statusWord,
  unhex,
  type CommandApdu,
} from '../src/index.ts';

const byte = fc.integer({ min: 0, max: 255 });
const anyCommand = fc
  .record({
    header: fc.tuple(byte, byte, byte, byte),
    data: fc.oneof(
      fc.uint8Array({ maxLength: 300 }),
      fc.constantFrom(255, 256, 65535).map((length) => new Uint8Array(length).fill(0x5a)),
    ),
    le: fc.option(fc.oneof(fc.integer({ min: 1, max: 300 }), fc.constantFrom(256, 257, 65535, 65536)), {
      nil: undefined,
    }),
  })
  .map(({ header: [cla, ins, p1, p2], data, le }): CommandApdu => ({
    cla,
    ins,
    p1,
    p2,
    ...(data.length > 0 ? { data } : {}),
    ...(le === undefined ? {} : { le }),
  }));

test('any command of the four cases, short or extended, parses back', () => {
  fc.assert(
    fc.property(anyCommand, (command) => {
      assert.deepEqual(parseCommand(encodeCommand(command)), command);
    }),
    { numRuns: 300 },
  );
});

test('random bytes never make the parser fail with anything but EmvError', () => {
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 300 }), (bytes) => {
      try {
        const command = parseCommand(bytes);
        assert.ok((command.data?.length ?? 0) < bytes.length);
      } catch (error) {
        assert.ok(error instanceof EmvError && error.code === 'APDU_INVALID');
      }
    }),
    { numRuns: 1000 },
  );
});

test('the four short cases are laid out as ISO/IEC 7816-4 says', () => {
  const header = { cla: 0x00, ins: 0xa4, p1: 0x04, p2: 0x00 };
  assert.equal(hex(encodeCommand(header)), '00A40400');
  assert.equal(hex(encodeCommand({ ...header, le: 256 })), '00A4040000');
  assert.equal(hex(encodeCommand({ ...header, data: unhex('F043') })), '00A4040002F043');
  assert.equal(hex(encodeCommand({ ...header, data: unhex('F043'), le: 16 })), '00A4040002F04310');
  assert.equal(hex(encodeCommand({ ...header, le: 257 })), '00A40400000101');
});

test('a command whose Lc does not match its data is refused', () => {
  for (const bytes of [
    '',
    '00A404',
    '00A4040002F0',
    '00A4040002F0430000',
    '00A404000000',
    '00A4040000000000',
  ]) {
    assert.throws(
      () => parseCommand(unhex(bytes)),
      (error) => error instanceof EmvError && error.code === 'APDU_INVALID',
      bytes,
    );
  }
});

test('header bytes and lengths out of range are refused', () => {
  const header = { cla: 0x00, ins: 0xa4, p1: 0x04, p2: 0x00 };
  for (const change of [{ cla: 256 }, { p1: -1 }, { p2: 1.5 }, { le: 0 }, { le: 65537 }]) {
    assert.throws(() => encodeCommand({ ...header, ...change }), EmvError);
  }
  assert.throws(() => encodeCommand({ ...header, data: new Uint8Array(65536) }), EmvError);
});

test('a response is its data and its status word', () => {
  assert.equal(statusWord(unhex('11226a82')), '6A82');
  assert.equal(hex(responseData(unhex('11229000'))), '1122');
  assert.equal(responseData(unhex('9000')).length, 0);
  assert.throws(() => statusWord(unhex('90')), EmvError);
  assert.throws(() => responseData(new Uint8Array(0)), EmvError);
});
