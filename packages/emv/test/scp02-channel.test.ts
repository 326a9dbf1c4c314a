import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import {
  deriveScp02SessionKeys,
  encodeCommand,
  hex,
  openScp02Channel,
  parseCommand,
  parseInitializeUpdateResponse,
  scp02CardCryptogram,
  scp02HostCryptogram,
  tdesEcbEncrypt,
  tdesKcv,
  unhex,
  unwrapScp02Command,
  wrapScp02Command,
  wrapScp02ExternalAuthenticate,
  type CommandApdu,
  type Scp02Channel,
} from '../src/index.ts';
import { readVectors } from './emv-vectors.ts';

interface Scp02KeyVector {
  readonly key: string;
  readonly seq: string;
  readonly kcvEnc: string;
  readonly kcvMac: string;
  readonly kcvDek: string;
  readonly kcvRmac: string;
  readonly sdekEncryptOfKey: string;
}
interface Scp02SessionVector {
  readonly enc: string;
  readonly mac: string;
  readonly dek: string;
  readonly hostChallenge: string;
  readonly initUpdateRsp: string;
  readonly extAuthCmd: string;
  readonly wrapped: readonly (readonly [string, string])[];
}
type Scp02Vector = Scp02KeyVector | Scp02SessionVector;

const vectors = readVectors('scp02', 'scp02') as readonly Scp02Vector[];

test('SCP02 session keys match the one published derivation', () => {
  const found = vectors.filter((vector) => 'seq' in vector);
  assert.equal(found.length, 1);
  for (const vector of found) {
    const key = unhex(vector.key);
    const keys = deriveScp02SessionKeys({ enc: key, mac: key, dek: key }, unhex(vector.seq));
    assert.equal(hex(tdesKcv(keys.enc)), vector.kcvEnc);
    assert.equal(hex(tdesKcv(keys.mac)), vector.kcvMac);
    assert.equal(hex(tdesKcv(keys.dek)), vector.kcvDek);
    assert.equal(hex(tdesKcv(keys.rMac)), vector.kcvRmac);
    assert.equal(hex(tdesEcbEncrypt(keys.dek, key)), vector.sdekEncryptOfKey);
  }
});

test('a published SCP02 session is wrapped byte for byte and opens again', () => {
  const sessions = vectors.filter((vector) => 'wrapped' in vector);
  assert.equal(sessions.length, 1);
  for (const session of sessions) {
    const response = parseInitializeUpdateResponse(unhex(session.initUpdateRsp));
    assert.ok(response.protocol === 'SCP02');
    const challenges = { ...response, hostChallenge: unhex(session.hostChallenge) };
    const keys = deriveScp02SessionKeys(
      { enc: unhex(session.enc), mac: unhex(session.mac), dek: unhex(session.dek) },
      response.sequence,
    );
    assert.equal(hex(scp02CardCryptogram(keys, challenges)), hex(response.cardCryptogram));
    const opening = wrapScp02ExternalAuthenticate(keys, 0x01, scp02HostCryptogram(keys, challenges));
    assert.equal(hex(opening.apdu), session.extAuthCmd);
    const accepted = unwrapScp02Command(openScp02Channel(keys), parseCommand(opening.apdu));
    assert.ok(accepted.ok);
    assert.equal(session.wrapped.length, 4);
    let host = opening.channel;
    let card: Scp02Channel = { ...accepted.channel, level: 0x01 };
    for (const [plain, wrapped] of session.wrapped) {
      const sent = wrapScp02Command(host, parseCommand(unhex(plain)));
      assert.equal(hex(sent.apdu), wrapped);
      const received = unwrapScp02Command(card, parseCommand(sent.apdu));
      assert.ok(received.ok);
      assert.equal(hex(encodeCommand(received.command)), plain);
      host = sent.channel;
      card = received.channel;
    }
  }
});

const keys = deriveScp02SessionKeys(
  {
    enc: unhex('404142434445464748494A4B4C4D4E4F'),
    mac: unhex('505152535455565758595A5B5C5D5E5F'),
    dek: unhex('606162636465666768696A6B6C6D6E6F'),
  },
  unhex('0001'),
);

const commands = fc.array(
  fc.record({
    ins: fc.integer({ min: 0, max: 255 }),
    p1: fc.integer({ min: 0, max: 255 }),
    p2: fc.integer({ min: 0, max: 255 }),
    data: fc.uint8Array({ maxLength: 231 }),
    le: fc.option(fc.integer({ min: 1, max: 256 }), { nil: undefined }),
  }),
  { minLength: 1, maxLength: 6 },
);

test('any session at any level opens to the commands that were wrapped', () => {
  fc.assert(
    fc.property(fc.constantFrom(0x00, 0x01, 0x03), commands, (level, list) => {
      const opening = wrapScp02ExternalAuthenticate(keys, level, new Uint8Array(8));
      let host = opening.channel;
      let card = host;
      for (const { ins, p1, p2, data, le } of list) {
        const command: CommandApdu = {
          cla: 0x80,
          ins,
          p1,
          p2,
          ...(data.length > 0 ? { data } : {}),
          ...(le === undefined ? {} : { le }),
        };
        const sent = wrapScp02Command(host, command);
        const received = unwrapScp02Command(card, parseCommand(sent.apdu));
        assert.ok(received.ok);
        assert.deepEqual(received.command, command);
        host = sent.channel;
        card = received.channel;
      }
    }),
    { numRuns: 60 },
  );
});

test('one flipped bit, a replay, or a missing command is refused', () => {
  for (const level of [0x01, 0x03]) {
    const { channel } = wrapScp02ExternalAuthenticate(keys, level, new Uint8Array(8));
    const first = wrapScp02Command(channel, {
      cla: 0x80,
      ins: 0xe2,
      p1: 0,
      p2: 0,
      data: unhex('9102028801'),
    });
    const second = wrapScp02Command(first.channel, {
      cla: 0x80,
      ins: 0xe2,
      p1: 0x80,
      p2: 1,
      data: unhex('01010170'),
    });
    for (const position of [1, 2, 3, 5, first.apdu.length - 1]) {
      const changed = first.apdu.slice();
      changed[position] = (changed[position] ?? 0) ^ 0x01;
      assert.equal(unwrapScp02Command(channel, parseCommand(changed)).ok, false, `byte ${String(position)}`);
    }
    const opened = unwrapScp02Command(channel, parseCommand(first.apdu));
    assert.ok(opened.ok);
    assert.equal(unwrapScp02Command(opened.channel, parseCommand(first.apdu)).ok, false, 'a replay');
    assert.equal(unwrapScp02Command(channel, parseCommand(second.apdu)).ok, false, 'a missing command');
    assert.equal(unwrapScp02Command(opened.channel, parseCommand(second.apdu)).ok, true);
  }
});

test('a command without secure messaging, or too short for a MAC, is refused with its reason', () => {
  const { channel } = wrapScp02ExternalAuthenticate(keys, 0x03, new Uint8Array(8));
  const plain = { cla: 0x80, ins: 0xe2, p1: 0, p2: 0, data: new Uint8Array(16) };
  assert.deepEqual(unwrapScp02Command(channel, plain), { ok: false, reason: 'CLASS' });
  const short = { ...plain, cla: 0x84, data: new Uint8Array(7) };
  assert.deepEqual(unwrapScp02Command(channel, short), { ok: false, reason: 'LENGTH' });
  const uneven = { ...plain, cla: 0x84, data: new Uint8Array(17) };
  assert.deepEqual(unwrapScp02Command(channel, uneven), { ok: false, reason: 'LENGTH' });
});
