import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { aesGpKcv, concatBytes, hex, responseData, statusWord, tdesKcv, unhex } from '@cardwright/emv';
import { makeCardData } from './personalization-data.ts';
import {
  type HostSession,
  PROTOCOLS,
  SERIAL,
  beginSession,
  lifeCycleOf,
  makeBlank,
  openSession,
  personalizeInstance,
  select,
  send,
} from './personalization-host.ts';

const APPLICATION = 'F0434152440001';
const LOAD_FILE = 'F0434152445000';
const DIRECTORY_MODULE = 'F043415244500001';

function command(ins: number, p1: number, p2: number, data: string) {
  return { cla: 0x80, ins, p1, p2, data: unhex(data) };
}

/** INSTALL data: load file, module, instance, privileges, parameters, token. */
function installData(loadFile: string, module: string, instance: string): string {
  return [loadFile, module, instance, '00', 'C900', '']
    .map((field) => (field.length / 2).toString(16).padStart(2, '0') + field)
    .join('');
}

function setStatus(session: HostSession, p1: number, p2: number, data = ''): string {
  return session.exchange(data === '' ? { cla: 0x80, ins: 0xf0, p1, p2 } : command(0xf0, p1, p2, data));
}

describe('what a blank says about itself', () => {
  it('is selected at the security domain after a reset and gives its CPLC with the serial', () => {
    const cplc = send(makeBlank('SCP03'), '80CA9F7F00');
    assert.equal(cplc.sw, '9000');
    assert.equal(cplc.data.length, (3 + 42) * 2);
    assert.equal(cplc.data.slice(6 + 24, 6 + 32), hex(SERIAL.slice(-4)));
    assert.equal(cplc.data.slice(6 + 32, 6 + 36), hex(SERIAL.slice(0, 2)));
  });

  it('announces its secure channel and its keys', () => {
    assert.ok(send(makeBlank('SCP02'), '80CA006600').data.includes('2A864886FC6B040215'));
    assert.ok(send(makeBlank('SCP03'), '80CA006600').data.includes('2A864886FC6B040310'));
    assert.equal(send(makeBlank('SCP02'), '80CA00E000').data, 'E012C00401018010C00402018010C00403018010');
    assert.equal(send(makeBlank('SCP03'), '80CA007100').sw, '6A88');
  });

  it('refuses a serial of an impossible length', () => {
    assert.throws(() => makeBlank('SCP03', { serial: unhex('010203') }), RangeError);
  });

  it('knows short lengths only', () => {
    const card = makeBlank('SCP03');
    for (const apdu of ['00A404', '00A4040000000100', '00A4040003AABB', '80CA9F7F000000']) {
      assert.equal(send(card, apdu).sw, '6700');
    }
  });
});

for (const protocol of PROTOCOLS) {
  describe(`content management over ${protocol}`, () => {
    it('GET STATUS lists card, applications, load file and modules, and only to a known host', () => {
      const card = makeBlank(protocol);
      assert.equal(send(card, '80F24002024F0000').sw, '6982');
      const session = openSession(card);
      const list = (p1: number, data = '4F00') => session.transmit(command(0xf2, p1, 0x02, data));
      assert.ok(hex(list(0x80)).includes('4F08A0000001510000009F70010F'));
      assert.ok(hex(list(0x40)).includes(`4F07${APPLICATION}9F700107`));
      assert.ok(hex(list(0x20)).includes(`4F07${LOAD_FILE}9F700101`));
      assert.ok(hex(list(0x10)).includes(`8408${DIRECTORY_MODULE}`));
      assert.equal(statusWord(list(0x40, '4F05A000000003')), '6A88');
      assert.equal(statusWord(list(0x01)), '6A86');
    });

    it('INSTALL makes a new instance that can be selected, personalized and deleted', () => {
      const card = makeBlank(protocol);
      const session = openSession(card);
      const data = installData(LOAD_FILE, DIRECTORY_MODULE, 'F04341524402');
      assert.equal(session.exchange(command(0xe6, 0x0c, 0, data)), '9000');
      assert.equal(session.exchange(command(0xe6, 0x0c, 0, data)), '6A80');
      const instance = { ...makeCardData().pse, aid: unhex('F04341524402') };
      assert.equal(personalizeInstance(session, instance).at(-1), '9000');
      assert.equal(session.exchange(command(0xe4, 0, 0, '4F06F04341524402')), '9000');
      assert.equal(session.exchange(command(0xe4, 0, 0, '4F06F04341524402')), '6A88');
      assert.equal(select(card, 'F04341524402').sw, '6A82');
    });

    it('INSTALL in two steps makes the instance selectable only in the second', () => {
      const card = makeBlank(protocol);
      const session = openSession(card);
      const data = installData(LOAD_FILE, DIRECTORY_MODULE, 'F04341524402');
      assert.equal(session.exchange(command(0xe6, 0x04, 0, data)), '9000');
      assert.equal(lifeCycleOf(card, 'F04341524402'), 'INSTALLED');
      assert.equal(session.exchange(command(0xe6, 0x08, 0, data)), '9000');
      assert.equal(lifeCycleOf(card, 'F04341524402'), 'SELECTABLE');
      assert.equal(session.exchange(command(0xe6, 0x08, 0, data)), '6985');
    });

    it('INSTALL refuses unknown modules with 6A88 and malformed data with 6A80', () => {
      const session = openSession(makeBlank(protocol));
      const unknown = installData(LOAD_FILE, 'F043415244500009', 'F04341524402');
      assert.equal(session.exchange(command(0xe6, 0x0c, 0, unknown)), '6A88');
      assert.equal(session.exchange(command(0xe6, 0x0c, 0, unknown.slice(0, -2))), '6A80');
      assert.equal(session.exchange(command(0xe6, 0x10, 0, unknown)), '6A86');
    });

    it('PUT KEY replaces the key set when all check values are right, and nothing otherwise', () => {
      const card = makeBlank(protocol);
      const keys = {
        enc: unhex('0123456789ABCDEFFEDCBA9876543210'),
        mac: unhex('11'.repeat(16)),
        dek: unhex('1032547698BADCFE0123456789ABCDEF'),
      };
      const kcv = protocol === 'SCP02' ? tdesKcv : aesGpKcv;
      const data = (session: HostSession, spoil: number): Uint8Array =>
        concatBytes(
          Uint8Array.of(0x02),
          ...[keys.enc, keys.mac, keys.dek].map((key) => {
            const check = kcv(key);
            check[2] = (check[2] ?? 0) ^ spoil;
            const prefix = protocol === 'SCP02' ? unhex('8010') : unhex('881110');
            return concatBytes(prefix, session.encipher(key), Uint8Array.of(3), check);
          }),
        );
      const session = openSession(card);
      const put = (p1: number, bytes: Uint8Array) =>
        session.transmit({ cla: 0x80, ins: 0xd8, p1, p2: 0x81, data: bytes });
      assert.equal(statusWord(put(0x01, data(session, 1))), '6A80');
      assert.equal(statusWord(put(0x07, data(session, 0))), '6A88');
      const answer = put(0x01, data(session, 0));
      assert.equal(statusWord(answer), '9000');
      assert.equal(
        hex(responseData(answer)),
        `02${hex(concatBytes(kcv(keys.enc), kcv(keys.mac), kcv(keys.dek)))}`,
      );
      card.reset();
      const { externalAuthenticate } = beginSession(card);
      assert.equal(statusWord(card.transmit(externalAuthenticate)), '6982', 'the old keys are gone');
      openSession(card, { keys });
    });

    it('SET STATUS locks and unlocks an application, and cannot declare it personalized', () => {
      const card = makeBlank(protocol);
      const session = openSession(card);
      assert.equal(setStatus(session, 0x40, 0x0f, APPLICATION), '6985');
      assert.equal(setStatus(session, 0x40, 0x80, APPLICATION), '9000');
      assert.equal(setStatus(session, 0x40, 0x80, 'F000000001'), '6A88');
      card.reset();
      assert.equal(select(card, APPLICATION).sw, '6283');
      assert.equal(setStatus(openSession(makeBlank(protocol)), 0x20, 0x0f), '6A86');
      card.reset();
      const again = openSession(card);
      assert.equal(setStatus(again, 0x40, 0x07, APPLICATION), '9000');
      card.reset();
      assert.equal(select(card, APPLICATION).sw, '9000');
    });

    it('a locked card lets only the security domain speak until it is unlocked', () => {
      const card = makeBlank(protocol);
      const session = openSession(card);
      assert.equal(setStatus(session, 0x80, 0x7f), '9000');
      assert.equal(session.exchange(command(0xe4, 0, 0, `4F07${APPLICATION}`)), '6985');
      assert.equal(select(card, APPLICATION).sw, '6A82');
      assert.equal(setStatus(openSession(card), 0x80, 0x0f), '9000');
      assert.equal(select(card, APPLICATION).sw, '9000');
    });

    it('a card cannot go back in its life cycle', () => {
      const session = openSession(makeBlank(protocol));
      assert.equal(setStatus(session, 0x80, 0x07), '6985');
      assert.equal(setStatus(session, 0x80, 0x01), '6985');
    });

    it('a terminated card answers everything with 6985, for ever', () => {
      const card = makeBlank(protocol);
      const session = openSession(card);
      assert.equal(setStatus(session, 0x80, 0xff), '9000');
      assert.equal(setStatus(session, 0x80, 0x0f), '6985');
      card.reset();
      for (const apdu of ['00A4040000', '80CA9F7F00', '8050000008000102030405060700', '80A8000002830000']) {
        assert.equal(send(card, apdu).sw, '6985');
      }
      assert.equal(card.inspect().lifeCycle, 'TERMINATED');
    });
  });
}
