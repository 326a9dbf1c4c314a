/**
 * One Evolis printer behind its service: the calls that the driver needs, typed and with their time limits.
 *
 * Invariant: queries are safe to repeat; a call that moves a card (`startCommand`, `startPrint`) is sent once.
 */
import { type Clock, delay } from '@cardwright/runtime';
import { type DeviceCounters } from '../port.ts';
import { type EvolisEndpoint, EvolisRpcError, callEvolis } from './evolis-rpc.ts';
import {
  type EvolisEvent,
  type EvolisState,
  parseCardPosition,
  parseCounter,
  parseEvent,
  parseState,
} from './evolis-state.ts';
import { type CardPosition } from '../port.ts';

/** Every time limit of the driver, in milliseconds. */
export interface EvolisLimits {
  /** A query or a setting. */
  readonly queryMs: number;
  /** A card movement, operator's time not included. */
  readonly moveMs: number;
  /** A print, operator's time not included. */
  readonly printMs: number;
  /** Pause between two looks at a working printer. */
  readonly pollMs: number;
  /** How long a printer may keep silent during an operation before it is taken for lost. */
  readonly silenceMs: number;
  /** How long to wait for a print session that a dead client still holds. */
  readonly sessionMs: number;
  /** How long to wait for the card in the reader once it stands in the contact station. */
  readonly chipMs: number;
}

export const defaultEvolisLimits: EvolisLimits = {
  queryMs: 4_000,
  moveMs: 60_000,
  printMs: 300_000,
  pollMs: 100,
  silenceMs: 8_000,
  sessionMs: 50_000,
  chipMs: 8_000,
};

/** Raw commands (programming guide, without ESC and CR). */
export type EvolisCommand = 'Sis' | 'Se' | 'Ser';

export class EvolisLink {
  readonly device: string;
  readonly limits: EvolisLimits;
  readonly clock: Clock;
  readonly #endpoint: EvolisEndpoint;

  constructor(options: {
    readonly endpoint: EvolisEndpoint;
    readonly device: string;
    readonly limits: EvolisLimits;
    readonly clock: Clock;
  }) {
    this.#endpoint = options.endpoint;
    this.device = options.device;
    this.limits = options.limits;
    this.clock = options.clock;
  }

  async state(): Promise<EvolisState> {
    return parseState(await this.#query('SUPERVISION.GetState', { device: this.device }));
  }

  async event(): Promise<EvolisEvent | undefined> {
    return parseEvent(await this.#query('SUPERVISION.GetEvent', { device: this.device }));
  }

  async setEvent(event: EvolisEvent, action: string): Promise<void> {
    await this.#query('SUPERVISION.SetEvent', { device: this.device, action: `${event.name}:${action}` });
  }

  async position(): Promise<CardPosition> {
    return parseCardPosition(await this.#query('CMD.GetStatus', { device: this.device }));
  }

  /** Undefined when the printer does not count what we need. */
  async counters(): Promise<DeviceCounters | undefined> {
    const picked = await this.#counter('p');
    const ejected = await this.#counter('e');
    const rejected = await this.#counter('r');
    if (picked === undefined || ejected === undefined || rejected === undefined) return undefined;
    return { picked, ejected, rejected };
  }

  /** Opens a print session; waits while a dead client's session is still reserved. @throws EvolisRpcError */
  async beginPrint(): Promise<string> {
    const giveUpAt = this.clock.now() + this.limits.sessionMs;
    for (;;) {
      try {
        return await this.#query('PRINT.Begin', { device: this.device });
      } catch (error) {
        const isReserved = error instanceof EvolisRpcError && error.detail.includes('SESSION_EBUSY');
        if (!isReserved || this.clock.now() >= giveUpAt) throw error;
        await delay(this.clock, this.limits.pollMs);
      }
    }
  }

  async setPrint(session: string, settings: string): Promise<void> {
    await this.#query('PRINT.Set', { session, data: settings });
  }

  async setBitmap(session: string, face: 'front' | 'back', bitmap: Uint8Array): Promise<void> {
    const data = `base64:${Buffer.from(bitmap).toString('base64')}`;
    await this.#query('PRINT.SetBitmap', { session, face, panel: 'color', data }, 10 * this.limits.queryMs);
  }

  async endPrint(session: string): Promise<void> {
    await this.#query('PRINT.End', { session });
  }

  /** Moves a card. The answer comes when the movement is over, however long an operator takes. */
  startCommand(command: EvolisCommand, signal: AbortSignal): Promise<string> {
    const timeoutMs = this.limits.moveMs;
    const params = { device: this.device, command, timeout: String(timeoutMs) };
    return this.#call('CMD.SendCommand', params, noLimitMs, signal);
  }

  startPrint(session: string, signal: AbortSignal): Promise<string> {
    return this.#call('PRINT.Print', { session }, noLimitMs, signal);
  }

  async #counter(letter: 'p' | 'e' | 'r'): Promise<number | undefined> {
    const timeout = String(this.limits.queryMs);
    return parseCounter(
      await this.#query('CMD.SendCommand', { device: this.device, command: `Rco;${letter}`, timeout }),
    );
  }

  #query(method: string, params: Readonly<Record<string, string>>, timeoutMs?: number): Promise<string> {
    return this.#call(method, params, timeoutMs ?? this.limits.queryMs, undefined);
  }

  #call(
    method: string,
    params: Readonly<Record<string, string>>,
    timeoutMs: number,
    signal: AbortSignal | undefined,
  ): Promise<string> {
    const request = { method, params, timeoutMs, ...(signal === undefined ? {} : { signal }) };
    return callEvolis(this.#endpoint, this.clock, request);
  }
}

/** The watcher, not the socket, limits an operation: it knows when the printer waits for an operator. */
const noLimitMs = 24 * 60 * 60 * 1000;
