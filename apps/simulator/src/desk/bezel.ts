/**
 * The bezel: a presented card waits here until the customer takes it or the delay is over.
 *
 * Invariant: a card at the exit ends in one way, once.
 */
import { type Clock, type Timer } from '@cardwright/runtime';

export interface BezelSettings {
  /** When the customer takes the card; null for a customer who has walked away. */
  readonly takeAfterMs: number | null;
  readonly delayMs: number;
}

export class Bezel {
  readonly #settings: BezelSettings;
  readonly #clock: Clock;
  #timers: readonly Timer[] = [];

  constructor(settings: BezelSettings, clock: Clock) {
    this.#settings = settings;
    this.#clock = clock;
  }

  /** A card stands at the exit. Calls back once, unless `clear` comes first. */
  present(done: (how: 'taken' | 'retracted') => void): void {
    const end = (how: 'taken' | 'retracted') => (): void => {
      this.clear();
      done(how);
    };
    const { takeAfterMs, delayMs } = this.#settings;
    this.#timers = [
      this.#clock.setTimeout(end('retracted'), delayMs),
      ...(takeAfterMs === null ? [] : [this.#clock.setTimeout(end('taken'), takeAfterMs)]),
    ];
  }

  /** The card goes another way. */
  clear(): void {
    for (const timer of this.#timers) timer.cancel();
    this.#timers = [];
  }
}
