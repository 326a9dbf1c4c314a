/**
 * Card data that is encrypted well and says something wrong (OD-3.7, OD-3.8): each order is taken with 202 and ends
 * as a data exception that names the member.
 */
import { type Json } from './d1-client.ts';

export interface CardDataFault {
  readonly what: string;
  /** Member as the issuer must find it in `error`; empty when the plaintext as a whole is wrong. */
  readonly member: string;
  /** The plaintext: members that change a good card, or a whole text. */
  readonly plaintext: (good: Json, canary: string) => Json | string;
}

const changed =
  (change: (good: Json, canary: string) => Json): CardDataFault['plaintext'] =>
  (good, canary) => ({ ...good, ...change(good, canary) });

const members = (member: string, cases: Readonly<Record<string, unknown>>): readonly CardDataFault[] =>
  Object.entries(cases).map(([what, wrong]) => ({
    what: `${member}: ${what}`,
    member,
    plaintext: changed(() => ({ [member]: wrong })),
  }));

const pinBlockFaults = (
  byMember: Readonly<Record<string, Readonly<Record<string, Json>>>>,
): readonly CardDataFault[] =>
  Object.entries(byMember).flatMap(([member, cases]) =>
    members('pinBlock', cases).map((fault) => ({ ...fault, member: `pinBlock.${member}` })),
  );

function wrongCheckDigit(pan: string): string {
  return pan.slice(0, -1) + String((Number(pan.at(-1)) + 1) % 10);
}

const lastMonth = (): string => {
  const now = new Date();
  const past = new Date(Date.UTC(now.getUTCFullYear(), now.getUTCMonth() - 1, 1)).toISOString();
  return past.slice(2, 4) + past.slice(5, 7);
};

export const cardDataFaults: readonly CardDataFault[] = [
  {
    what: 'a wrong check digit',
    member: 'pan',
    plaintext: changed((good) => ({
      pan: wrongCheckDigit(String(good['pan'])),
    })),
  },
  {
    what: 'the published sample number',
    member: 'pan',
    plaintext: changed(() => ({ pan: '1234567891234567' })),
  },
  {
    what: 'a real-looking number in the sandbox',
    member: 'pan',
    plaintext: changed(() => ({
      pan: '4000001234567899',
    })),
  },
  ...members('pan', {
    missing: undefined,
    'too short': '99990000000',
    'a number': 9999001234567890,
    empty: '',
  }),
  ...members('exp', {
    missing: undefined,
    'month 13': '3013',
    'month 0': '3000',
    'MMYY of a year from 2013 on': '1230',
    'last month': lastMonth(),
    'three digits': '301',
    'a number': 3012,
  }),
  ...members('name', { 'too long': 'A'.repeat(129), 'a number': 1 }),
  {
    what: 'a name that the chip cannot hold, and no encoded one',
    member: 'encodedName',
    plaintext: changed((_good, canary) => ({ name: `山田 ${canary}`, encodedName: undefined })),
  },
  ...members('encodedName', { 'one character': 'A', 'too long': 'A'.repeat(27), 'lower case': 'sample/a' }),
  ...members('secondName', { 'too long': 'A'.repeat(129) }),
  ...members('cvv1', { 'two digits': '12', letters: 'ABC' }),
  ...members('cvv2', { 'five digits': '12345', 'a number': 123 }),
  ...members('pvv', { 'three digits': '123' }),
  ...members('paymentAccountReference', { 'too short': 'ABC' }),
  ...members('panSequenceNumber', { 'one digit': '1', 'a number': 0 }),
  ...members('effectiveDate', { 'month 13': '301301', 'day 32': '260132', 'after the expiry': '990101' }),
  ...members('pin', { clear: '1234' }),
  ...members('PIN', { 'clear, in capitals': '1234' }).map((one) => ({ ...one, member: 'pin' })),
  ...pinBlockFaults({
    value: {
      'no PIN under this key': { format: 'ISO9564-4', value: '0'.repeat(32), keyIndex: '01' },
      'of another length': { format: 'ISO9564-4', value: '0'.repeat(16), keyIndex: '01' },
    },
    format: { 'not agreed with this issuer': { format: 'ISO9564-0', value: '0'.repeat(16), keyIndex: '01' } },
    keyIndex: { 'not known': { format: 'ISO9564-4', value: '0'.repeat(32), keyIndex: '77' } },
  }),
  ...members('emvData', { 'not offered': { '9F10': '00' } }),
  {
    what: 'an unknown member',
    member: 'surprise',
    plaintext: changed((_good, canary) => ({
      surprise: canary,
    })),
  },
  {
    what: 'a number as the name of a member',
    member: '',
    plaintext: changed((good) => ({ [String(good['pan'])]: true })),
  },
  {
    what: 'another number on a track',
    member: 'trackData.track2',
    plaintext: changed(() => ({ trackData: { track2: '9999001234567890=30121010000000000' } })),
  },
  {
    what: 'a track that is too long',
    member: 'trackData.track2',
    plaintext: changed((good) => ({
      trackData: { track2: `${String(good['pan'])}=3012101${'0'.repeat(40)}` },
    })),
  },
  {
    what: 'a member twice',
    member: 'pan',
    plaintext: (good) => JSON.stringify(good).replace('{', `{"pan":"${String(good['pan'])}",`),
  },
  { what: 'no JSON', member: '', plaintext: (_good, canary) => `{${canary}` },
  { what: 'a list', member: '', plaintext: (good) => JSON.stringify([good]) },
  { what: 'an empty object', member: 'pan', plaintext: () => '{}' },
  { what: 'nothing but a number', member: '', plaintext: () => '7' },
];
