/** Random card data that the rules of OD-3.7 accept, for property tests. */
import { luhnCheckDigit } from '@cardwright/domain';
import fc from 'fast-check';

export const testPrefix = '999900';
export const today = new Date('2026-11-23T21:00:00Z');

/** A Luhn-valid PAN under the test prefix, 12 to 19 digits. */
export const panArbitrary = fc
  .integer({ min: 12, max: 19 })
  .chain((length) =>
    fc
      .array(fc.integer({ min: 0, max: 9 }), {
        minLength: length - testPrefix.length - 1,
        maxLength: length - testPrefix.length - 1,
      })
      .map((digits) => testPrefix + digits.join('')),
  )
  .map((body) => body + luhnCheckDigit(body));

const expiryArbitrary = fc
  .tuple(fc.integer({ min: 27, max: 49 }), fc.integer({ min: 1, max: 12 }))
  .map(([year, month]) => `${String(year)}${String(month).padStart(2, '0')}`);

const word = fc.stringMatching(/^[A-Za-z]{2,10}$/);
const latinName = fc.tuple(word, word).map((words) => words.join(' '));
const japaneseName = fc.stringMatching(/^[あ-んア-ン一-龠]{2,12}$/);
const encodedName = fc.stringMatching(/^[A-Z]{2,12}\/[A-Z ]{1,12}$/);
const digits = (length: number): fc.Arbitrary<string> => fc.stringMatching(new RegExp(`^[0-9]{${length}}$`));

const names = fc.oneof(
  latinName.map((name) => ({ name })),
  fc.record({ name: japaneseName, encodedName }),
);

/** Card data objects that the validator must accept. */
export const cardDataArbitrary = fc
  .tuple(
    names,
    fc.record(
      {
        pan: panArbitrary,
        exp: expiryArbitrary,
        cvv2: digits(3),
        secondName: latinName,
        pvv: digits(4),
        paymentAccountReference: fc.stringMatching(/^[A-Z0-9]{29}$/),
        panSequenceNumber: digits(2),
        effectiveDate: fc.constantFrom('261101', '251231', '270131'),
      },
      { requiredKeys: ['pan', 'exp', 'cvv2'] },
    ),
  )
  .map(([name, rest]) => ({ ...name, ...rest }));
