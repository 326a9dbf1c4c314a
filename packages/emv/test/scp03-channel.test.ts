import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import {
  aesGpKcv,
  authenticatedScp03Channel,
  deriveScp03SessionKeys,
  encodeCommand,
  hex,
  openScp03Channel,
  parseCommand,
  parseInitializeUpdateResponse,
  scp03CardChallenge,
  scp03CardCryptogram,
  scp03Constant,
  scp03HostCryptogram,
  scp03Kdf,
  unhex,
  unwrapScp03Command,
  unwrapScp03Response,
  wrapScp03Command,
  wrapScp03ExternalAuthenticate,
  wrapScp03Response,
  type CommandApdu,
  type Scp03Channel,
} from '../src/index.ts';
import { readVectors } from './emv-vectors.ts';

interface Scp03KdfVector {
  readonly key: string;
  readonly context: string;
  readonly kcvEnc: string;
  readonly kcvMac: string;
  readonly kcvRmac: string;
}
interface Scp03SessionVector {
  readonly name: string;
  readonly enc: string;
  readonly mac: string;
  readonly dek: string;
  readonly level: string;
  readonly initUpdateCmd: string;
  readonly initUpdateRsp: string;
  readonly extAuthCmd: string;
  readonly wrapped: readonly (readonly [string, string])[];
  readonly firstResponse: readonly [string, string];
  readonly invokerAid: string;
}
type Scp03Vector = Scp03KdfVector | Scp03SessionVector;

const vectors = readVectors('scp03', 'scp03') as readonly Scp03Vector[];
const sessions = vectors.filter((vector) => 'wrapped' in vector);

test('the SCP03 key derivation matches the one published set', () => {
  const found = vectors.filter((vector) => 'context' in vector);
  assert.equal(found.length, 1);
  for (const vector of found) {
    const kcv = (constant: number): string =>
      hex(aesGpKcv(scp03Kdf(unhex(vector.key), constant, 128, unhex(vector.context))));
    assert.equal(kcv(scp03Constant.enc), vector.kcvEnc);
    assert.equal(kcv(scp03Constant.mac), vector.kcvMac);
    assert.equal(kcv(scp03Constant.rMac), vector.kcvRmac);
  }
});

/** Opens a published session up to the state after EXTERNAL AUTHENTICATE, checking every published value. */
function openSession(session: Scp03SessionVector): { host: Scp03Channel; card: Scp03Channel } {
  const level = parseInt(session.level, 16);
  const hostChallenge = parseCommand(unhex(session.initUpdateCmd)).data;
  const response = parseInitializeUpdateResponse(unhex(session.initUpdateRsp));
  assert.ok(hostChallenge !== undefined && response.protocol === 'SCP03' && response.sequence !== undefined);
  const { cardChallenge } = response;
  const challenge = scp03CardChallenge(unhex(session.enc), response.sequence, unhex(session.invokerAid));
  assert.equal(hex(challenge), hex(cardChallenge), `${session.name}: pseudo-random card challenge`);
  const keys = deriveScp03SessionKeys(
    { enc: unhex(session.enc), mac: unhex(session.mac), dek: unhex(session.dek) },
    hostChallenge,
    cardChallenge,
  );
  const cardCryptogram = scp03CardCryptogram(keys, hostChallenge, cardChallenge);
  assert.equal(hex(cardCryptogram), hex(response.cardCryptogram), `${session.name}: card cryptogram`);
  const hostCryptogram = scp03HostCryptogram(keys, hostChallenge, cardChallenge);
  const opening = wrapScp03ExternalAuthenticate(keys, level, hostCryptogram);
  assert.equal(hex(opening.apdu), session.extAuthCmd, `${session.name}: EXTERNAL AUTHENTICATE`);
  const accepted = unwrapScp03Command(openScp03Channel(keys), parseCommand(opening.apdu));
  assert.ok(accepted.ok);
  assert.equal(hex(accepted.command.data ?? new Uint8Array(0)), hex(hostCryptogram));
  return { host: opening.channel, card: authenticatedScp03Channel(accepted.channel, level) };
}

test('all 9 published SCP03 sessions are wrapped byte for byte and open again', () => {
  assert.equal(sessions.length, 9);
  assert.equal(vectors.length, 10);
  let commandCount = 0;
  for (const session of sessions) {
    let { host, card } = openSession(session);
    for (const [plain, wrapped] of session.wrapped) {
      const sent = wrapScp03Command(host, parseCommand(unhex(plain)));
      assert.equal(hex(sent.apdu), wrapped, session.name);
      const received = unwrapScp03Command(card, parseCommand(sent.apdu));
      assert.ok(received.ok, session.name);
      assert.equal(hex(encodeCommand(received.command)), plain, session.name);
      host = sent.channel;
      card = received.channel;
      commandCount += 1;
    }
  }
  assert.equal(commandCount, 45);
});

test('the first response of all 9 published sessions matches, with R-MAC and R-ENC where the level has them', () => {
  const levels = new Map<string, number>();
  for (const session of sessions) {
    const { host } = openSession(session);
    const [firstCommand] = session.wrapped;
    assert.ok(firstCommand);
    const { channel } = wrapScp03Command(host, parseCommand(unhex(firstCommand[0])));
    const [sent, clear] = session.firstResponse;
    assert.equal(hex(wrapScp03Response(channel, unhex(clear), '9000')), `${sent}9000`, session.name);
    const opened = unwrapScp03Response(channel, unhex(`${sent}9000`));
    assert.ok(opened.ok);
    assert.equal(hex(opened.data), clear, session.name);
    levels.set(session.level, (levels.get(session.level) ?? 0) + 1);
  }
  assert.deepEqual(Object.fromEntries(levels), { '11': 3, '03': 3, '33': 3 });
});

const keys = deriveScp03SessionKeys(
  {
    enc: unhex('404142434445464748494A4B4C4D4E4F'),
    mac: unhex('505152535455565758595A5B5C5D5E5F'),
    dek: unhex('606162636465666768696A6B6C6D6E6F'),
  },
  unhex('0102030405060708'),
  unhex('1112131415161718'),
);

const exchanges = fc.array(
  fc.record({
    ins: fc.integer({ min: 0, max: 255 }),
    p1: fc.integer({ min: 0, max: 255 }),
    p2: fc.integer({ min: 0, max: 255 }),
    data: fc.uint8Array({ maxLength: 231 }),
    le: fc.option(fc.integer({ min: 1, max: 256 }), { nil: undefined }),
    answer: fc.uint8Array({ maxLength: 200 }),
    statusWord: fc.constantFrom('9000', '6310', '6283'),
  }),
  { minLength: 1, maxLength: 6 },
);

test('any session at any level opens to the commands and responses that were wrapped', () => {
  fc.assert(
    fc.property(fc.constantFrom(0x00, 0x01, 0x03, 0x11, 0x13, 0x33), exchanges, (level, list) => {
      let host = wrapScp03ExternalAuthenticate(keys, level, new Uint8Array(8)).channel;
      let card = host;
      for (const { ins, p1, p2, data, le, answer, statusWord } of list) {
        const command: CommandApdu = {
          cla: 0x80,
          ins,
          p1,
          p2,
          ...(data.length > 0 ? { data } : {}),
          ...(le === undefined ? {} : { le }),
        };
        const sent = wrapScp03Command(host, command);
        const received = unwrapScp03Command(card, parseCommand(sent.apdu));
        assert.ok(received.ok);
        assert.deepEqual(received.command, command);
        host = sent.channel;
        card = received.channel;
        const response = unwrapScp03Response(host, wrapScp03Response(card, answer, statusWord));
        assert.ok(response.ok);
        assert.equal(hex(response.data), hex(answer));
        assert.equal(response.statusWord, statusWord);
      }
    }),
    { numRuns: 60 },
  );
});

test('one flipped bit, a replay, or a missing command is refused', () => {
  for (const level of [0x01, 0x03]) {
    const { channel } = wrapScp03ExternalAuthenticate(keys, level, new Uint8Array(8));
    const store = { cla: 0x80, ins: 0xe2, p1: 0, p2: 0, data: unhex('9102028801') };
    const first = wrapScp03Command(channel, store);
    const second = wrapScp03Command(first.channel, { ...store, p2: 1 });
    for (const position of [1, 2, 3, 5, first.apdu.length - 1]) {
      const changed = first.apdu.slice();
      changed[position] = (changed[position] ?? 0) ^ 0x01;
      const result = unwrapScp03Command(channel, parseCommand(changed));
      assert.deepEqual(result, { ok: false, reason: 'MAC' }, `byte ${String(position)}`);
    }
    const opened = unwrapScp03Command(channel, parseCommand(first.apdu));
    assert.ok(opened.ok);
    assert.equal(unwrapScp03Command(opened.channel, parseCommand(first.apdu)).ok, false, 'a replay');
    assert.equal(unwrapScp03Command(channel, parseCommand(second.apdu)).ok, false, 'a missing command');
    assert.equal(unwrapScp03Command(opened.channel, parseCommand(second.apdu)).ok, true);
  }
});

test('a changed response is refused, and an error response carries neither data nor MAC', () => {
  const { channel } = wrapScp03ExternalAuthenticate(keys, 0x33, new Uint8Array(8));
  const { channel: after } = wrapScp03Command(channel, { cla: 0x80, ins: 0xca, p1: 0, p2: 0x66, le: 256 });
  const response = wrapScp03Response(after, unhex('112233'), '9000');
  const changed = response.slice();
  changed[0] = (changed[0] ?? 0) ^ 0x01;
  assert.deepEqual(unwrapScp03Response(after, changed), { ok: false, reason: 'MAC' });
  const relabelled = response.slice();
  relabelled[relabelled.length - 2] = 0x63;
  assert.deepEqual(unwrapScp03Response(after, relabelled), { ok: false, reason: 'MAC' });
  assert.deepEqual(unwrapScp03Response(after, unhex('9000')), { ok: false, reason: 'LENGTH' });
  assert.equal(hex(wrapScp03Response(after, new Uint8Array(0), '6A82')), '6A82');
  assert.deepEqual(unwrapScp03Response(after, unhex('006A82')), { ok: false, reason: 'LENGTH' });
  const refused = unwrapScp03Response(after, unhex('6A82'));
  assert.equal(refused.ok && refused.statusWord, '6A82');
});

test('a command without secure messaging, or too short for a MAC, is refused with its reason', () => {
  const { channel } = wrapScp03ExternalAuthenticate(keys, 0x03, new Uint8Array(8));
  const plain = { cla: 0x80, ins: 0xe2, p1: 0, p2: 0, data: new Uint8Array(16) };
  assert.deepEqual(unwrapScp03Command(channel, plain), { ok: false, reason: 'CLASS' });
  const short = { ...plain, cla: 0x84, data: new Uint8Array(7) };
  assert.deepEqual(unwrapScp03Command(channel, short), { ok: false, reason: 'LENGTH' });
});
