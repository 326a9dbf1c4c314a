import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import {
  ascii,
  isConstructedTag,
  isSensitiveTag,
  knownTags,
  maskTagValue,
  parseDol,
  tagFormat,
  tagName,
  unhex,
} from '../src/index.ts';

const pan = '9999001234567890';

test('every tag that the reference card carries has a name', () => {
  const carried =
    '42 4F 50 57 5A 5F20 5F24 5F25 5F28 5F2D 5F30 5F34 61 6F 70 77 80 82 83 84 87 88 8C 8D 8E 8F 90 92 93 94 9F07 ' +
    '9F08 9F0D 9F0E 9F0F 9F10 9F11 9F12 9F13 9F14 9F17 9F1F 9F23 9F26 9F27 9F2A 9F32 9F36 9F38 9F42 9F44 9F46 9F47 ' +
    '9F48 9F49 9F4A 9F4B 9F4D 9F4F A5 BF0C';
  const tags = carried.split(' ');
  assert.equal(tags.length, 61);
  for (const tag of tags) assert.notEqual(tagName(tag), 'Unknown', tag);
  assert.equal(tagName('5f24'), 'Application Expiration Date');
  assert.equal(tagName('DF01'), 'Unknown');
});

test('every tag of the usual CDOLs has a name and a format', () => {
  const cdol2 = unhex('8A029F02069F03069F1A0295055F2A029A039C019F37049108');
  for (const { tag } of parseDol(cdol2)) assert.notEqual(tagName(tag), 'Unknown', tag);
  assert.equal(tagFormat('9F02'), 'n');
  assert.equal(tagFormat('DF01'), 'b');
});

test('the dictionary is consistent: well-formed tags, templates exactly where tags are constructed', () => {
  const tags = knownTags();
  assert.ok(tags.length > 130);
  for (const tag of tags) {
    assert.match(tag, /^([0-9A-F]{2}){1,4}$/);
    assert.equal(tagFormat(tag) === 'template', isConstructedTag(tag), tag);
  }
});

test('everything that shows a cardholder, an account, a track or a PIN is sensitive', () => {
  for (const tag of [
    '56',
    '57',
    '5A',
    '5F20',
    '5F53',
    '9F0B',
    '9F1F',
    '9F20',
    '9F24',
    '9F25',
    '9F6B',
    '99',
    '9F46',
    '9F2D',
  ]) {
    assert.equal(isSensitiveTag(tag), true, tag);
    assert.equal(isSensitiveTag(tag.toLowerCase()), true, tag);
  }
  for (const tag of ['50', '82', '94', '9F10', '9F26', '8E', '5F24', '5F34', 'DF01']) {
    assert.equal(isSensitiveTag(tag), false, tag);
  }
});

test('a card number is shown with its first six and last four digits only', () => {
  assert.equal(maskTagValue('5A', unhex(pan)), '999900******7890');
  assert.equal(maskTagValue('5A', unhex(`${pan}123FFFFF`.slice(0, 20))), '999900*********0123');
  assert.equal(maskTagValue('5A', unhex('99990012')), '********');
});

test('track data, names and certificates show nothing of what is in them', () => {
  assert.equal(maskTagValue('57', unhex(`${pan}D30112019876543F`)), '999900******7890D**************');
  assert.equal(maskTagValue('57', unhex('99990012345678')), '**************');
  assert.equal(maskTagValue('5F20', ascii('YAMADA/TARO')), '***********');
  assert.equal(maskTagValue('56', ascii('B9999')), '*****');
  assert.equal(maskTagValue('9F46', unhex('AABBCC')), '(3 bytes)');
  assert.equal(maskTagValue('70', unhex(`5A08${pan}`)), '(10 bytes)');
});

test('ordinary values are shown in hexadecimal', () => {
  assert.equal(maskTagValue('82', unhex('3900')), '3900');
  assert.equal(maskTagValue('DF01', unhex('0A')), '0A');
});

test('no masked value of a sensitive tag holds seven of its digits in a row', () => {
  const sensitiveTags = knownTags().filter((tag) => isSensitiveTag(tag));
  fc.assert(
    fc.property(fc.constantFrom(...sensitiveTags), fc.stringMatching(/^\d{13,19}$/), (tag, digits) => {
      const value = unhex(digits.padEnd(20, 'F'));
      assert.doesNotMatch(maskTagValue(tag, value), /\d{7}/);
    }),
  );
});
