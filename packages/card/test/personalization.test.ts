import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { concatBytes, encodeDgi, hex, statusWord, tlv, unhex } from '@cardwright/emv';
import { type TestDgi, type TestInstance, makeCardData } from './personalization-data.ts';
import {
  PROTOCOLS,
  encodeForSession,
  installForPersonalization,
  lifeCycleOf,
  makeBlank,
  openSession,
  personalize,
  personalizeInstance,
  select,
  send,
  storeData,
  storeDataCommands,
} from './personalization-host.ts';

const APPLICATION = 'F0434152440001';
const PSE = '315041592E5359532E4444463031';

/** The application with one DGI replaced (or dropped). */
function withDgi(
  instance: TestInstance,
  id: string,
  change: (dgi: TestDgi) => TestDgi | undefined,
): TestInstance {
  return {
    aid: instance.aid,
    dgis: instance.dgis.flatMap((dgi) =>
      dgi.id === id ? [change(dgi)].filter((kept) => kept !== undefined) : [dgi],
    ),
  };
}

for (const protocol of PROTOCOLS) {
  describe(`personalization over ${protocol}`, () => {
    it('makes the three instances it names PERSONALIZED, leaves the other application, and survives a reset', () => {
      const card = makeBlank(protocol);
      personalize(card, makeCardData({ pin: '4524' }));
      assert.deepEqual(
        card.inspect().applications.map(({ lifeCycle }) => lifeCycle),
        ['PERSONALIZED', 'PERSONALIZED', 'PERSONALIZED', 'SELECTABLE'],
      );
      assert.equal(send(card, '80A8000002830000').sw, '6D00');
      assert.equal(select(card, APPLICATION).sw, '9000');
      assert.equal(send(card, '80A8000002830000').sw, '9000');
    });

    it('returns records byte for byte as they were stored, and the directory leads to the application', () => {
      const card = makeBlank(protocol);
      const data = makeCardData();
      personalize(card, data);
      assert.equal(select(card, PSE).sw, '9000');
      const directory = send(card, '00B2010C00');
      assert.equal(directory.data, hex(data.pse.dgis[1]?.value ?? new Uint8Array(0)));
      assert.ok(directory.data.includes(`4F07${APPLICATION}`));
      select(card, APPLICATION);
      const records = data.application.dgis.filter(({ id }) => /^0[123]/.test(id));
      assert.equal(records.length, 5);
      for (const { id, value } of records) {
        const p2 = (Number(id.slice(0, 2)) << 3) | 4;
        const answer = send(card, `00B2${id.slice(2)}${p2.toString(16).padStart(2, '0')}00`);
        assert.deepEqual(answer, { data: hex(value), sw: '9000' });
      }
    });

    it('takes several DGIs in one command and one DGI over several', () => {
      const card = makeBlank(protocol);
      const { pse } = makeCardData();
      const session = openSession(card);
      const bytes = concatBytes(...pse.dgis.map((dgi) => encodeForSession(session, dgi)));
      assert.equal(session.exchange(installForPersonalization(pse.aid)), '9000');
      // The first cut goes through the two-byte identifier of the DGI.
      assert.equal(session.exchange(storeData(0, 0, bytes.slice(0, 1))), '9000');
      assert.equal(session.exchange(storeData(0, 1, bytes.slice(1, 7))), '9000');
      assert.equal(session.exchange(storeData(0x80, 2, bytes.slice(7))), '9000');
      assert.equal(lifeCycleOf(card, PSE), 'PERSONALIZED');
    });

    it('refuses a wrong key check value with 6A80 and does not become personalized', () => {
      const card = makeBlank(protocol);
      const { application } = makeCardData();
      const wrong = withDgi(application, '9000', (dgi) => {
        const value = dgi.value.slice();
        value[8] = (value[8] ?? 0) ^ 1;
        return { ...dgi, value };
      });
      assert.equal(personalizeInstance(openSession(card), wrong).at(-1), '6A80');
      assert.equal(lifeCycleOf(card, APPLICATION), 'SELECTABLE');
    });

    for (const id of ['9102', '9104', '0202', '0301', '3000', '8000', '9000', '9200', '8201', '8205']) {
      it(`answers 6A86 at the end when DGI ${id} is missing`, () => {
        const card = makeBlank(protocol);
        const { application } = makeCardData();
        const incomplete = withDgi(application, id, () => undefined);
        assert.equal(personalizeInstance(openSession(card), incomplete).at(-1), '6A86');
        assert.equal(lifeCycleOf(card, APPLICATION), 'SELECTABLE');
      });
    }

    it('refuses a block out of order with 6A86 and goes on with the right one', () => {
      const card = makeBlank(protocol);
      const { pse } = makeCardData();
      const session = openSession(card);
      session.exchange(installForPersonalization(pse.aid));
      const [first, second] = storeDataCommands(session, pse.dgis);
      assert.ok(first !== undefined && second !== undefined);
      assert.equal(session.exchange(second), '6A86');
      assert.equal(session.exchange(first), '9000');
      assert.equal(session.exchange(first), '6A86');
      assert.equal(session.exchange(second), '9000');
    });

    it('refuses a card that is personalized already with 6985, also after a reset', () => {
      const card = makeBlank(protocol);
      const data = makeCardData();
      personalize(card, data);
      const session = openSession(card);
      for (const { aid } of [data.pse, data.ppse, data.application]) {
        assert.equal(session.exchange(installForPersonalization(aid)), '6985');
      }
      assert.equal(session.exchange(storeData(0x80, 0, unhex('9102020102'))), '6985');
    });

    it('refuses STORE DATA after the last block with 6985', () => {
      const card = makeBlank(protocol);
      const { pse } = makeCardData();
      const session = openSession(card);
      assert.equal(personalizeInstance(session, pse).at(-1), '9000');
      assert.equal(session.exchange(storeData(0x00, 2, unhex('9102020102'))), '6985');
    });

    it('refuses secret DGIs in clear and clear DGIs enciphered with 6A80', () => {
      for (const id of ['8000', '8203', '0101', '9200']) {
        const card = makeBlank(protocol);
        const { application } = makeCardData();
        const swapped = withDgi(application, id, (dgi) => ({
          ...dgi,
          isSecret: !dgi.isSecret,
          value:
            dgi.value.length % 16 === 0
              ? dgi.value
              : concatBytes(dgi.value, new Uint8Array(16 - (dgi.value.length % 16))),
        }));
        assert.equal(personalizeInstance(openSession(card), swapped).at(-1), '6A80', id);
      }
    });

    it('refuses a change of encipherment in the middle of a DGI with 6A80', () => {
      const { pse } = makeCardData();
      const session = openSession(makeBlank(protocol));
      session.exchange(installForPersonalization(pse.aid));
      assert.equal(session.exchange(storeData(0x00, 0, unhex('91020A0102'))), '9000');
      assert.equal(session.exchange(storeData(0x60, 1, unhex('0102'))), '6A80');
    });

    it('refuses an unfinished DGI in the last block with 6A80', () => {
      const { pse } = makeCardData();
      const session = openSession(makeBlank(protocol));
      session.exchange(installForPersonalization(pse.aid));
      assert.equal(session.exchange(storeData(0x80, 0, unhex('91020A0102'))), '6A80');
    });

    it('refuses RSA components that do not belong together with 6A80', () => {
      const { application } = makeCardData();
      const q = application.dgis.find(({ id }) => id === '8204')?.value ?? new Uint8Array(0);
      const p = application.dgis.find(({ id }) => id === '8205')?.value ?? new Uint8Array(0);
      // The two primes in each other's place: the classic mistake.
      const first = withDgi(application, '8204', (dgi) => ({ ...dgi, value: p }));
      const swapped = withDgi(first, '8205', (dgi) => ({ ...dgi, value: q }));
      assert.equal(personalizeInstance(openSession(makeBlank(protocol)), swapped).at(-1), '6A80');
    });

    it('forgets an unfinished run when the session ends, and can be personalized afterwards', () => {
      const card = makeBlank(protocol);
      const data = makeCardData();
      const session = openSession(card);
      session.exchange(installForPersonalization(data.application.aid));
      for (const command of storeDataCommands(session, data.application.dgis).slice(0, 5)) {
        assert.equal(session.exchange(command), '9000');
      }
      card.reset();
      assert.equal(lifeCycleOf(card, APPLICATION), 'SELECTABLE');
      const again = openSession(card);
      assert.equal(again.exchange(storeData(0, 5, unhex('9102020102'))), '6985');
      const incomplete = withDgi(data.application, '9102', () => undefined);
      assert.equal(personalizeInstance(again, incomplete).at(-1), '6A86');
      assert.equal(personalizeInstance(again, data.application).at(-1), '9000');
    });
  });
}

describe('personalization commands that make no sense', () => {
  const cases: readonly (readonly [string, string, string])[] = [
    ['an unknown DGI', 'A00102AABB', '6A88'],
    [
      'a record of more than 254 bytes',
      hex(encodeDgi('0101', tlv('70', tlv('57', new Uint8Array(250))))),
      '6A80',
    ],
    ['a record that is no template 70', '01010371015A', '6A80'],
    ['application keys of a wrong length in clear', '800002AABB', '6A80'],
    ['a PIN try counter above its limit', '9010020403', '6A80'],
    ['key check values of a wrong length', '900003AABBCC', '6A80'],
  ];
  for (const [name, dgi, expected] of cases) {
    it(`refuses ${name} with ${expected}`, () => {
      const { application } = makeCardData();
      const session = openSession(makeBlank('SCP03'));
      session.exchange(installForPersonalization(application.aid));
      const bytes = unhex(dgi);
      assert.equal(
        session.exchange(storeData(0, 0, bytes.slice(0, 231))),
        bytes.length > 231 ? '9000' : expected,
      );
      if (bytes.length > 231) assert.equal(session.exchange(storeData(0, 1, bytes.slice(231))), expected);
    });
  }

  it('refuses reserved codings of P1 with 6A86', () => {
    const { pse } = makeCardData();
    const session = openSession(makeBlank('SCP03'));
    session.exchange(installForPersonalization(pse.aid));
    for (const p1 of [0x20, 0x40, 0x10, 0x18, 0x01, 0x04]) {
      assert.equal(session.exchange(storeData(p1, 0, unhex('7FFF0100'))), '6A86');
    }
    assert.equal(session.exchange(storeData(0x08, 0, unhex('7FFF0100'))), '9000');
  });

  it('refuses an unknown target with 6A88 and a malformed one with 6A80', () => {
    const session = openSession(makeBlank('SCP03'));
    assert.equal(session.exchange(installForPersonalization(unhex('F000000001'))), '6A88');
    assert.equal(
      session.exchange({ cla: 0x80, ins: 0xe6, p1: 0x20, p2: 0, data: unhex('000007F0') }),
      '6A80',
    );
  });

  it('refuses STORE DATA without a target with 6985, without a session with 6982', () => {
    const card = makeBlank('SCP03');
    assert.equal(openSession(card).exchange(storeData(0, 0, unhex('7FFF0100'))), '6985');
    card.reset();
    assert.equal(statusWord(card.transmit(unhex('80E20000047FFF0100'))), '6982');
  });

  it('a card without personalization refuses GPO, READ RECORD and GENERATE AC with 6985', () => {
    const card = makeBlank('SCP03');
    assert.equal(select(card, APPLICATION).sw, '9000');
    for (const command of ['80A8000002830000', '00B2010C00', '80AE80000100', '00880000040000000000']) {
      assert.equal(send(card, command).sw, '6985');
    }
    assert.equal(select(card, PSE).sw, '9000');
    assert.equal(send(card, '00B2010C00').sw, '6985');
  });

  it('block numbers wrap from FF to 00', () => {
    const { application } = makeCardData();
    const session = openSession(makeBlank('SCP03'));
    session.exchange(installForPersonalization(application.aid));
    for (let block = 0; block < 258; block += 1) {
      assert.equal(session.exchange(storeData(0, block & 0xff, unhex('7FFF0100'))), '9000');
    }
  });
});
