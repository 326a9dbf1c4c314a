import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { inspect } from 'node:util';
import { hex, parseInitializeUpdateResponse, unhex } from '@cardwright/emv';
import { type StoreDataFault, VirtualCardError } from '../src/index.ts';
import { makeCardData } from './personalization-data.ts';
import {
  KMC,
  PROTOCOLS,
  installForPersonalization,
  lifeCycleOf,
  makeBlank,
  openSession,
  personalize,
  personalizeInstance,
  select,
  send,
} from './personalization-host.ts';

const APPLICATION = 'F0434152440001';
const INITIALIZE_UPDATE = '8050000008000102030405060700';

function isCode(code: string): (error: unknown) => boolean {
  return (error) => error instanceof VirtualCardError && error.code === code;
}

function blankWithFault(block: number | 'last', effect: StoreDataFault) {
  return makeBlank('SCP03', { knobs: { storeDataFault: { block, effect } } });
}

describe('fault knobs', () => {
  it('a mute card has no ATR and no answer', () => {
    const card = makeBlank('SCP03', { knobs: { isMute: true } });
    assert.equal(card.atr.length, 0);
    assert.equal(card.reset().length, 0);
    assert.throws(() => send(card, '00A4040000'), isCode('MUTE'));
  });

  it('a card without power does not answer', () => {
    const card = makeBlank('SCP03');
    card.powerOff();
    assert.throws(() => send(card, '00A4040000'), isCode('POWERED_OFF'));
    assert.equal(hex(card.reset()), '3BE000FF8131FE4514');
    assert.equal(send(card, '00A4040000').sw, '9000');
  });

  for (const protocol of PROTOCOLS) {
    it(`a wrong card cryptogram over ${protocol} differs in the cryptogram only`, () => {
      const random = (bytes: number) => new Uint8Array(bytes).fill(7);
      const wrong = makeBlank(protocol, { random, knobs: { hasWrongCardCryptogram: true } });
      const [good, bad] = [makeBlank(protocol, { random }), wrong].map((card) =>
        parseInitializeUpdateResponse(unhex(send(card, INITIALIZE_UPDATE).data)),
      );
      assert.ok(good !== undefined && bad !== undefined);
      assert.notDeepEqual(bad.cardCryptogram, good.cardCryptogram);
      assert.deepEqual({ ...bad, cardCryptogram: good.cardCryptogram }, good);
    });
  }

  it('another key version is reported and is the only one that exists', () => {
    const card = makeBlank('SCP03', { knobs: { keyVersion: 0x7e } });
    assert.equal(send(card, INITIALIZE_UPDATE).data.slice(20, 22), '7E');
    assert.equal(send(card, '8050010008000102030405060700').sw, '6A88');
  });

  it('an already personalized card refuses INSTALL for personalization with 6985', () => {
    const card = makeBlank('SCP03', { knobs: { isAlreadyPersonalized: true } });
    const { aid } = makeCardData().application;
    assert.equal(openSession(card).exchange(installForPersonalization(aid)), '6985');
  });

  it('a blocked card arrives locked', () => {
    const card = makeBlank('SCP03', { knobs: { isBlocked: true } });
    assert.equal(card.inspect().lifeCycle, 'CARD_LOCKED');
    assert.equal(select(card, APPLICATION).sw, '6A82');
  });

  it('a chosen status word comes once, after secure messaging, and the host can still terminate the card', () => {
    const card = blankWithFault(1, { kind: 'status-word', statusWord: '6581' });
    const session = openSession(card);
    assert.deepEqual(personalizeInstance(session, makeCardData().pse), ['9000', '9000', '6581']);
    assert.equal(session.exchange({ cla: 0x80, ins: 0xf0, p1: 0x80, p2: 0xff }), '9000');
  });

  it('a chip that falls mute at a block stays mute, also after a reset', () => {
    const card = blankWithFault(2, { kind: 'mute' });
    const { pse, application } = makeCardData();
    const session = openSession(card);
    assert.equal(personalizeInstance(session, pse).at(-1), '9000');
    assert.throws(() => personalizeInstance(session, application), isCode('MUTE'));
    card.reset();
    assert.throws(() => send(card, '00A4040000'), isCode('MUTE'));
  });

  it('a card removed at a block is not personalized and works when it is inserted again', () => {
    const card = blankWithFault('last', { kind: 'removed' });
    const data = makeCardData();
    assert.throws(() => {
      personalize(card, data);
    }, isCode('REMOVED'));
    assert.throws(() => send(card, '00A4040000'), isCode('REMOVED'));
    card.reset();
    assert.equal(lifeCycleOf(card, APPLICATION), 'SELECTABLE');
    assert.equal(personalizeInstance(openSession(card), data.application).at(-1), '9000');
  });

  it('a lost last answer leaves a card that is personalized although nobody was told', () => {
    const card = blankWithFault('last', { kind: 'response-lost' });
    assert.throws(() => {
      personalize(card, makeCardData());
    }, isCode('REMOVED'));
    card.reset();
    assert.equal(lifeCycleOf(card, APPLICATION), 'PERSONALIZED');
  });

  it('a corrupted record differs from what was sent in its last byte', () => {
    const card = makeBlank('SCP03', { knobs: { corruptsRecord: true } });
    const data = makeCardData();
    personalize(card, data);
    const sent = hex(data.application.dgis.find(({ id }) => id === '0101')?.value ?? new Uint8Array(0));
    select(card, APPLICATION);
    const stored = send(card, '00B2010C00').data;
    assert.equal(stored.slice(0, -2), sent.slice(0, -2));
    assert.notEqual(stored.slice(-2), sent.slice(-2));
  });

  it('a T=0 card announces its data with 61xx and hands it out once', () => {
    const card = makeBlank('SCP03', { knobs: { isT0: true } });
    assert.equal(hex(card.atr), '3B600000');
    assert.equal(send(card, '80CA9F7F00').sw, '612D');
    assert.equal(send(card, '00C000002D').data.length, 90);
    assert.equal(send(card, '00C000002D').sw, '6985');
  });

  it('only STORE DATA is slow, and only when told so', () => {
    const slow = makeBlank('SCP03', { knobs: { storeDataDelayMs: 12 } });
    assert.equal(slow.delayMsOf(unhex('80E20000017F')), 12);
    assert.equal(slow.delayMsOf(unhex('00A4040000')), 0);
    assert.equal(makeBlank('SCP03').delayMsOf(unhex('80E20000017F')), 0);
  });

  it('with injected randomness two cards of one serial behave the same', () => {
    const make = () => makeBlank('SCP02', { kmc: KMC, random: (bytes) => new Uint8Array(bytes).fill(0x5a) });
    assert.deepEqual(send(make(), INITIALIZE_UPDATE), send(make(), INITIALIZE_UPDATE));
  });

  it('shows no key when it is printed or serialized', () => {
    const card = makeBlank('SCP02');
    assert.equal(JSON.stringify(card), '{}');
    assert.doesNotMatch(inspect(card, { depth: 9, showHidden: true }), /404142|enc|mac|dek/i);
  });
});
