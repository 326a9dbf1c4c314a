/**
 * Print sessions: one client at a time prepares a job.
 *
 * Invariants: a session that is left alone lapses; one whose print is running does not.
 */
import { randomBytes } from 'node:crypto';
import { type Clock } from '@cardwright/runtime';
import { type CardPictures } from '../desk/desk.ts';
import { type CardSide, type Picture } from '../desk/picture-store.ts';
import { RpcFailure } from './rpc-message.ts';

interface PrintSession {
  readonly id: string;
  readonly settings: Map<string, string>;
  readonly pictures: Map<CardSide, Picture>;
  lastUsedAt: number;
  isPrinting: boolean;
}

export class PrintSessions {
  readonly #clock: Clock;
  readonly #lapseMs: number;
  #open: PrintSession | undefined;

  constructor(clock: Clock, lapseMs: number) {
    this.#clock = clock;
    this.#lapseMs = lapseMs;
  }

  /** @throws RpcFailure while another client holds the printer */
  begin(): string {
    if (this.#current() !== undefined) throw new RpcFailure('sessionBusy', 'SESSION_EBUSY');
    const id = randomBytes(8).toString('hex').toUpperCase();
    this.#open = {
      id,
      settings: new Map(),
      pictures: new Map(),
      lastUsedAt: this.#clock.now(),
      isPrinting: false,
    };
    return id;
  }

  /** `KEY=VALUE;KEY=VALUE`. @throws RpcFailure */
  set(id: string, data: string): void {
    const session = this.#use(id);
    for (const pair of data.split(';').filter((part) => part !== '')) {
      const at = pair.indexOf('=');
      if (at < 1) throw new RpcFailure('params', 'settings are KEY=VALUE;KEY=VALUE');
      session.settings.set(pair.slice(0, at), pair.slice(at + 1));
    }
  }

  setPicture(id: string, side: CardSide, picture: Picture): void {
    this.#use(id).pictures.set(side, picture);
  }

  /** Runs the print with what the session holds. The back is printed only in a duplex mode. */
  async print(
    id: string,
    run: (pictures: CardPictures, settings: ReadonlyMap<string, string>) => Promise<void>,
  ): Promise<void> {
    const session = this.#use(id);
    if (session.isPrinting) throw new RpcFailure('printerBusy', 'BUSY');
    const front = session.pictures.get('front');
    const back =
      session.settings.get('GDuplexMode')?.startsWith('DUPLEX_') === true
        ? session.pictures.get('back')
        : undefined;
    if (front === undefined && back === undefined) throw new RpcFailure('params', 'nothing to print');
    session.isPrinting = true;
    try {
      await run(
        { ...(front === undefined ? {} : { front }), ...(back === undefined ? {} : { back }) },
        session.settings,
      );
    } finally {
      session.isPrinting = false;
      session.lastUsedAt = this.#clock.now();
    }
  }

  end(id: string): void {
    if (this.#use(id).isPrinting) throw new RpcFailure('printerBusy', 'BUSY');
    this.#open = undefined;
  }

  #current(): PrintSession | undefined {
    const session = this.#open;
    if (session === undefined) return undefined;
    const isLapsed = !session.isPrinting && this.#clock.now() - session.lastUsedAt >= this.#lapseMs;
    if (isLapsed) this.#open = undefined;
    return this.#open;
  }

  #use(id: string): PrintSession {
    const session = this.#current();
    if (session?.id !== id) throw new RpcFailure('sessionUnknown', 'no such session, or it has lapsed');
    session.lastUsedAt = this.#clock.now();
    return session;
  }
}
