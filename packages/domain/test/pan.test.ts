import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import {
  faultCodes,
  faults,
  isLuhnValid,
  luhnCheckDigit,
  maskPan,
  notificationDelayMs,
  notificationDelaysS,
} from '../src/index.ts';

test('the check digit of a published test number is valid and every other digit is not', () => {
  assert.equal(isLuhnValid('4000001234567899'), true);
  assert.equal(
    isLuhnValid('1234567891234567'),
    false,
    'the sample number of the D1 pages fails, as documented',
  );
  assert.equal(isLuhnValid(''), false);
  assert.equal(isLuhnValid('400000123456789x'), false);
});

test('a computed check digit is the only valid one', () => {
  fc.assert(
    fc.property(fc.stringMatching(/^\d{11,18}$/), (digits) => {
      const check = luhnCheckDigit(digits);
      for (let other = 0; other <= 9; other++) {
        assert.equal(isLuhnValid(digits + String(other)), String(other) === check);
      }
    }),
  );
});

test('a masked number shows at most the first six and the last four digits', () => {
  fc.assert(
    fc.property(fc.stringMatching(/^\d{0,19}$/), (pan) => {
      const masked = maskPan(pan);
      assert.equal(masked.length, pan.length);
      assert.ok((masked.match(/\d/g) ?? []).length <= 10);
      assert.ok(pan.length < 12 || masked.includes('**'));
    }),
  );
});

test('every fault has a sentence that fits the D1 wire', () => {
  assert.ok(faultCodes.length > 20);
  for (const code of faultCodes) {
    assert.ok(faults[code].sentence.length <= 128, code);
    assert.match(code, /^[A-Z][A-Z0-9_]{1,63}$/);
  }
});

test('notification delays follow the schedule within a fifth and end after the last', () => {
  notificationDelaysS.forEach((seconds, attempt) => {
    assert.equal(notificationDelayMs(attempt, 0), Math.round(seconds * 800));
    assert.equal(notificationDelayMs(attempt, 1), Math.round(seconds * 1200));
  });
  assert.equal(notificationDelayMs(notificationDelaysS.length, 0.5), undefined);
});
