/**
 * One card that has connected to the reader: frames out, answers in, one exchange at a time.
 *
 * Invariants: an answer belongs to the exchange that is open; a frame nobody asked for, or no answer in time, ends
 * the connection, so that a late answer can never be taken for the next one.
 */
import { type Socket } from 'node:net';
import { type Clock } from '@cardwright/runtime';
import { DeviceFault, type FaultClass } from '../device-fault.ts';
import { VpcdFrameReader, encodeVpcdFrame } from './vpcd-frames.ts';

interface Exchange {
  readonly resolve: (answer: Uint8Array) => void;
  readonly reject: (fault: DeviceFault) => void;
}

function chipFault(faultClass: FaultClass, vendor: string): DeviceFault {
  return new DeviceFault({ code: 'CHIP_FAIL', faultClass, vendor });
}

export class VpcdCard {
  /** Resolves when the card is out of the reader. */
  readonly gone: Promise<void>;
  readonly #socket: Socket;
  readonly #clock: Clock;
  readonly #frames = new VpcdFrameReader();
  #open: Exchange | undefined;
  #isGone = false;

  constructor(socket: Socket, clock: Clock) {
    this.#socket = socket;
    this.#clock = clock;
    this.gone = new Promise((resolve) => {
      socket.once('close', () => {
        this.#isGone = true;
        // Whether the chip executed the command before it left is unknown to the reader, and so is where it went.
        this.#settle((open) => open.reject(chipFault('ambiguous', 'vpcd: card removed during a command')));
        resolve();
      });
    });
    // A card that ends its side has left.
    socket.once('end', () => socket.destroy());
    // 'close' always follows; that is what counts.
    socket.on('error', () => undefined);
    socket.on('data', (chunk: Uint8Array) => {
      for (const frame of this.#frames.push(chunk)) this.#take(frame);
    });
  }

  get isGone(): boolean {
    return this.#isGone;
  }

  /** Sends a frame that has no answer. */
  send(body: Uint8Array): void {
    if (!this.#isGone) this.#socket.write(encodeVpcdFrame(body));
  }

  /**
   * Sends a frame and returns its answer.
   * @throws DeviceFault CHIP_FAIL: `card-inside` when the chip keeps silent, `ambiguous` when the card left
   */
  exchange(body: Uint8Array, timeoutMs: number): Promise<Uint8Array> {
    if (this.#open !== undefined) throw new Error('a command is under way: one exchange at a time');
    return new Promise((resolve, reject) => {
      if (this.#isGone) {
        reject(chipFault('ambiguous', 'vpcd: card removed before a command'));
        return;
      }
      const timer = this.#clock.setTimeout(() => {
        this.#settle((open) =>
          open.reject(
            chipFault('card-inside', `vpcd: chip mute for ${timeoutMs} ms, effect of the command unknown`),
          ),
        );
        this.#socket.destroy();
      }, timeoutMs);
      const done = <T>(settle: (value: T) => void): ((value: T) => void) => {
        return (value) => {
          timer.cancel();
          settle(value);
        };
      };
      this.#open = { resolve: done(resolve), reject: done(reject) };
      this.#socket.write(encodeVpcdFrame(body));
    });
  }

  /** Takes the card for gone: its connection is closed. */
  drop(): void {
    this.#socket.destroy();
  }

  #take(frame: Uint8Array): void {
    if (this.#open === undefined) {
      this.#socket.destroy();
      return;
    }
    this.#settle((open) => open.resolve(frame));
  }

  #settle(action: (open: Exchange) => void): void {
    const open = this.#open;
    this.#open = undefined;
    if (open !== undefined) action(open);
  }
}
