import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { Type } from 'typebox';
import {
  CardRequestInstant,
  check,
  dottedPath,
  maxJsonDepth,
  normalizeKeyIndex,
  parseStrictJson,
} from '../src/index.ts';

const order = {
  distributionChannel: 'INSTANT',
  persoStation: 'KIOSK-PS-101',
  encryptedData: 'a.b.c.d.e',
  services: { issuance: 'CREATION' },
  paymentApplication: { config: 'CCD_3DES_01', odaKeyIndex: '01', derivationKeyIndex: 1 },
};

test('a complete order is accepted and handed back unchanged', () => {
  const checked = check(CardRequestInstant, order);
  assert.ok(checked.ok);
  assert.equal(checked.value, order);
});

test('the first field in error is named with its path and never with its value', () => {
  const refusals: readonly (readonly [unknown, string, string])[] = [
    [{ ...order, persoStation: 'a b' }, 'persoStation', 'invalid'],
    [{ ...order, persoStation: undefined }, 'persoStation', 'invalid'],
    [{ ...order, services: {} }, 'services.issuance', 'missing'],
    [{ ...order, services: { issuance: 'CREATION', colour: 'red' } }, 'services.colour', 'unknown'],
    [{ ...order, surprise: 1 }, 'surprise', 'unknown'],
    [
      { ...order, paymentApplication: { ...order.paymentApplication, odaKeyIndex: 'x y' } },
      'paymentApplication.odaKeyIndex',
      'invalid',
    ],
    [{ ...order, cardDesign: { customLines: [1] } }, 'cardDesign.customLines[0]', 'invalid'],
    [{ ...order, cardDesign: { customLines: { top: 1 } } }, 'cardDesign.customLines.top', 'invalid'],
    [{ ...order, cardDesign: { customLines: 'x' } }, 'cardDesign.customLines', 'invalid'],
    [{ ...order, cardDesign: { memberId: 1 }, services: 1 }, 'services', 'invalid'],
    [[], '', 'invalid'],
    [null, '', 'invalid'],
  ];
  for (const [value, field, problem] of refusals) {
    const checked = check(CardRequestInstant, value);
    assert.deepEqual(checked, { ok: false, field, problem });
  }
  const { persoStation: _station, ...without } = order;
  assert.deepEqual(check(CardRequestInstant, without), {
    ok: false,
    field: 'persoStation',
    problem: 'missing',
  });
});

test('any value at all is accepted or refused by name, never a crash', () => {
  const schema = Type.Object(
    { a: Type.String(), b: Type.Array(Type.Integer()) },
    { additionalProperties: false },
  );
  fc.assert(
    fc.property(fc.anything(), (value) => {
      const checked = check(schema, value);
      assert.ok(checked.ok || typeof checked.field === 'string');
    }),
  );
});

test('a JSON pointer becomes a dotted path', () => {
  assert.equal(dottedPath('/cards/3/cardId'), 'cards[3].cardId');
  assert.equal(dottedPath('/a~1b/c~0d'), 'a/b.c~d');
  assert.equal(dottedPath(''), '');
});

test('key indexes made of digits compare as numbers', () => {
  assert.equal(normalizeKeyIndex('01'), normalizeKeyIndex(1));
  assert.equal(normalizeKeyIndex('0A'), '0A');
  assert.notEqual(normalizeKeyIndex('9007199254740993'), normalizeKeyIndex('9007199254740992'));
  assert.equal(normalizeKeyIndex('000'), '0');
});

test('strict JSON reads whatever JSON.stringify writes', () => {
  fc.assert(
    fc.property(fc.jsonValue({ maxDepth: 5 }), (value) => {
      const text = JSON.stringify(value);
      if (text.includes('"__proto__"')) return;
      const parsed = parseStrictJson(text);
      assert.ok(parsed.ok, text);
      assert.deepEqual(parsed.value, JSON.parse(text));
    }),
  );
});

test('strict JSON refuses duplicates by name, comments, trailing commas, depth and prototype members', () => {
  assert.deepEqual(parseStrictJson('{"a":1,"a":1}'), { ok: false, problem: 'duplicate', field: 'a' });
  assert.deepEqual(parseStrictJson('{"s":{"i":1,"i":2}}'), { ok: false, problem: 'duplicate', field: 's.i' });
  assert.deepEqual(parseStrictJson('[{"b":1},{"b":1,"b":2}]'), {
    ok: false,
    problem: 'duplicate',
    field: '[1].b',
  });
  for (const bad of ['', '{', '{"a":1,}', '[1,]', '// x\n{}', '{"a":1} x', "{'a':1}", 'NaN', '{"a":01}']) {
    const parsed = parseStrictJson(bad);
    assert.deepEqual(parsed, { ok: false, problem: 'syntax', field: '' }, bad);
  }
  assert.equal(parseStrictJson('{"__proto__":{"admin":true}}').ok, false);
  assert.equal(parseStrictJson('['.repeat(maxJsonDepth) + ']'.repeat(maxJsonDepth)).ok, true);
  assert.deepEqual(parseStrictJson('['.repeat(maxJsonDepth + 1) + ']'.repeat(maxJsonDepth + 1)), {
    ok: false,
    problem: 'depth',
    field: '',
  });
});
