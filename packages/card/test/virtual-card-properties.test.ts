import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import fc from 'fast-check';
import { concatBytes, encodeCommand, hex, statusWord, unhex } from '@cardwright/emv';
import { makeCardData } from './personalization-data.ts';
import {
  PROTOCOLS,
  beginSession,
  installForPersonalization,
  lifeCycleOf,
  makeBlank,
  openSession,
  personalize,
  select,
  send,
  storeData,
  storeDataCommands,
} from './personalization-host.ts';

const APPLICATION = 'F0434152440001';
const PPSE = '325041592E5359532E4444463031';
/** Well-formed commands that reach deep, to mix with random ones. */
const KNOWN_COMMANDS = [
  '00A4040000',
  `00A4040007${APPLICATION}00`,
  '00A404000E315041592E5359532E444446303100',
  '8050000008000102030405060700',
  '80CA9F7F00',
  '80A8000002830000',
  '00B2010C00',
  '00B2031400',
  '00880000041234567800',
  `80AE90001D${'00'.repeat(29)}00`,
  `80AE400027${'00'.repeat(39)}00`,
  '80CA9F1700',
  '80E28000047FFF0100',
  '80F080FF',
];

const anyApdu = fc.oneof(
  { weight: 3, arbitrary: fc.uint8Array({ maxLength: 262 }) },
  { weight: 3, arbitrary: fc.constantFrom(...KNOWN_COMMANDS).map(unhex) },
  {
    weight: 4,
    arbitrary: fc
      .tuple(
        fc.constantFrom(0x00, 0x80, 0x84, 0x04),
        fc.constantFrom(
          0xa4,
          0x50,
          0x82,
          0xe6,
          0xe2,
          0xe4,
          0xd8,
          0xf0,
          0xf2,
          0xca,
          0xa8,
          0xb2,
          0x88,
          0x20,
          0xae,
        ),
        fc.nat(255),
        fc.nat(255),
        fc.uint8Array({ minLength: 1, maxLength: 255 }),
      )
      .map(([cla, ins, p1, p2, data]) => encodeCommand({ cla, ins, p1, p2, data })),
  },
);

function assertAnswers(response: Uint8Array): void {
  assert.ok(response.length >= 2 && response.length <= 258);
  assert.match(statusWord(response), /^(9000|6[0-9A-E][0-9A-F]{2})$/);
}

describe('whatever a host sends', () => {
  for (const protocol of PROTOCOLS) {
    it(`a blank over ${protocol} answers every sequence of APDUs with a status word`, () => {
      fc.assert(
        fc.property(fc.array(anyApdu, { maxLength: 30 }), (apdus) => {
          const card = makeBlank(protocol);
          for (const apdu of apdus) assertAnswers(card.transmit(apdu));
        }),
        { numRuns: 150 },
      );
    });

    it(`an authenticated host over ${protocol} gets a status word for any command it wraps`, () => {
      const commands = fc.array(
        fc.record({
          cla: fc.constant(0x80),
          ins: fc.constantFrom(0xe6, 0xe2, 0xe4, 0xd8, 0xf0, 0xf2, 0xca, 0xa4),
          p1: fc.constantFrom(0x00, 0x01, 0x04, 0x08, 0x0c, 0x20, 0x40, 0x60, 0x80, 0xe0),
          p2: fc.constantFrom(0x00, 0x01, 0x02, 0x81, 0x7f),
          data: fc.uint8Array({ minLength: 1, maxLength: 200 }),
        }),
        { maxLength: 12 },
      );
      fc.assert(
        fc.property(commands, (list) => {
          const card = makeBlank(protocol);
          const session = openSession(card);
          session.exchange(installForPersonalization(unhex(APPLICATION)));
          for (const command of list) assertAnswers(session.transmit(command));
          assert.notEqual(lifeCycleOf(card, APPLICATION), 'PERSONALIZED');
        }),
        { numRuns: 100 },
      );
    });
  }

  it('a personalized card answers every sequence of APDUs with a status word', () => {
    const card = makeBlank('SCP03');
    personalize(card, makeCardData({ pin: '4524' }));
    fc.assert(
      fc.property(fc.array(anyApdu, { maxLength: 20 }), (apdus) => {
        card.reset();
        for (const apdu of apdus) assertAnswers(card.transmit(apdu));
      }),
      { numRuns: 150 },
    );
  });
});

describe('tampering', () => {
  for (const protocol of PROTOCOLS) {
    for (const level of [0x01, 0x03]) {
      it(`any single flipped bit in a wrapped command is refused (${protocol}, level 0${String(level)})`, () => {
        const { ppse } = makeCardData();
        const prepare = () => {
          const card = makeBlank(protocol);
          const session = openSession(card, { level });
          assert.equal(session.exchange(installForPersonalization(ppse.aid)), '9000');
          const [command] = storeDataCommands(session, ppse.dgis);
          assert.ok(command !== undefined);
          return { card, session, wrapped: session.wrap(command) };
        };
        const bits = prepare().wrapped.length * 8;
        for (let bit = 0; bit < bits; bit += 1) {
          const { card, session, wrapped } = prepare();
          wrapped[bit >> 3] = (wrapped[bit >> 3] ?? 0) ^ (1 << (bit & 7));
          const sw = statusWord(card.transmit(wrapped));
          assert.notEqual(sw, '9000', `bit ${String(bit)} of ${hex(wrapped)}`);
          assert.equal(lifeCycleOf(card, PPSE), 'SELECTABLE');
          assert.equal(session.exchange(storeData(0x80, 0, unhex('7FFF0100'))), '6982');
          assert.equal(select(card, PPSE).data, `6F12840E${PPSE}A500`);
        }
      });
    }
  }

  it('any single flipped bit of EXTERNAL AUTHENTICATE opens no session', () => {
    for (const protocol of PROTOCOLS) {
      for (let bit = 0; bit < 21 * 8; bit += 1) {
        const card = makeBlank(protocol);
        const apdu = beginSession(card).externalAuthenticate;
        apdu[bit >> 3] = (apdu[bit >> 3] ?? 0) ^ (1 << (bit & 7));
        assert.notEqual(statusWord(card.transmit(apdu)), '9000', `bit ${String(bit)}`);
        assert.equal(send(card, '84F240020A4F00' + '00'.repeat(8)).sw, '6982');
      }
    }
  });

  it('STORE DATA cut anywhere gives the same card', () => {
    const data = makeCardData();
    fc.assert(
      fc.property(fc.array(fc.integer({ min: 1, max: 60 }), { minLength: 1, maxLength: 8 }), (sizes) => {
        const card = makeBlank('SCP03');
        const session = openSession(card);
        session.exchange(installForPersonalization(data.pse.aid));
        const bytes = concatBytes(
          ...data.pse.dgis.map(({ id, value }) => concatBytes(unhex(id), Uint8Array.of(value.length), value)),
        );
        let offset = 0;
        let block = 0;
        while (offset < bytes.length) {
          const end = Math.min(bytes.length, offset + (sizes[block % sizes.length] ?? 1));
          const p1 = end === bytes.length ? 0x80 : 0x00;
          assert.equal(session.exchange(storeData(p1, block & 0xff, bytes.slice(offset, end))), '9000');
          offset = end;
          block += 1;
        }
        select(card, hex(data.pse.aid));
        assert.equal(send(card, '00B2010C00').data, hex(data.pse.dgis[1]?.value ?? new Uint8Array(0)));
      }),
      { numRuns: 50 },
    );
  });
});
