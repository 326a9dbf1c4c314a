/**
 * The reader's side of the vpcd protocol: a TCP server; a virtual card connects while it is in the contact station.
 *
 * Invariants: one card at a time, a second one is turned away; a power-on ends the channel before it; without
 * Nagle's delay, because it would cost 40 ms per command.
 */
import { type AddressInfo, type Server, type Socket, createServer } from 'node:net';
import { type Clock, systemClock } from '@cardwright/runtime';
import { type ApduChannel } from '../apdu-channel.ts';
import { type ChipReader } from '../chip-reader.ts';
import { DeviceFault } from '../device-fault.ts';
import { VpcdCard } from './vpcd-card.ts';
import { vpcdControl } from './vpcd-frames.ts';

export interface VpcdReaderOptions {
  readonly host: string;
  /** 0 lets the system choose; `VpcdReader.port` tells. */
  readonly port: number;
  /** How long a chip may think about one command; default 10 s. */
  readonly apduTimeoutMs?: number;
  /** How long a chip may take for its answer to reset; default 2 s. */
  readonly atrTimeoutMs?: number;
  readonly clock?: Clock;
}

export interface VpcdReader extends ChipReader {
  readonly port: number;
  readonly hasCard: boolean;
}

const defaultCardWaitMs = 5_000;
const keepAliveMs = 10_000;

/** Opens a reader. @throws Error (from node:net) when the port cannot be had */
export async function listenVpcd(options: VpcdReaderOptions): Promise<VpcdReader> {
  const server = createServer({ noDelay: true, keepAlive: true, keepAliveInitialDelay: keepAliveMs });
  const reader = new TcpVpcdReader(server, {
    apduTimeoutMs: options.apduTimeoutMs ?? 10_000,
    atrTimeoutMs: options.atrTimeoutMs ?? 5_000,
    clock: options.clock ?? systemClock,
  });
  await new Promise<void>((resolve, reject) => {
    server.once('error', reject);
    server.listen(options.port, options.host, () => {
      server.off('error', reject);
      resolve();
    });
  });
  return reader;
}

interface ReaderSettings {
  readonly apduTimeoutMs: number;
  readonly atrTimeoutMs: number;
  readonly clock: Clock;
}

class TcpVpcdReader implements VpcdReader {
  readonly #server: Server;
  readonly #settings: ReaderSettings;
  readonly #arrivals = new Set<() => void>();
  #card: VpcdCard | undefined;
  #channel: VpcdChannel | undefined;

  constructor(server: Server, settings: ReaderSettings) {
    this.#server = server;
    this.#settings = settings;
    server.on('connection', (socket) => {
      this.#insert(socket);
    });
  }

  get port(): number {
    return (this.#server.address() as AddressInfo).port;
  }

  get hasCard(): boolean {
    return this.#card !== undefined;
  }

  async powerOn(options: { readonly cardWaitMs?: number } = {}): Promise<ApduChannel> {
    this.#channel?.invalidate();
    this.#channel = undefined;
    const card = await this.#waitForCard(options.cardWaitMs ?? defaultCardWaitMs);
    const channel = new VpcdChannel(card, this.#settings);
    await channel.reset();
    this.#channel = channel;
    return channel;
  }

  async waitForRemoval(limitMs: number): Promise<boolean> {
    const card = this.#card;
    if (card === undefined) return true;
    let expire: () => void = () => undefined;
    const expired = new Promise<void>((resolve) => {
      expire = resolve;
    });
    const timer = this.#settings.clock.setTimeout(expire, limitMs);
    await Promise.race([card.gone, expired]);
    timer.cancel();
    return card.isGone;
  }

  async close(): Promise<void> {
    this.#channel?.invalidate();
    const closed = new Promise<void>((resolve) => {
      this.#server.close(() => {
        resolve();
      });
    });
    this.#card?.drop();
    await closed;
  }

  #insert(socket: Socket): void {
    if (this.#card !== undefined) {
      // Two cards in one slot: whoever was first stays, so that no command can reach the wrong chip.
      socket.on('error', () => undefined);
      socket.destroy();
      return;
    }
    const card = new VpcdCard(socket, this.#settings.clock);
    this.#card = card;
    void card.gone.then(() => {
      if (this.#card === card) this.#card = undefined;
    });
    for (const arrived of this.#arrivals) arrived();
  }

  #waitForCard(cardWaitMs: number): Promise<VpcdCard> {
    return new Promise((resolve, reject) => {
      const arrived = (): void => {
        if (this.#card === undefined) return;
        this.#arrivals.delete(arrived);
        timer.cancel();
        resolve(this.#card);
      };
      const timer = this.#settings.clock.setTimeout(() => {
        this.#arrivals.delete(arrived);
        reject(
          new DeviceFault({
            code: 'CHIP_FAIL',
            faultClass: 'ambiguous',
            vendor: `vpcd: no card in the reader for ${cardWaitMs} ms`,
          }),
        );
      }, cardWaitMs);
      this.#arrivals.add(arrived);
      arrived();
    });
  }
}

class VpcdChannel implements ApduChannel {
  atr: Uint8Array = new Uint8Array(0);
  readonly #card: VpcdCard;
  readonly #settings: ReaderSettings;
  #isValid = true;

  constructor(card: VpcdCard, settings: ReaderSettings) {
    this.#card = card;
    this.#settings = settings;
  }

  async transmit(command: Uint8Array): Promise<Uint8Array> {
    this.#assertValid();
    // A frame of one byte would be a control, not a command.
    if (command.length < 4) throw new RangeError('a command APDU has four bytes at least');
    const response = await this.#card.exchange(command, this.#settings.apduTimeoutMs);
    if (response.length < 2) {
      this.#card.drop();
      throw new DeviceFault({
        code: 'CHIP_FAIL',
        faultClass: 'card-inside',
        vendor: 'vpcd: response without a status word',
      });
    }
    return response;
  }

  async reset(): Promise<void> {
    this.#assertValid();
    this.#card.send(Uint8Array.of(vpcdControl.powerOff));
    this.#card.send(Uint8Array.of(vpcdControl.powerOn));
    const atr = await this.#card.exchange(Uint8Array.of(vpcdControl.getAtr), this.#settings.atrTimeoutMs);
    if (atr.length === 0) {
      throw new DeviceFault({
        code: 'CHIP_FAIL',
        faultClass: 'card-inside',
        vendor: 'vpcd: empty answer to reset',
      });
    }
    this.atr = atr;
  }

  close(): Promise<void> {
    if (this.#isValid) {
      this.#isValid = false;
      this.#card.send(Uint8Array.of(vpcdControl.powerOff));
    }
    return Promise.resolve();
  }

  /** A later power-on owns the card from now on. */
  invalidate(): void {
    this.#isValid = false;
  }

  #assertValid(): void {
    if (!this.#isValid) throw new Error('this chip channel is closed');
  }
}
