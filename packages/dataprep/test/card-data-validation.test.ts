/** OD-3.7 and OD-3.8 as a table: what is refused, under which name, and what is accepted and how it is read. */
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { luhnCheckDigit } from '@cardwright/domain';
import fc from 'fast-check';
import { canonicalCardData, ccd3desProfile, validateCardData, type CardDataResult } from '../src/index.ts';
import { cardDataArbitrary, testPrefix, today } from './card-data-generator.ts';

const body = `${testPrefix}123456789`;
const pan = body + luhnCheckDigit(body);
const otherBody = `${testPrefix}987654321`;
const otherPan = otherBody + luhnCheckDigit(otherBody);
const valid = { pan, exp: '2906', name: 'A SAMPLE', cvv2: '123' };

const validateText = (text: string, profile = ccd3desProfile): CardDataResult =>
  validateCardData(new TextEncoder().encode(text), profile, today, [testPrefix]);
const validate = (data: unknown, profile = ccd3desProfile): CardDataResult =>
  validateText(JSON.stringify(data), profile);

function refusedField(result: CardDataResult): string {
  assert(!result.ok, 'refused');
  return result.field;
}

function accepted(result: CardDataResult) {
  assert(result.ok, result.ok ? '' : `refused: ${result.field}`);
  return result.card;
}

const pinBlock = { format: 'ISO9564-4', value: '0123456789ABCDEF'.repeat(2), keyIndex: '01' };

const track1 = `B${pan}^SAMPLE/A^2906201`;
const track2 = `${pan}=2906201`;

/** [what, card data, field in error] */
const refusals: readonly (readonly [string, unknown, string])[] = [
  ['no PAN', { ...valid, pan: undefined }, 'pan'],
  ['a PAN of 11 digits', { ...valid, pan: pan.slice(0, 11) }, 'pan'],
  ['a PAN of 20 digits', { ...valid, pan: `${pan}0000` }, 'pan'],
  ['a PAN with letters', { ...valid, pan: `${pan.slice(0, -1)}X` }, 'pan'],
  ['a PAN as a number', { ...valid, pan: Number(pan) }, 'pan'],
  ['a wrong check digit', { ...valid, pan: body + String((Number(luhnCheckDigit(body)) + 1) % 10) }, 'pan'],
  [
    'a PAN outside the test prefixes',
    { ...valid, pan: `411111111111111${luhnCheckDigit('411111111111111')}` },
    'pan',
  ],
  ['no expiry', { ...valid, exp: undefined }, 'exp'],
  ['an expiry in the other order', { ...valid, exp: '0629' }, 'exp'],
  ['month 00', { ...valid, exp: '2900' }, 'exp'],
  ['month 13', { ...valid, exp: '2913' }, 'exp'],
  ['the month before this one', { ...valid, exp: '2610' }, 'exp'],
  ['an expiry beyond the EMV century', { ...valid, exp: '5001' }, 'exp'],
  ['three digits of expiry', { ...valid, exp: '296' }, 'exp'],
  ['no name where the artwork prints it', { ...valid, name: undefined }, 'name'],
  ['an empty name', { ...valid, name: '' }, 'name'],
  ['a name of 129 characters', { ...valid, name: 'A'.repeat(129), encodedName: 'SAMPLE/A' }, 'name'],
  ['a control character in the name', { ...valid, name: 'A\u0007SAMPLE' }, 'name'],
  ['a line break in the name', { ...valid, name: 'A\nSAMPLE' }, 'name'],
  ['a name in another script', { ...valid, name: 'Анна', encodedName: 'SAMPLE/A' }, 'name'],
  ['an emoji as name', { ...valid, name: '😀😀', encodedName: 'SAMPLE/A' }, 'name'],
  ['half a surrogate pair', { ...valid, name: 'A\ud800', encodedName: 'SAMPLE/A' }, 'name'],
  ['a name with blanks around', { ...valid, name: ' A SAMPLE' }, 'name'],
  ['a Japanese name without encodedName', { ...valid, name: '山田太郎' }, 'encodedName'],
  ['an accented name without encodedName', { ...valid, name: 'JOSÉ SAMPLE' }, 'encodedName'],
  ['a sharp s without encodedName', { ...valid, name: 'GROß A' }, 'encodedName'],
  ['a long name without encodedName', { ...valid, name: 'A VERYLONGFIRSTNAME ANDSURNAME' }, 'encodedName'],
  ['an apostrophe without encodedName', { ...valid, name: "CONAN O'BRIEN" }, 'encodedName'],
  ['a second name of 129 characters', { ...valid, secondName: 'A'.repeat(129) }, 'secondName'],
  ['a control character in the second name', { ...valid, secondName: 'A\u0000B' }, 'secondName'],
  ['an encoded name of one character', { ...valid, encodedName: 'A' }, 'encodedName'],
  ['an encoded name of 27 characters', { ...valid, encodedName: `${'A'.repeat(25)}/B` }, 'encodedName'],
  ['lower case in the encoded name', { ...valid, encodedName: 'Sample/A' }, 'encodedName'],
  ['a caret in the encoded name', { ...valid, encodedName: 'SAMPLE^A' }, 'encodedName'],
  ['Japanese in the encoded name', { ...valid, encodedName: '山田/太郎' }, 'encodedName'],
  ['no security code where the artwork prints it', { ...valid, cvv2: undefined }, 'cvv2'],
  ['a security code of 2 digits', { ...valid, cvv2: '12' }, 'cvv2'],
  ['a security code of 5 digits', { ...valid, cvv2: '12345' }, 'cvv2'],
  ['cvv1 of 4 digits', { ...valid, cvv1: '1234' }, 'cvv1'],
  ['cvv1 equal to cvv2', { ...valid, cvv1: '123' }, 'cvv2'],
  ['a PVV of 3 digits', { ...valid, pvv: '123' }, 'pvv'],
  [
    'a PAR of 28 characters',
    { ...valid, paymentAccountReference: 'A'.repeat(28) },
    'paymentAccountReference',
  ],
  ['a PAR in lower case', { ...valid, paymentAccountReference: 'a'.repeat(29) }, 'paymentAccountReference'],
  ['a sequence number of one digit', { ...valid, panSequenceNumber: '1' }, 'panSequenceNumber'],
  ['31 February as effective date', { ...valid, effectiveDate: '260231' }, 'effectiveDate'],
  ['an effective date in ISO form', { ...valid, effectiveDate: '2026-11-23' }, 'effectiveDate'],
  ['an effective date after expiry', { ...valid, effectiveDate: '290701' }, 'effectiveDate'],
  [
    'track 1 of another card',
    { ...valid, trackData: { track1: track1.replace(pan, otherPan) } },
    'trackData.track1',
  ],
  [
    'track 2 of another card',
    { ...valid, trackData: { track2: track2.replace(pan, otherPan) } },
    'trackData.track2',
  ],
  ['track 3 of another card', { ...valid, trackData: { track3: `01${otherPan}=0` } }, 'trackData.track3'],
  [
    'track 1 of 77 characters',
    { ...valid, trackData: { track1: track1.padEnd(77, '0') } },
    'trackData.track1',
  ],
  [
    'track 2 of 38 characters',
    { ...valid, trackData: { track2: track2.padEnd(38, '0') } },
    'trackData.track2',
  ],
  [
    'track 3 of 105 characters',
    { ...valid, trackData: { track3: `01${pan}=`.padEnd(105, '0') } },
    'trackData.track3',
  ],
  ['letters in track 2', { ...valid, trackData: { track2: `${track2}A` } }, 'trackData.track2'],
  ['lower case in track 1', { ...valid, trackData: { track1: track1.toLowerCase() } }, 'trackData.track1'],
  ['a track without PAN', { ...valid, trackData: { track2: '=2906' } }, 'trackData.track2'],
  ['an unknown track', { ...valid, trackData: { track4: '1' } }, 'trackData.track4'],
  ['trackData as a string', { ...valid, trackData: track2 }, 'trackData'],
  ['an unknown member', { ...valid, emvData: {} }, 'emvData'],
  ['a clear PIN', { ...valid, pin: '1234' }, 'pin'],
  ['a clear PIN in capitals', { ...valid, PIN: '1234' }, 'pin'],
  ['a clear PIN inside another member', { ...valid, trackData: { pin: '1234' } }, 'trackData.pin'],
  ['a clear PIN before anything else wrong', { pin: '1234' }, 'pin'],
  ['a PIN block in TR-31', { ...valid, pinBlock: { ...pinBlock, format: 'TR31' } }, 'pinBlock.format'],
  [
    'a format 0 block where the issuer may not send one',
    { ...valid, pinBlock: { ...pinBlock, format: 'ISO9564-0', value: '0123456789ABCDEF' } },
    'pinBlock.format',
  ],
  [
    'a PIN block in no format',
    { ...valid, pinBlock: { ...pinBlock, format: 'ISO9564-2' } },
    'pinBlock.format',
  ],
  [
    'a PIN block of 31 digits',
    { ...valid, pinBlock: { ...pinBlock, value: '0'.repeat(31) } },
    'pinBlock.value',
  ],
  [
    'a PIN block in lower case',
    { ...valid, pinBlock: { ...pinBlock, value: 'a'.repeat(32) } },
    'pinBlock.value',
  ],
  ['a key index with a slash', { ...valid, pinBlock: { ...pinBlock, keyIndex: '1/2' } }, 'pinBlock.keyIndex'],
  ['a clear PIN beside a block', { ...valid, pinBlock: { ...pinBlock, pin: '1234' } }, 'pinBlock.pin'],
  ['an array', [valid], ''],
  ['a string', 'card', ''],
  ['null', null, ''],
];

describe('card data that is refused', () => {
  for (const [what, data, field] of refusals) {
    it(`${what} is refused naming ${field === '' ? 'the text' : field}`, () => {
      assert.equal(refusedField(validate(data)), field);
    });
  }

  it('a duplicate member is refused under its name', () => {
    assert.equal(refusedField(validateText(`{"pan":"${pan}","pan":"${pan}","exp":"2906"}`)), 'pan');
  });

  it('text that is not strict JSON, or not UTF-8, is refused as a whole', () => {
    for (const text of [
      '',
      '{',
      `{"pan":"${pan}",}`,
      `\ufeff${JSON.stringify(valid)}`,
      `${JSON.stringify(valid)} //`,
    ]) {
      assert.equal(refusedField(validateText(text)), '');
    }
    const bytes = new TextEncoder().encode(JSON.stringify(valid));
    bytes[10] = 0xff;
    assert.equal(refusedField(validateCardData(bytes, ccd3desProfile, today, [testPrefix])), '');
  });

  it('text nested so deeply that a parser would overflow its stack is refused like any other', () => {
    for (const text of ['['.repeat(6000), `${'['.repeat(4000)}${']'.repeat(4000)}`, '{"a":'.repeat(1500)]) {
      assert.equal(refusedField(validateText(text)), '');
    }
  });

  it('a member name that could hide card data is not repeated', () => {
    assert.equal(refusedField(validate({ ...valid, [pan]: 'x' })), '');
    assert.equal(refusedField(validate({ ...valid, trackData: { [`track${pan}`]: 'x' } })), 'trackData');
    assert.equal(refusedField(validateText(`{"x${pan}":1,"x${pan}":1}`)), '');
  });

  it('a product on MMYY reads MMYY and never swaps', () => {
    const mmyy = { ...ccd3desProfile, expiryOrder: 'MMYY' as const };
    assert.equal(accepted(validate({ ...valid, exp: '0629' }, mmyy)).expiry, '2906');
    assert.equal(refusedField(validate({ ...valid, exp: '2906' }, mmyy)), 'exp');
  });
});

describe('card data that is accepted', () => {
  it('the smallest order gets its defaults: sequence 00, effective today, surname first', () => {
    const card = accepted(validate(valid));
    assert.equal(card.panSequenceNumber, '00');
    assert.equal(card.effectiveDate, '261123');
    assert.equal(card.encodedName, 'SAMPLE/A');
    assert.equal(card.expirationDate, '290630');
    assert.equal(card.isTestCard, true);
  });

  it('the current month is still valid, and a leap February ends on the 29th', () => {
    assert.equal(accepted(validate({ ...valid, exp: '2611' })).expirationDate, '261130');
    assert.equal(accepted(validate({ ...valid, exp: '2802' })).expirationDate, '280229');
  });

  it('a Japanese name is printed as it is and encoded as the issuer says', () => {
    const card = accepted(validate({ ...valid, name: '山田　太郎', encodedName: 'YAMADA/TARO' }));
    assert.equal(card.name, '山田　太郎');
    assert.equal(card.encodedName, 'YAMADA/TARO');
  });

  it('the name of track 1 is taken where encodedName is absent', () => {
    const card = accepted(validate({ ...valid, name: '山田太郎', trackData: { track1: `%${track1}?` } }));
    assert.equal(card.encodedName, 'SAMPLE/A');
    assert.equal(card.tracks.track1, track1);
  });

  it('sentinels are stripped from every track', () => {
    const trackData = { track1: `%${track1}?`, track2: `;${track2}?`, track3: `;01${pan}=5?` };
    assert.deepEqual(accepted(validate({ ...valid, trackData })).tracks, {
      track1,
      track2,
      track3: `01${pan}=5`,
    });
  });

  it('a security code that the product does not print is dropped', () => {
    const print = { ...ccd3desProfile.print, printsSecurityCode: false };
    const card = accepted(validate(valid, { ...ccd3desProfile, print }));
    assert.equal(card.securityCode, undefined);
  });

  it('without test prefixes any PAN is taken and the card is no test card', () => {
    const result = validateCardData(
      new TextEncoder().encode(JSON.stringify(valid)),
      ccd3desProfile,
      today,
      [],
    );
    assert.equal(accepted(result).isTestCard, false);
  });
});

describe('card data in general', () => {
  it('any card data made by the rules is accepted', () => {
    fc.assert(
      fc.property(cardDataArbitrary, (data) => {
        accepted(validate(data));
      }),
    );
  });

  it('whatever replaces a member, the verdict is acceptance or the name of a member', () => {
    const members = [
      ...Object.keys(valid),
      'trackData',
      'encodedName',
      'effectiveDate',
      'pvv',
      'pinBlock',
      'other',
    ];
    fc.assert(
      fc.property(cardDataArbitrary, fc.constantFrom(...members), fc.jsonValue(), (data, member, value) => {
        const result = validate({ ...data, [member]: value });
        if (!result.ok)
          assert.match(result.field, new RegExp(`^(${member}|encodedName|cvv2|pin|)([.[].*)?$`));
      }),
    );
  });

  it('the canonical form ignores order and blanks, and nothing else', () => {
    fc.assert(
      fc.property(cardDataArbitrary, (data) => {
        const reversed = Object.fromEntries(Object.entries(data).reverse());
        assert.deepEqual(canonicalCardData(data), canonicalCardData(reversed));
        assert.notDeepEqual(canonicalCardData(data), canonicalCardData({ ...data, exp: '9999' }));
      }),
    );
  });
});
