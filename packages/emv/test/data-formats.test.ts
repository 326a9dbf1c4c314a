import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import {
  EmvError,
  ascii,
  bcd,
  buildDolData,
  compressedNumeric,
  concatBytes,
  dolDataLength,
  encodeAfl,
  encodeDgi,
  encodeDol,
  equalBytes,
  hex,
  odaRecordNumbers,
  parseAfl,
  parseDgis,
  parseDol,
  readDgi,
  splitDolData,
  staticDataToAuthenticate,
  tlv,
  uintBytes,
  unhex,
  xorBytes,
} from '../src/index.ts';

const refused = (code: string) => (error: unknown) => error instanceof EmvError && error.code === code;

// --- DOL ---

const dolEntry = fc.record(
  {
    tag: fc.constantFrom(
      '9F02',
      '9F03',
      '9F1A',
      '95',
      '5F2A',
      '9A',
      '9C',
      '9F37',
      '8A',
      '91',
      '5A',
      'DF8101',
    ),
    length: fc.integer({ min: 0, max: 255 }),
  },
  { noNullPrototype: true },
);

test('any data object list parses back, and its data has the length it asks for', () => {
  fc.assert(
    fc.property(
      fc.array(dolEntry, { maxLength: 12 }),
      fc.dictionary(fc.constantFrom('9F02', '95', '5A', 'DF8101'), fc.uint8Array({ maxLength: 12 })),
      (entries, values) => {
        const encoded = encodeDol(entries);
        assert.deepEqual(parseDol(encoded), entries);
        const data = buildDolData(encoded, new Map(Object.entries(values)));
        assert.equal(data.length, dolDataLength(entries));
        const split = splitDolData(entries, data);
        assert.ok(entries.every(({ tag }) => split.has(tag)));
      },
    ),
  );
});

test('values are fitted by the format of their tag', () => {
  const fit = (tag: string, length: number, value?: string): string =>
    hex(buildDolData([{ tag, length }], value === undefined ? new Map() : new Map([[tag, unhex(value)]])));
  assert.equal(fit('9F02', 6, '1234'), '000000001234', 'numeric: zeros on the left');
  assert.equal(fit('9F02', 2, '00123456'), '3456', 'numeric: the rightmost bytes stay');
  assert.equal(
    fit('5A', 10, '9999001234567890'),
    '9999001234567890FFFF',
    'compressed numeric: F on the right',
  );
  assert.equal(fit('95', 7, '8000008000'), '80000080000000', 'binary: zeros on the right');
  assert.equal(fit('95', 2, '8001028000'), '8001', 'binary: the leftmost bytes stay');
  assert.equal(fit('9F37', 4), '00000000', 'missing: zeros');
});

test('a list that is cut or has a malformed tag is refused, and data of another length too', () => {
  for (const dol of ['9F02', '9F', '9F8181818106']) {
    assert.throws(() => parseDol(unhex(dol)), refused('DOL_INVALID'), dol);
  }
  assert.throws(() => splitDolData(unhex('9F3704'), new Uint8Array(3)), refused('DOL_INVALID'));
  assert.throws(() => encodeDol([{ tag: '9F37', length: 256 }]), refused('DOL_INVALID'));
  assert.throws(() => encodeDol([{ tag: '9F37AA', length: 4 }]), refused('DOL_INVALID'));
});

test('random bytes never make the list parser fail with anything but EmvError', () => {
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 60 }), (bytes) => {
      try {
        assert.equal(hex(encodeDol(parseDol(bytes))), hex(bytes));
      } catch (error) {
        assert.ok(refused('DOL_INVALID')(error), String(error));
      }
    }),
  );
});

// --- DGI ---

const dgi = fc.record(
  {
    id: fc.uint8Array({ minLength: 2, maxLength: 2 }).map(hex),
    value: fc.oneof(
      fc.uint8Array({ maxLength: 40 }),
      fc.integer({ min: 250, max: 600 }).map((length) => new Uint8Array(length).fill(0xa5)),
    ),
  },
  { noNullPrototype: true },
);

test('data groupings of both length forms parse back', () => {
  fc.assert(
    fc.property(fc.array(dgi, { maxLength: 6 }), (dgis) => {
      const encoded = concatBytes(...dgis.map(({ id, value }) => encodeDgi(id, value)));
      assert.deepEqual(parseDgis(encoded), dgis);
    }),
  );
});

test('a length is one byte up to 254 and FF with two bytes from 255', () => {
  const header = (length: number): string => hex(encodeDgi('0101', new Uint8Array(length)).subarray(0, 5));
  assert.equal(hex(encodeDgi('9104', new Uint8Array(0))), '910400');
  assert.equal(header(0x7f), '01017F0000');
  assert.equal(header(0x80), '0101800000');
  assert.equal(header(254), '0101FE0000');
  assert.equal(header(255), '0101FF00FF');
  assert.equal(header(431), '0101FF01AF');
  assert.throws(() => encodeDgi('0101', new Uint8Array(0x10000)), refused('DGI_INVALID'));
  assert.throws(() => encodeDgi('101', new Uint8Array(1)), refused('DGI_INVALID'));
});

test('a data grouping that is cut anywhere says how many bytes are missing at least', () => {
  for (const whole of [encodeDgi('8000', new Uint8Array(48)), encodeDgi('0201', new Uint8Array(300))]) {
    for (let length = 0; length < whole.length; length++) {
      const cut = whole.slice(0, length);
      const read = readDgi(cut, 0);
      assert.ok(!read.complete);
      assert.ok(read.neededBytes >= 1 && read.neededBytes <= whole.length - length);
      if (length > 0) assert.throws(() => parseDgis(cut), refused('DGI_INVALID'));
    }
    const read = readDgi(whole, 0);
    assert.ok(read.complete && read.nextOffset === whole.length);
  }
});

// --- AFL and static data ---

const aflEntry = fc
  .record({ sfi: fc.integer({ min: 1, max: 30 }), first: fc.integer({ min: 1, max: 255 }) })
  .chain(({ sfi, first }) =>
    fc
      .integer({ min: first, max: 255 })
      .chain((last) =>
        fc.integer({ min: 0, max: last - first + 1 }).map((odaRecords) => ({ sfi, first, last, odaRecords })),
      ),
  );

test('any application file locator parses back', () => {
  fc.assert(
    fc.property(fc.array(aflEntry, { minLength: 1, maxLength: 8 }), (entries) => {
      assert.deepEqual(parseAfl(encodeAfl(entries)), entries);
    }),
  );
});

test('random bytes never make the locator parser fail with anything but EmvError', () => {
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 20 }), (bytes) => {
      try {
        assert.equal(hex(encodeAfl(parseAfl(bytes))), hex(bytes));
      } catch (error) {
        assert.ok(refused('AFL_INVALID')(error), String(error));
      }
    }),
  );
});

test('a locator entry out of range is refused', () => {
  const bad = ['', '080101', '00010100', '09010100', 'F8010100', '08000100', '08020100', '08010102'];
  for (const afl of bad) assert.throws(() => parseAfl(unhex(afl)), refused('AFL_INVALID'), afl);
  assert.throws(() => encodeAfl([{ sfi: 31, first: 1, last: 1, odaRecords: 0 }]), refused('AFL_INVALID'));
});

test('static data takes template contents up to SFI 10, whole records above, then the tag list values', () => {
  const entries = parseAfl(unhex('0801020160010101'));
  assert.deepEqual(odaRecordNumbers(entries), [
    { sfi: 1, record: 1 },
    { sfi: 12, record: 1 },
  ]);
  const long = tlv('70', tlv('90', new Uint8Array(176)));
  const data = staticDataToAuthenticate(
    [
      { sfi: 1, record: unhex('7003500141') },
      { sfi: 10, record: long },
      { sfi: 12, record: unhex('70020000') },
    ],
    [unhex('3900')],
  );
  assert.equal(hex(data), `500141${hex(long.subarray(3))}700200003900`);
  for (const record of ['7103500141', '70035001417000', '']) {
    assert.throws(
      () => staticDataToAuthenticate([{ sfi: 2, record: unhex(record) }], []),
      refused('RECORD_INVALID'),
      record,
    );
  }
});

// --- bytes ---

test('hexadecimal is upper case, reads both cases and refuses anything else', () => {
  fc.assert(fc.property(fc.uint8Array(), (bytes) => equalBytes(unhex(hex(bytes).toLowerCase()), bytes)));
  assert.equal(hex(unhex('aBcD')), 'ABCD');
  for (const text of ['A', 'GG', '0x', ' 00', '00 ']) {
    assert.throws(() => unhex(text), refused('HEX_INVALID'), text);
  }
});

test('hexadecimal of a view shows the view, not the memory behind it', () => {
  assert.equal(hex(unhex('00112233').subarray(1, 3)), '1122');
});

test('digits are packed as n and cn', () => {
  assert.equal(hex(bcd('826')), '0826');
  assert.equal(hex(compressedNumeric('12345', 4)), '12345FFF');
  assert.equal(hex(compressedNumeric('99990')), '99990F');
  assert.throws(() => bcd('12A'), refused('DIGITS_INVALID'));
  assert.throws(() => compressedNumeric('12345', 2), refused('LENGTH_INVALID'));
  assert.throws(() => compressedNumeric('12D5', 4), refused('DIGITS_INVALID'));
});

test('integers, texts and xor keep their lengths', () => {
  assert.equal(hex(uintBytes(0x1c, 2)), '001C');
  assert.throws(() => uintBytes(0x10000, 2), refused('LENGTH_INVALID'));
  assert.throws(() => uintBytes(-1, 2), refused('LENGTH_INVALID'));
  assert.equal(hex(ascii('A1')), '4131');
  assert.throws(() => ascii('é'), refused('DIGITS_INVALID'));
  assert.equal(hex(xorBytes(unhex('F0F0'), unhex('0FF0'))), 'FF00');
  assert.throws(() => xorBytes(unhex('F0F0'), unhex('0F')), refused('LENGTH_INVALID'));
  assert.equal(equalBytes(unhex('00'), unhex('0000')), false);
});
