/**
 * The contact station: while a card stands in it, its chip is connected to the reader as a vpcd client.
 *
 * Invariants: a chip that lost contact stays without contact until the card is moved; a reader that is not there
 * (yet, or no more) is tried again for as long as the card stands here.
 */
import { type VirtualCard, VirtualCardError, type VpcdConnection, connectVpcd } from '@cardwright/card';
import { type Clock, delay } from '@cardwright/runtime';

export interface ReaderAddress {
  readonly host: string;
  readonly port: number;
}

const reconnectMs = 40;

export class ChipStation {
  readonly #reader: ReaderAddress;
  readonly #clock: Clock;
  #stay: { readonly leave: AbortController; readonly over: Promise<void> } | undefined;

  constructor(reader: ReaderAddress, clock: Clock) {
    this.#reader = reader;
    this.#clock = clock;
  }

  /** Puts a card into the station. */
  insert(card: VirtualCard): void {
    if (this.#stay !== undefined) throw new Error('a card is in the chip station already');
    const leave = new AbortController();
    this.#stay = { leave, over: this.#keepConnected(card, leave.signal) };
  }

  /** Takes the card out; resolves when its connection is closed. */
  async remove(): Promise<void> {
    const stay = this.#stay;
    this.#stay = undefined;
    if (stay === undefined) return;
    stay.leave.abort();
    await stay.over;
  }

  async #keepConnected(card: VirtualCard, leaving: AbortSignal): Promise<void> {
    for (;;) {
      if (leaving.aborted) return;
      const connection = await this.#connect(card, leaving);
      if (connection !== undefined) {
        await connection.closed;
        if (hasLostContact(card)) return;
      }
      // Rejects when the card leaves meanwhile, which the next round sees.
      await delay(this.#clock, reconnectMs, leaving).catch(() => undefined);
    }
  }

  async #connect(card: VirtualCard, leaving: AbortSignal): Promise<VpcdConnection | undefined> {
    try {
      const connection = await connectVpcd(card, { ...this.#reader, signal: leaving });
      // The card may have been moved while the connection was made.
      if (leaving.aborted) await connection.close();
      return connection;
    } catch {
      return undefined;
    }
  }
}

/** A virtual card that a fault took out of the reader says so when it is addressed. */
function hasLostContact(card: VirtualCard): boolean {
  try {
    card.transmit(Uint8Array.of(0x80, 0xca, 0x9f, 0x7f));
    return false;
  } catch (error) {
    return error instanceof VirtualCardError && error.code === 'REMOVED';
  }
}
