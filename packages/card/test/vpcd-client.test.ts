import assert from 'node:assert/strict';
import { once } from 'node:events';
import { type AddressInfo, type Server, type Socket, createServer } from 'node:net';
import { after, describe, it } from 'node:test';
import { concatBytes, hex, uintBytes, unhex } from '@cardwright/emv';
import { type VirtualCard, connectVpcd } from '../src/index.ts';
import { makeCardData } from './personalization-data.ts';
import { makeBlank, openSession, personalize } from './personalization-host.ts';

const DEADLINE_MS = 5000;
const [OFF, ON, RESET, ATR] = [0, 1, 2, 4].map((code) => Uint8Array.of(code)) as [
  Uint8Array,
  Uint8Array,
  Uint8Array,
  Uint8Array,
];

/** The reader's side of the protocol, over a real socket. */
class TinyReader {
  readonly #socket: Socket;
  readonly chunks: Uint8Array[] = [];
  #received: Uint8Array = new Uint8Array(0);
  #arrived: () => void = () => undefined;

  constructor(socket: Socket) {
    this.#socket = socket;
    socket.on('data', (chunk: Uint8Array) => {
      this.chunks.push(chunk);
      this.#received = concatBytes(this.#received, chunk);
      this.#arrived();
    });
  }

  write(...frames: Uint8Array[]): void {
    this.#socket.write(concatBytes(...frames.map((frame) => concatBytes(uintBytes(frame.length, 2), frame))));
  }

  writeRaw(bytes: Uint8Array): void {
    this.#socket.write(bytes);
  }

  async read(): Promise<string> {
    const signal = AbortSignal.timeout(DEADLINE_MS);
    for (;;) {
      const length = (this.#received[0] ?? 0) * 256 + (this.#received[1] ?? 0);
      if (this.#received.length >= 2 + length && this.#received.length > 2) {
        const frame = this.#received.slice(2, 2 + length);
        this.#received = this.#received.slice(2 + length);
        return hex(frame);
      }
      signal.throwIfAborted();
      await new Promise<void>((resolve, reject) => {
        this.#arrived = resolve;
        signal.addEventListener(
          'abort',
          () => {
            reject(new Error('the card does not answer'));
          },
          { once: true },
        );
      });
    }
  }

  async exchange(frame: string): Promise<string> {
    this.write(unhex(frame));
    return this.read();
  }

  hangUp(): void {
    this.#socket.destroy();
  }
}

const servers: Server[] = [];
after(() => {
  for (const server of servers) server.close();
});

async function insert(card: VirtualCard, signal?: AbortSignal) {
  const server = createServer();
  servers.push(server);
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  const { port } = server.address() as AddressInfo;
  const accepted = once(server, 'connection') as Promise<[Socket]>;
  const connection = await connectVpcd(card, {
    host: '127.0.0.1',
    port,
    ...(signal === undefined ? {} : { signal }),
  });
  const [socket] = await accepted;
  return { connection, reader: new TinyReader(socket), port };
}

describe('a virtual card in a vpcd reader', () => {
  it('answers the ATR request and commands, one frame each, in one piece', async () => {
    const { connection, reader } = await insert(makeBlank('SCP03'));
    reader.write(ON);
    assert.equal(await reader.exchange(hex(ATR)), '3BE000FF8131FE4514');
    assert.ok((await reader.exchange('00A4040000')).endsWith('9000'));
    assert.deepEqual(
      reader.chunks.map((chunk) => chunk.length > 2),
      [true, true],
    );
    await connection.close();
  });

  it('understands frames that arrive together and frames that arrive byte by byte', async () => {
    const { connection, reader } = await insert(makeBlank('SCP03'));
    reader.write(ON, ATR, unhex('00A4040000'), unhex('80CA9F7F00'));
    assert.equal(await reader.read(), '3BE000FF8131FE4514');
    assert.ok((await reader.read()).startsWith('6F'));
    assert.ok((await reader.read()).startsWith('9F7F'));
    for (const byte of unhex('000500A4040000')) reader.writeRaw(Uint8Array.of(byte));
    assert.ok((await reader.read()).startsWith('6F'));
    await connection.close();
  });

  it('keeps its session between ATR requests and loses it with a reset', async () => {
    const card = makeBlank('SCP03');
    const { connection, reader } = await insert(card);
    reader.write(ON, ATR);
    await reader.read();
    const session = openSession(card);
    const getStatus = { cla: 0x80, ins: 0xf2, p1: 0x80, p2: 0x02, data: unhex('4F00') };
    await reader.exchange(hex(ATR));
    assert.ok((await reader.exchange(hex(session.wrap(getStatus)))).endsWith('9000'));
    reader.write(RESET);
    assert.equal(await reader.exchange(hex(session.wrap(getStatus))), '6982');
    await connection.close();
  });

  it('is inserted without power and silent until the reader switches it on', async () => {
    const { connection, reader } = await insert(makeBlank('SCP03'));
    reader.write(unhex('00A4040000'), OFF, unhex('00A4040000'), ON, ATR);
    assert.equal(await reader.read(), '3BE000FF8131FE4514');
    await connection.close();
  });

  it('the same card can be inserted again and remembers its personalization', async () => {
    const card = makeBlank('SCP02');
    personalize(card, makeCardData());
    for (const atc of ['0001', '0002']) {
      const { connection, reader } = await insert(card);
      reader.write(ON);
      assert.ok((await reader.exchange('00A4040007F043415244000100')).endsWith('9000'));
      assert.ok((await reader.exchange('80A8000002830000')).endsWith('9000'));
      assert.equal(await reader.exchange('80CA9F3600'), `9F3602${atc}9000`);
      await connection.close();
    }
  });

  it('hangs up when a fault removes the card', async () => {
    const card = makeBlank('SCP03', { knobs: { storeDataFault: { block: 0, effect: { kind: 'removed' } } } });
    const { connection, reader } = await insert(card);
    reader.write(ON, unhex('80E20000017F'));
    await connection.closed;
  });

  it('keeps silent but connected when the chip is mute', async () => {
    const card = makeBlank('SCP03', { knobs: { isMute: true } });
    let asked: () => void = () => undefined;
    const wasAsked = new Promise<void>((resolve) => (asked = resolve));
    const observed: VirtualCard = {
      atr: card.atr,
      reset: () => card.reset(),
      powerOff: () => {
        card.powerOff();
      },
      delayMsOf: (command) => card.delayMsOf(command),
      inspect: () => card.inspect(),
      transmit: (command) => {
        asked();
        return card.transmit(command);
      },
    };
    const { connection, reader } = await insert(observed);
    const states: string[] = [];
    void connection.closed.then(() => states.push('closed'));
    reader.write(ON, ATR, unhex('00A4040000'));
    await wasAsked;
    // Another card's whole round trip through the same event loop: an answer would have arrived by then.
    const other = await insert(makeBlank('SCP03'));
    other.reader.write(ON, ATR);
    await other.reader.read();
    assert.equal(reader.chunks.length, 0);
    assert.deepEqual(states, []);
    await connection.close();
    await other.connection.close();
  });

  it('takes its time for STORE DATA when it has a slow memory', async () => {
    const { connection, reader } = await insert(makeBlank('SCP03', { knobs: { storeDataDelayMs: 40 } }));
    reader.write(ON);
    const start = performance.now();
    assert.equal(await reader.exchange('80E20000017F'), '6982');
    assert.ok(performance.now() - start >= 39);
    await connection.close();
  });

  it('is out of the reader when the reader goes, when it is closed and when its signal fires', async () => {
    const gone = await insert(makeBlank('SCP03'));
    gone.reader.hangUp();
    await gone.connection.closed;
    const controller = new AbortController();
    const aborted = await insert(makeBlank('SCP03'), controller.signal);
    controller.abort();
    await aborted.connection.closed;
    await assert.rejects(
      connectVpcd(makeBlank('SCP03'), { host: '127.0.0.1', port: 1, signal: controller.signal }),
    );
  });

  it('rejects when no reader listens', async () => {
    const server = createServer();
    server.listen(0, '127.0.0.1');
    await once(server, 'listening');
    const { port } = server.address() as AddressInfo;
    server.close();
    await once(server, 'close');
    await assert.rejects(connectVpcd(makeBlank('SCP03'), { host: '127.0.0.1', port }), /ECONNREFUSED/);
  });
});
