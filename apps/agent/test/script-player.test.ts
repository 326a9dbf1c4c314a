import assert from 'node:assert/strict';
import { test } from 'node:test';
import { type ApduChannel, DeviceFault } from '@cardwright/devices';
import { hex, unhex } from '@cardwright/emv';
import { type ScriptStep } from '@cardwright/protocol';
import fc from 'fast-check';
import { playScript, type ScriptResult } from '../src/chip/script-player.ts';

interface Transcript {
  readonly sent: string[];
  readonly events: string[];
  readonly result: ScriptResult | DeviceFault;
}

const externalAuthenticate: ScriptStep = {
  apdu: '8482030010AA',
  expect: ['9000'],
  label: 'EXTERNAL AUTHENTICATE',
};
const storeData = (n: number): ScriptStep => ({
  apdu: `84E200${n.toString(16).padStart(2, '0').toUpperCase()}02BEEF`,
  expect: ['9000'],
  label: `STORE DATA ${n}`,
});
const terminateAfter = (k: number): ScriptStep => ({
  apdu: `84F080FF${k.toString(16).padStart(2, '0').toUpperCase()}`,
  expect: ['9000'],
  label: 'TERMINATE',
});

/** Plays a script against scripted answers; an answer `silence` is a reader that hears nothing. */
async function play(answers: readonly string[], commands = 4): Promise<Transcript> {
  const sent: string[] = [];
  const events: string[] = [];
  const channel: ApduChannel = {
    atr: unhex('3B00'),
    transmit: (command) => {
      const answer = answers[sent.length] ?? 'silence';
      sent.push(hex(command));
      if (answer !== 'silence') return Promise.resolve(unhex(answer));
      return Promise.reject(new DeviceFault({ code: 'CHIP_FAIL', faultClass: 'ambiguous', vendor: 'test' }));
    },
    reset: () => Promise.resolve(),
    close: () => Promise.resolve(),
  };
  const script = [externalAuthenticate, ...Array.from({ length: commands - 1 }, (_, n) => storeData(n))];
  const terminate = [null, ...Array.from({ length: commands }, (_, k) => terminateAfter(k + 1))];
  try {
    const result = await playScript({
      channel,
      script,
      terminate,
      onPersonalization: () => events.push(`personalization before command ${sent.length}`),
      onTerminate: () => events.push(`terminate before command ${sent.length}`),
    });
    return { sent, events, result };
  } catch (error) {
    if (error instanceof DeviceFault) return { sent, events, result: error };
    throw error;
  }
}

test('a whole script is played in order, and personalization is announced before its first command', async () => {
  const { sent, events, result } = await play(['9000', '9000', '9000', '9000']);
  assert.deepEqual(result, { kind: 'completed', commands: 4 });
  assert.deepEqual(
    sent,
    [externalAuthenticate, storeData(0), storeData(1), storeData(2)].map(({ apdu }) => apdu),
  );
  assert.deepEqual(events, ['personalization before command 1']);
});

test('a refused EXTERNAL AUTHENTICATE leaves a blank: nothing announced, nothing terminated', async () => {
  const { sent, events, result } = await play(['6982']);
  assert.deepEqual(result, {
    kind: 'refused',
    index: 0,
    label: 'EXTERNAL AUTHENTICATE',
    statusWord: '6982',
    terminated: false,
  });
  assert.equal(sent.length, 1);
  assert.deepEqual(events, []);
});

test('a chip that refuses a block is killed with the terminate command for the commands sent so far', async () => {
  const { sent, events, result } = await play(['9000', '9000', '6A80', '9000']);
  assert.deepEqual(result, {
    kind: 'refused',
    index: 2,
    label: 'STORE DATA 1',
    statusWord: '6A80',
    terminated: true,
  });
  assert.equal(sent.at(-1), terminateAfter(3).apdu);
  assert.deepEqual(events, ['personalization before command 1', 'terminate before command 3']);
});

test('a chip that does not confirm its end, or falls silent, does not count as terminated', async () => {
  for (const last of ['6985', 'silence']) {
    const { result } = await play(['9000', '6A80', last]);
    assert.ok(!(result instanceof DeviceFault) && result.kind === 'refused');
    assert.equal(result.terminated, false);
  }
});

test('a reader that loses the chip in mid-script is a device fault, after personalization was announced', async () => {
  const { sent, events, result } = await play(['9000', '9000', 'silence']);
  assert.ok(result instanceof DeviceFault);
  assert.equal(result.code, 'CHIP_FAIL');
  assert.equal(sent.length, 3);
  assert.deepEqual(events, ['personalization before command 1']);
});

test('a secured command is sent once even when the chip asks for another length', async () => {
  const { sent, result } = await play(['9000', '6C10', '9000']);
  assert.ok(!(result instanceof DeviceFault) && result.kind === 'refused');
  assert.equal(sent.filter((apdu) => apdu === storeData(0).apdu).length, 1);
});

test('whatever a chip answers, no command is sent twice and none after a refusal but one terminate', async () => {
  const answer = fc.constantFrom('9000', '9000', '9000', '6A80', '6985', 'silence');
  await fc.assert(
    fc.asyncProperty(fc.array(answer, { maxLength: 8 }), async (answers) => {
      const { sent, events } = await play(answers, 6);
      assert.equal(new Set(sent).size, sent.length);
      const firstBad = answers.findIndex((one) => one !== '9000');
      const limit = firstBad === -1 ? Math.min(answers.length + 1, 6) : firstBad + 1;
      const scripted = sent.filter((apdu) => !apdu.startsWith('84F0'));
      assert.ok(scripted.length <= limit);
      assert.ok(sent.length - scripted.length <= 1);
      const hasStoreData = sent.some((apdu) => apdu.startsWith('84E2'));
      assert.equal(events.includes('personalization before command 1'), hasStoreData);
    }),
  );
});
