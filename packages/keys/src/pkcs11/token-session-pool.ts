/**
 * A fixed number of sessions with one token, lent out one operation at a time.
 *
 * Invariants: a session serves one operation at a time, because initializing and performing are two calls; waiting
 * is in order of arrival; sessions stay open until the pool closes, because the keys that were derived in a session
 * end with it.
 */
import { KeyError } from '../key-port.ts';
import { type TokenSession } from './token-session.ts';

export class TokenSessionPool {
  readonly #sessions: readonly TokenSession[];
  readonly #free: TokenSession[];
  readonly #waiting: ((session: TokenSession) => void)[] = [];
  #isClosed = false;

  constructor(sessions: readonly TokenSession[]) {
    this.#sessions = sessions;
    this.#free = [...sessions];
  }

  /** Runs `work` with a session of its own. @throws KeyError KEY_NOT_FOUND once the pool is closed */
  async use<T>(work: (session: TokenSession) => Promise<T>): Promise<T> {
    if (this.#isClosed) throw new KeyError('KEY_NOT_FOUND', 'the key adapter is closed and holds no key');
    const session = this.#free.pop() ?? (await this.#wait());
    try {
      return await work(session);
    } finally {
      const next = this.#waiting.shift();
      if (next) next(session);
      else this.#free.push(session);
    }
  }

  #wait(): Promise<TokenSession> {
    return new Promise((resolve) => {
      this.#waiting.push(resolve);
    });
  }

  /** Waits for what runs, then closes every session. */
  async close(): Promise<void> {
    this.#isClosed = true;
    const all: TokenSession[] = [];
    while (all.length < this.#sessions.length) all.push(this.#free.pop() ?? (await this.#wait()));
    for (const session of all) await session.close();
  }
}
