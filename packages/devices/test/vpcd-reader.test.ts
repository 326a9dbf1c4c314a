/** The reader's side of vpcd against cards that behave and cards that do not, over real sockets. */
import assert from 'node:assert/strict';
import { once } from 'node:events';
import { type Socket, connect } from 'node:net';
import { test } from 'node:test';
import fc from 'fast-check';
import { DeviceFault, type VpcdReader, listenVpcd } from '../src/index.ts';
import { VpcdFrameReader, encodeVpcdFrame, vpcdControl } from '../src/vpcd/vpcd-frames.ts';

const atr = Uint8Array.of(0x3b, 0xe0, 0x00, 0xff, 0x81, 0x31, 0xfe, 0x45, 0x14);
const command = Uint8Array.of(0x00, 0xa4, 0x04, 0x00, 0x00);
const success = Uint8Array.of(0x90, 0x00);

/** What a card does with a command: an answer, silence, or leaving. */
type Behaviour = (command: Uint8Array, socket: Socket) => Uint8Array | undefined;

interface TestCard {
  readonly socket: Socket;
  readonly controls: number[];
}

async function insertCard(reader: VpcdReader, behaviour: Behaviour, isMute = false): Promise<TestCard> {
  const socket = connect({ host: '127.0.0.1', port: reader.port, noDelay: true });
  await once(socket, 'connect');
  socket.on('error', () => undefined);
  const card: TestCard = { socket, controls: [] };
  const frames = new VpcdFrameReader();
  socket.on('data', (chunk: Uint8Array) => {
    for (const frame of frames.push(chunk)) {
      if (frame.length === 1) card.controls.push(frame[0] ?? -1);
      const answer = frame.length > 1 ? behaviour(frame, socket) : answerToControl(frame, isMute);
      if (answer !== undefined) socket.write(encodeVpcdFrame(answer));
    }
  });
  return card;
}

function answerToControl(frame: Uint8Array, isMute: boolean): Uint8Array | undefined {
  return frame[0] === vpcdControl.getAtr && !isMute ? atr : undefined;
}

function openReader(): Promise<VpcdReader> {
  return listenVpcd({ host: '127.0.0.1', port: 0, apduTimeoutMs: 150, atrTimeoutMs: 150 });
}

/** A reader for one test. */
async function withReader(body: (reader: VpcdReader) => Promise<void>): Promise<void> {
  const reader = await openReader();
  try {
    await body(reader);
  } finally {
    await reader.close();
  }
}

function isChipFault(faultClass: string): (error: unknown) => boolean {
  return (error) => {
    assert.ok(error instanceof DeviceFault, String(error));
    assert.equal(error.code, 'CHIP_FAIL');
    assert.equal(error.faultClass, faultClass, error.message);
    return true;
  };
}

test('a card is powered on, gives its ATR and answers commands', () =>
  withReader(async (reader) => {
    const card = await insertCard(reader, () => success);
    const chip = await reader.powerOn();
    assert.deepEqual(chip.atr, atr);
    assert.deepEqual(await chip.transmit(command), success);
    assert.deepEqual(card.controls, [vpcdControl.powerOff, vpcdControl.powerOn, vpcdControl.getAtr]);
    await chip.reset();
    assert.equal(card.controls.length, 6);
  }));

test('power-on waits for a card that comes later', () =>
  withReader(async (reader) => {
    const powering = reader.powerOn({ cardWaitMs: 5_000 });
    await insertCard(reader, () => success);
    assert.deepEqual((await powering).atr, atr);
  }));

test('without a card in the reader power-on fails after its wait', () =>
  withReader(async (reader) => {
    await assert.rejects(reader.powerOn({ cardWaitMs: 50 }), isChipFault('ambiguous'));
  }));

test('a mute chip is a chip fault with the card inside', () =>
  withReader(async (reader) => {
    await insertCard(reader, () => success, true);
    await assert.rejects(reader.powerOn(), isChipFault('card-inside'));
  }));

test('a chip that falls silent is a chip fault, and its late answer is never taken for another', () =>
  withReader(async (reader) => {
    let held: Socket | undefined;
    await insertCard(reader, (_command, socket) => {
      held = socket;
      return undefined;
    });
    const chip = await reader.powerOn();
    await assert.rejects(chip.transmit(command), isChipFault('card-inside'));
    held?.write(encodeVpcdFrame(success));
    await assert.rejects(chip.transmit(command), isChipFault('ambiguous'));
  }));

test('a card that is yanked during a command leaves it open whether the command took effect', () =>
  withReader(async (reader) => {
    await insertCard(reader, (_command, socket) => {
      socket.destroy();
      return undefined;
    });
    const chip = await reader.powerOn();
    await assert.rejects(chip.transmit(command), isChipFault('ambiguous'));
    assert.equal(await reader.waitForRemoval(1_000), true);
    assert.equal(reader.hasCard, false);
  }));

test('a second card is turned away and the first one is served on', () =>
  withReader(async (reader) => {
    await insertCard(reader, () => success);
    const chip = await reader.powerOn();
    const second = await insertCard(reader, () => Uint8Array.of(0x6f, 0x00));
    await once(second.socket, 'close');
    assert.deepEqual(await chip.transmit(command), success);
  }));

test('a frame that nobody asked for ends the connection', () =>
  withReader(async (reader) => {
    const card = await insertCard(reader, () => success);
    await reader.powerOn();
    card.socket.write(encodeVpcdFrame(success));
    await once(card.socket, 'close');
    assert.equal(await reader.waitForRemoval(1_000), true);
  }));

test('a response without a status word is a chip fault', () =>
  withReader(async (reader) => {
    await insertCard(reader, () => Uint8Array.of(0x90));
    const chip = await reader.powerOn();
    await assert.rejects(chip.transmit(command), isChipFault('card-inside'));
  }));

test('a new power-on ends the channel before it', () =>
  withReader(async (reader) => {
    await insertCard(reader, () => success);
    const first = await reader.powerOn();
    const second = await reader.powerOn();
    await assert.rejects(first.transmit(command));
    await first.close();
    assert.deepEqual(await second.transmit(command), success);
  }));

test('a command that would read as a control byte is refused before it is sent', () =>
  withReader(async (reader) => {
    await insertCard(reader, () => success);
    const chip = await reader.powerOn();
    await assert.rejects(chip.transmit(Uint8Array.of(0x00)), RangeError);
  }));

test('a card that stays is reported as still there', () =>
  withReader(async (reader) => {
    await insertCard(reader, () => success);
    await reader.powerOn();
    assert.equal(await reader.waitForRemoval(20), false);
  }));

test('frames come out whole, however the stream is cut', () => {
  fc.assert(
    fc.property(
      fc.array(fc.uint8Array({ maxLength: 300 }), { maxLength: 8 }),
      fc.array(fc.integer({ min: 1, max: 64 }), { minLength: 1, maxLength: 20 }),
      (bodies, cuts) => {
        const stream = Buffer.concat(bodies.map((body) => encodeVpcdFrame(body)));
        const reader = new VpcdFrameReader();
        const seen: Uint8Array[] = [];
        let offset = 0;
        for (let turn = 0; offset < stream.length; turn += 1) {
          const size = cuts[turn % cuts.length] ?? 1;
          seen.push(...reader.push(stream.subarray(offset, offset + size)));
          offset += size;
        }
        assert.deepEqual(
          seen.map((frame) => [...frame]),
          bodies.map((body) => [...body]),
        );
      },
    ),
  );
});
