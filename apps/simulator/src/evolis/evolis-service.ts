/**
 * The Evolis service of the desk: its methods, and the raw commands that one card needs.
 *
 * Invariants: every method names the printer or a session and is refused without; a movement is answered when it is
 * over, and stands still while the panel shows an event; pictures are checked before anything moves.
 */
import { type Clock } from '@cardwright/runtime';
import { type Desk } from '../desk/desk.ts';
import { DeskRefusal } from '../desk/desk-refusal.ts';
import { type ArmedFaults } from '../fault-deck.ts';
import { cardHeightPx, cardWidthPx, readBitmap } from './bitmap-reader.ts';
import { type PrintSessions } from './print-sessions.ts';
import { type PrinterView, rawStatus, stateWords } from './printer-words.ts';
import { RpcFailure, type RpcRequest, textParam } from './rpc-message.ts';

export interface EvolisServiceOptions {
  readonly device: string;
  readonly serialNumber: string;
  readonly desk: Desk;
  readonly sessions: PrintSessions;
  readonly faults: ArmedFaults;
  readonly clock: Clock;
  readonly outageMs: number;
}

const unknownCommand = 'ERROR CDE';

export class EvolisService {
  readonly #options: EvolisServiceOptions;
  #isSilent = false;
  #isPrinting = false;

  constructor(options: EvolisServiceOptions) {
    this.#options = options;
  }

  get isSilent(): boolean {
    return this.#isSilent;
  }

  /** Answers one request. @throws RpcFailure */
  async serve(request: RpcRequest): Promise<string> {
    try {
      return await this.#dispatch(request);
    } catch (error) {
      if (!(error instanceof DeskRefusal)) throw error;
      if (error.minor === 'BUSY') throw new RpcFailure('printerBusy', error.minor);
      throw new RpcFailure(request.method === 'PRINT.Print' ? 'printFailed' : 'moveFailed', error.minor);
    }
  }

  /** The answer to a print as the fault deck wants it. */
  garble(method: string, answer: string): string {
    const isGarbled = method === 'PRINT.Print' && this.#options.faults.has('garbled-answer');
    return isGarbled ? answer.slice(0, Math.floor(answer.length / 2)) : answer;
  }

  async #dispatch(request: RpcRequest): Promise<string> {
    switch (request.method) {
      case 'ECHO.Echo':
        return textParam(request, 'data');
      case 'SUPERVISION.List':
        return `${this.#options.device},${stateWords(this.#view())}`;
      case 'SUPERVISION.GetState':
        this.#requireDevice(request);
        return stateWords(this.#view());
      case 'SUPERVISION.GetEvent':
        this.#requireDevice(request);
        return this.#eventWords();
      case 'SUPERVISION.SetEvent':
        return this.#setEvent(request);
      case 'CMD.GetStatus':
        this.#requireDevice(request);
        return rawStatus(this.#view());
      case 'CMD.SendCommand':
        this.#requireDevice(request);
        return this.#command(textParam(request, 'command'));
      case 'CMD.ResetCom':
        this.#requireDevice(request);
        return 'OK';
      case 'PRINT.Begin':
        this.#requireDevice(request);
        return this.#options.sessions.begin();
      case 'PRINT.Set':
        this.#options.sessions.set(textParam(request, 'session'), textParam(request, 'data'));
        return 'OK';
      case 'PRINT.SetBitmap':
        return this.#setBitmap(request);
      case 'PRINT.Print':
        return this.#print(textParam(request, 'session'));
      case 'PRINT.End':
        this.#options.sessions.end(textParam(request, 'session'));
        return 'OK';
      default:
        throw new RpcFailure('method', 'no such method');
    }
  }

  #view(): PrinterView {
    const { desk } = this.#options;
    return {
      pendingEvent: desk.panel.shown?.event,
      isMoving: desk.isMoving,
      isPrinting: this.#isPrinting,
      standingMinor: desk.standingMinor,
      position: desk.position,
    };
  }

  #requireDevice(request: RpcRequest): void {
    if (textParam(request, 'device') !== this.#options.device) {
      throw new RpcFailure('printerUnknown', 'no such printer');
    }
  }

  #eventWords(): string {
    const shown = this.#options.desk.panel.shown;
    return shown === undefined ? 'NONE' : `${shown.event}:${shown.actions.join(',')}`;
  }

  /** The device is optional here: one known client sends it, another does not. */
  #setEvent(request: RpcRequest): string {
    if (request.params['device'] !== undefined) this.#requireDevice(request);
    const [event = '', action = ''] = textParam(request, 'action').split(':');
    if (this.#options.desk.panel.answer(event, action)) return 'OK';
    throw new RpcFailure('params', 'nothing waits for this answer');
  }

  async #command(command: string): Promise<string> {
    const { desk, device, serialNumber } = this.#options;
    switch (command) {
      case 'Si':
        await desk.insert();
        return 'OK';
      case 'Sis':
        await desk.moveToContact();
        return 'OK';
      case 'Se':
        await desk.eject();
        return 'OK';
      case 'Ser':
        await desk.reject();
        return 'OK';
      case 'Rco;p':
        return String(desk.counters.picked);
      case 'Rco;e':
        return String(desk.counters.ejected);
      case 'Rco;r':
        return String(desk.counters.rejected);
      case 'Rsn':
        return serialNumber;
      case 'Rtp':
        return device;
      case 'Rfv':
        return 'SIM 1.0';
      default:
        return unknownCommand;
    }
  }

  #setBitmap(request: RpcRequest): string {
    const session = textParam(request, 'session');
    const face = textParam(request, 'face');
    if (face !== 'front' && face !== 'back') throw new RpcFailure('params', 'face is front or back');
    if (textParam(request, 'panel') !== 'color')
      throw new RpcFailure('params', 'only the panel color is simulated');
    const [, base64] = /^base64:([A-Za-z0-9+/]+={0,2})$/.exec(textParam(request, 'data')) ?? [];
    const picture = base64 === undefined ? undefined : readBitmap(Buffer.from(base64, 'base64'));
    if (picture === undefined) {
      throw new RpcFailure('params', `data is base64:<24-bit BMP ${cardWidthPx}x${cardHeightPx}>`);
    }
    this.#options.sessions.setPicture(session, face, picture);
    return 'OK';
  }

  async #print(session: string): Promise<string> {
    const { desk, sessions, faults } = this.#options;
    await sessions.print(session, async (pictures, settings) => {
      const silence = faults.takeSilence();
      if (silence !== undefined) this.#fallSilent(silence.comesBack);
      this.#isPrinting = true;
      try {
        await desk.print(pictures);
      } finally {
        this.#isPrinting = false;
      }
      // Any other tray: the printer gives the card out by itself.
      if (settings.get('GOutputTray') !== 'MANUAL') await desk.eject();
    });
    return 'OK';
  }

  #fallSilent(comesBack: boolean): void {
    this.#isSilent = true;
    if (!comesBack) return;
    this.#options.clock.setTimeout(() => {
      this.#isSilent = false;
    }, this.#options.outageMs);
  }
}
