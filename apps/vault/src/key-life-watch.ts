/**
 * Warns in time of keys that end: at the start, and every day that the vault runs.
 *
 * Invariant: a warning names the key and its day, and comes again each day until somebody rotates or destroys it.
 */
import { type KeyInventoryEntry, type KeyManagement } from '@cardwright/keys';
import { type VaultStatus } from '@cardwright/protocol';
import { type Clock, type Logger, type Timer } from '@cardwright/runtime';

const dayMs = 86_400_000;

export interface KeyLifeWatchOptions {
  readonly management: Pick<KeyManagement, 'dueKeys'>;
  readonly clock: Clock;
  readonly logger: Pick<Logger, 'warn'>;
  /** How long before its end a key is named. */
  readonly warningDays: number;
}

export type EndingKey = VaultStatus['keysEnding'][number];

function endingKey({ name, state, activeUntilMs, keepUntilMs }: KeyInventoryEntry): EndingKey {
  const endsAtMs = state === 'active' ? activeUntilMs : keepUntilMs;
  return { name, state, endsAt: new Date(endsAtMs).toISOString() };
}

export class KeyLifeWatch {
  readonly #options: KeyLifeWatchOptions;
  #timer: Timer | undefined;

  constructor(options: KeyLifeWatchOptions) {
    this.#options = options;
  }

  /** Warns now and sets the next day's alarm. */
  start(): void {
    const { clock, logger } = this.#options;
    for (const { name, state, endsAt } of this.ending()) {
      const daysLeft = Math.floor((Date.parse(endsAt) - clock.now()) / dayMs);
      logger.warn('vault.key-ends', { key: name, state, endsAt, daysLeft });
    }
    this.#timer = clock.setTimeout(() => {
      this.start();
    }, dayMs);
  }

  /** Keys that stop to protect, or stop to open, within the time of warning; and those that are past it. */
  ending(): readonly EndingKey[] {
    const { management, warningDays } = this.#options;
    return management.dueKeys(warningDays * dayMs).map(endingKey);
  }

  stop(): void {
    this.#timer?.cancel();
  }
}
