import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { describe, it } from 'node:test';
import {
  deriveScp02SessionKeys,
  encodeCommand,
  hex,
  parseCommand,
  responseData,
  statusWord,
  unhex,
  wrapScp02ExternalAuthenticate,
} from '@cardwright/emv';
import { type PendingSecureChannel } from '../src/secure-channel.ts';
import { beginScp02 } from '../src/secure-channel-scp02.ts';
import { beginScp03 } from '../src/secure-channel-scp03.ts';
import { PROTOCOLS, beginSession, makeBlank, openSession, send } from './personalization-host.ts';

interface Session {
  readonly name: string;
  readonly enc: string;
  readonly mac: string;
  readonly dek: string;
  readonly initUpdateCmd: string;
  readonly initUpdateRsp: string;
  readonly extAuthCmd: string;
  readonly wrapped: readonly (readonly [string, string])[];
  readonly invokerAid: string;
}

const vectors = JSON.parse(
  readFileSync(new URL('./vectors/secure-channel.json', import.meta.url), 'utf8'),
) as { scp02: Session[]; scp03: Session[] };

const GET_STATUS = { cla: 0x80, ins: 0xf2, p1: 0x80, p2: 0x02, data: unhex('4F00') };

/** Replays a published session against the card's side of the channel. */
function replay(session: Session, pending: PendingSecureChannel): void {
  assert.equal(hex(pending.initializeUpdateResponse), session.initUpdateRsp);
  const verdict = pending.authenticate(parseCommand(unhex(session.extAuthCmd)));
  assert.ok(verdict.ok);
  for (const [clear, wrapped] of session.wrapped) {
    const unwrapped = verdict.channel.unwrap(parseCommand(unhex(wrapped)));
    assert.ok(unwrapped !== undefined, `${wrapped} is refused`);
    assert.equal(hex(encodeCommand(unwrapped)), clear);
  }
}

function keySetOf(session: Session) {
  const response = unhex(session.initUpdateRsp);
  return {
    version: response[10] ?? 0,
    enc: unhex(session.enc),
    mac: unhex(session.mac),
    dek: unhex(session.dek),
  };
}

describe('published secure channel sessions', () => {
  for (const session of vectors.scp02) {
    it(`SCP02: the card answers and unwraps as in "${session.name}"`, () => {
      const response = unhex(session.initUpdateRsp);
      replay(
        session,
        beginScp02({
          keySet: keySetOf(session),
          keyData: response.slice(0, 10),
          sequence: response.slice(12, 14),
          cardChallenge: response.slice(14, 20),
          hostChallenge: unhex(session.initUpdateCmd).slice(5, 13),
        }),
      );
    });
  }
  for (const session of vectors.scp03) {
    it(`SCP03: the card answers and unwraps as in "${session.name}"`, () => {
      const response = unhex(session.initUpdateRsp);
      replay(
        session,
        beginScp03({
          keySet: keySetOf(session),
          keyData: response.slice(0, 10),
          sequence: response.slice(29, 32),
          hostChallenge: unhex(session.initUpdateCmd).slice(5, 13),
          invokerAid: unhex(session.invokerAid),
          implementation: response[12] ?? 0,
        }),
      );
    });
  }
});

for (const protocol of PROTOCOLS) {
  describe(`${protocol} session`, () => {
    it('opens with the right host cryptogram and raises the sequence counter', () => {
      const card = makeBlank(protocol);
      const before = send(card, '80CA00C100').data;
      openSession(card);
      card.reset();
      const after = send(card, '80CA00C100').data;
      assert.equal(Number.parseInt(after.slice(4), 16), Number.parseInt(before.slice(4), 16) + 1);
    });

    it('announces its option byte, the key data and the key version', () => {
      const answer = send(makeBlank(protocol), '8050000008000102030405060700');
      assert.equal(answer.sw, '9000');
      assert.ok(answer.data.startsWith('999900FFFFFF7A3C5D2E01'));
      if (protocol === 'SCP03') assert.equal(answer.data.slice(22, 26), '0310');
    });

    it('refuses a wrong MAC on EXTERNAL AUTHENTICATE with 6982 and keeps the sequence counter', () => {
      const card = makeBlank(protocol);
      const before = send(card, '80CA00C100').data;
      const { externalAuthenticate } = beginSession(card);
      externalAuthenticate[externalAuthenticate.length - 1] = (externalAuthenticate.at(-1) ?? 0) ^ 1;
      assert.equal(statusWord(card.transmit(externalAuthenticate)), '6982');
      assert.equal(send(card, '80CA00C100').data, before);
    });

    it('refuses a host that does not know the keys', () => {
      const card = makeBlank(protocol);
      const { externalAuthenticate } = beginSession(card, { kmc: unhex('11'.repeat(16)) });
      assert.equal(statusWord(card.transmit(externalAuthenticate)), '6982');
    });

    it('refuses EXTERNAL AUTHENTICATE without INITIALIZE UPDATE, and a second one, with 6985', () => {
      const card = makeBlank(protocol);
      const { externalAuthenticate } = beginSession(card);
      assert.equal(statusWord(card.transmit(externalAuthenticate)), '9000');
      assert.equal(statusWord(card.transmit(externalAuthenticate)), '6985');
      card.reset();
      assert.equal(statusWord(card.transmit(externalAuthenticate)), '6985');
    });

    it('withdraws the challenge when another command comes in between', () => {
      const card = makeBlank(protocol);
      const { externalAuthenticate } = beginSession(card);
      send(card, '80CA9F7F00');
      assert.equal(statusWord(card.transmit(externalAuthenticate)), '6985');
    });

    it('refuses levels with response protection with 6A86', () => {
      for (const level of [0x10, 0x11, 0x13, 0x33, 0x02]) {
        const card = makeBlank(protocol);
        const { externalAuthenticate } = beginSession(card, { level });
        assert.equal(statusWord(card.transmit(externalAuthenticate)), '6A86');
      }
    });

    for (const level of [0x01, 0x03]) {
      it(`at level 0${String(level)} dies on a wrong MAC and refuses everything wrapped afterwards`, () => {
        const card = makeBlank(protocol);
        const session = openSession(card, { level });
        assert.equal(session.exchange(GET_STATUS), '9000');
        const spoiled = session.wrap(GET_STATUS);
        spoiled[spoiled.length - 1] = (spoiled.at(-1) ?? 0) ^ 0x80;
        assert.equal(statusWord(card.transmit(spoiled)), '6982');
        assert.equal(session.exchange(GET_STATUS), '6982');
      });

      it(`at level 0${String(level)} takes no command in clear, and ends when one comes`, () => {
        const card = makeBlank(protocol);
        const session = openSession(card, { level });
        assert.equal(statusWord(card.transmit(encodeCommand(GET_STATUS))), '6982');
        assert.equal(session.exchange(GET_STATUS), '6982');
      });
    }

    it('refuses a replayed command', () => {
      const card = makeBlank(protocol);
      const session = openSession(card);
      const wrapped = session.wrap(GET_STATUS);
      assert.equal(statusWord(card.transmit(wrapped)), '9000');
      assert.equal(statusWord(card.transmit(wrapped)), '6982');
    });

    it('at level 00 lets the host look but not change anything', () => {
      const session = openSession(makeBlank(protocol), { level: 0x00 });
      assert.equal(session.exchange(GET_STATUS), '9000');
      assert.equal(session.exchange({ cla: 0x80, ins: 0xf0, p1: 0x80, p2: 0xff }), '6982');
    });

    it('ends with a SELECT and with a reset', () => {
      for (const end of ['select', 'reset']) {
        const card = makeBlank(protocol);
        const session = openSession(card);
        if (end === 'select') assert.equal(send(card, '00A4040008A00000015100000000').sw, '9000');
        else card.reset();
        assert.equal(session.exchange(GET_STATUS), '6982');
      }
    });

    it('protects commands without data too', () => {
      const session = openSession(makeBlank(protocol));
      const command = { cla: 0x80, ins: 0xca, p1: 0x9f, p2: 0x7f, le: 256 };
      assert.equal(responseData(session.transmit(command)).length, 45);
      assert.equal(session.exchange(GET_STATUS), '9000');
    });

    it('stays shut after ten failed authentications in a row', () => {
      const card = makeBlank(protocol);
      for (let attempt = 0; attempt < 10; attempt += 1) {
        const { externalAuthenticate } = beginSession(card, { kmc: unhex('22'.repeat(16)) });
        assert.equal(statusWord(card.transmit(externalAuthenticate)), '6982');
      }
      assert.equal(send(card, '8050000008000102030405060700').sw, '6983');
    });

    it('answers 6A88 for an unknown key version and 6700 for a challenge of another length', () => {
      const card = makeBlank(protocol);
      assert.equal(send(card, '8050770008000102030405060700').sw, '6A88');
      assert.equal(send(card, '80500000070001020304050600').sw, '6700');
    });
  });
}

it('a correct MAC over a wrong host cryptogram is refused with 6300', () => {
  const keySet = {
    version: 1,
    enc: unhex('11'.repeat(16)),
    mac: unhex('22'.repeat(16)),
    dek: unhex('33'.repeat(16)),
  };
  const sequence = unhex('0001');
  const pending = beginScp02({
    keySet,
    keyData: new Uint8Array(10),
    sequence,
    cardChallenge: new Uint8Array(6),
    hostChallenge: new Uint8Array(8),
  });
  const keys = deriveScp02SessionKeys(keySet, sequence);
  const { apdu } = wrapScp02ExternalAuthenticate(keys, 0x03, unhex('0102030405060708'));
  assert.deepEqual(pending.authenticate(parseCommand(apdu)), { ok: false, statusWord: '6300' });
});
