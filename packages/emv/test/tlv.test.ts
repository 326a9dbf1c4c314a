import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import {
  EmvError,
  concatBytes,
  encodeTlv,
  findTag,
  hex,
  isConstructedTag,
  parseTlv,
  primitiveNodes,
  tlv,
  unhex,
  type TlvNode,
} from '../src/index.ts';

const primitiveTag = fc.constantFrom('50', '57', '5A', '82', '9F10', '9F8101', 'DF818101', '5F24');
const templateTag = fc.constantFrom('61', '6F', '70', 'A5', 'BF0C', 'E1', 'FF8101');

const { node: anyNode } = fc.letrec<{ node: TlvNode; leaf: TlvNode; template: TlvNode }>((tie) => ({
  node: fc.oneof({ depthSize: 'small', withCrossShrink: true }, tie('leaf'), tie('template')),
  leaf: fc
    .tuple(primitiveTag, fc.uint8Array({ maxLength: 300 }))
    .map(([tag, value]) => ({ tag, value, children: [] })),
  template: fc
    .tuple(templateTag, fc.array(tie('node'), { maxLength: 3 }))
    .map(([tag, children]) => ({ tag, value: concatBytes(...children.map(encodeTlv)), children })),
}));

test('whatever is encoded parses back to the same tree', () => {
  fc.assert(
    fc.property(fc.array(anyNode, { maxLength: 4 }), (nodes) => {
      const encoded = concatBytes(
        ...nodes.map((node) => tlv(node.tag, node.children.length > 0 ? node.children : node.value)),
      );
      assert.deepEqual(parseTlv(encoded), nodes);
      assert.equal(hex(concatBytes(...parseTlv(encoded).map(encodeTlv))), hex(encoded));
    }),
  );
});

test('random bytes never make the parser fail with anything but EmvError', () => {
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 200 }), (bytes) => {
      try {
        const nodes = parseTlv(bytes);
        assert.ok(primitiveNodes(nodes).every(({ value }) => value.length <= bytes.length));
      } catch (error) {
        assert.ok(error instanceof EmvError && error.code.startsWith('TLV_'));
      }
    }),
    { numRuns: 2000 },
  );
});

test('a damaged directory record never makes the parser fail with anything but EmvError', () => {
  const record = unhex('702561234F07F0434152440001500A434152445752494748548701019F120A43415244575249474854');
  fc.assert(
    fc.property(fc.nat(record.length - 1), fc.nat(255), fc.nat(record.length), (position, byte, length) => {
      const damaged = record.slice(0, length);
      if (position < length) damaged[position] = byte;
      try {
        parseTlv(damaged);
      } catch (error) {
        assert.ok(error instanceof EmvError);
      }
    }),
    { numRuns: 1000 },
  );
});

test('lengths use the shortest BER form', () => {
  const header = (length: number): string => hex(tlv('70', new Uint8Array(length))).slice(0, 10);
  assert.ok(header(127).startsWith('707F00'));
  assert.ok(header(128).startsWith('70818000'));
  assert.ok(header(255).startsWith('7081FF00'));
  assert.equal(header(256), '7082010000');
  assert.equal(header(65536), '7083010000');
});

test('each malformed encoding is refused with its own code', () => {
  const cases: readonly [string, string][] = [
    ['5A', 'TLV_TRUNCATED'],
    ['5A02AA', 'TLV_TRUNCATED'],
    ['9F', 'TLV_TRUNCATED'],
    ['5A81', 'TLV_TRUNCATED'],
    ['7003500241', 'TLV_TRUNCATED'],
    ['9F8181818101', 'TLV_TAG_INVALID'],
    ['5A80', 'TLV_LENGTH_INVALID'],
    ['5A8400000001AA', 'TLV_LENGTH_INVALID'],
  ];
  for (const [bytes, code] of cases) {
    assert.throws(
      () => parseTlv(unhex(bytes)),
      (error) => error instanceof EmvError && error.code === code,
      bytes,
    );
  }
  let nested: Uint8Array = new Uint8Array(0);
  for (let depth = 0; depth < 20; depth++) nested = tlv('70', nested);
  assert.throws(
    () => parseTlv(nested),
    (error) => error instanceof EmvError && error.code === 'TLV_TOO_DEEP',
  );
});

test('zero bytes between data objects are skipped', () => {
  assert.deepEqual(
    parseTlv(unhex('00005001410000870101')).map(({ tag }) => tag),
    ['50', '87'],
  );
});

test('a tag is found at any depth, the first one in order of appearance', () => {
  const nodes = parseTlv(
    tlv('6F', [
      tlv('84', unhex('F0')),
      tlv('A5', [tlv('50', unhex('41')), tlv('BF0C', [tlv('50', unhex('42'))])]),
    ]),
  );
  assert.equal(hex(findTag(nodes, '50')?.value ?? new Uint8Array(0)), '41');
  assert.equal(findTag(nodes, 'BF0C')?.children.length, 1);
  assert.equal(findTag(nodes, '5A'), undefined);
  assert.deepEqual(
    primitiveNodes(nodes).map(({ tag }) => tag),
    ['84', '50', '50'],
  );
});

test('a value handed over as a tag is refused', () => {
  for (const tag of ['', '9F', '5A5A', '9F1010', 'zz']) {
    assert.throws(() => tlv(tag, new Uint8Array(0)), EmvError, tag);
  }
  assert.equal(isConstructedTag('BF0C'), true);
  assert.equal(isConstructedTag('9F10'), false);
});

test('a parsed value does not share memory with the bytes it came from', () => {
  const bytes = unhex('5A0111');
  const [node] = parseTlv(bytes);
  bytes[2] = 0x22;
  assert.equal(hex(node?.value ?? new Uint8Array(0)), '11');
});
