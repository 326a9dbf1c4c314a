/**
 * One physical card in an Evolis printer, from the feeder to the customer's hand or the reject box.
 *
 * Invariants: a movement is sent once, after the printer confirmed that the card is where it must be, and is
 * believed only when position and counters agree afterwards; nothing moves while the printer waits for an answer.
 */
import { delay } from '@cardwright/runtime';
import { type ApduChannel } from '../apdu-channel.ts';
import { type ChipReader } from '../chip-reader.ts';
import { DeviceFault, type DeviceFaultCode } from '../device-fault.ts';
import { type CardPosition, type CardSession, type Raster } from '../port.ts';
import { encodeBitmap24 } from './bitmap-24.ts';
import { ConfirmedApduChannel } from './confirmed-apdu-channel.ts';
import {
  type PrinterSight,
  type SessionKnowledge,
  faultFromRpc,
  faultFromSight,
  sightPrinter,
} from './evolis-evidence.ts';
import { type EvolisCommand, type EvolisLink } from './evolis-link.ts';
import { EvolisRpcError } from './evolis-rpc.ts';
import { isInside } from './evolis-state.ts';
import { type EvolisStep, EvolisStepper } from './evolis-stepper.ts';

export interface EvolisSessionOptions {
  readonly link: EvolisLink;
  readonly reader: ChipReader;
  readonly dpi: number;
  readonly known: SessionKnowledge;
  /** Life-time count of rejected cards while a card that was taken over stands at the exit. */
  readonly rejectedAtExit: number | undefined;
}

/** MANUAL output: the card waits inside for `Se` or `Ser` (unverified on hardware, see the README). */
const printSettings = 'GDuplexMode=DUPLEX_CC;GInputTray=FEEDER;GOutputTray=MANUAL;GRibbonType=RC_YMCKO';
/** How long the reader may take to notice that the card has left it. */
const removalLimitMs = 5_000;

export class EvolisSession implements CardSession {
  readonly #link: EvolisLink;
  readonly #reader: ChipReader;
  readonly #dpi: number;
  readonly #stepper: EvolisStepper;
  #known: SessionKnowledge;
  #rejectedAtExit: number | undefined;
  #isReleased = false;

  constructor(options: EvolisSessionOptions) {
    this.#link = options.link;
    this.#reader = options.reader;
    this.#dpi = options.dpi;
    this.#known = options.known;
    this.#rejectedAtExit = options.rejectedAtExit;
    this.#stepper = new EvolisStepper(options.link, () => this.#known);
  }

  async feed(): Promise<void> {
    this.#assertUsable();
    if (this.#known.hasFed) throw new Error('a session feeds one card only');
    this.#known = { ...this.#known, hasFed: true };
    await this.#stepper.perform({
      ...this.#command('Sis', () => this.#confirmFed()),
      onNotSent: () => {
        this.#known = { ...this.#known, hasFed: false };
      },
    });
  }

  async chip(): Promise<ApduChannel> {
    this.#assertUsable();
    // With nothing inside, the command below would pick a second blank.
    if ((await this.#requireCard()) !== 'contact') {
      await this.#stepper.perform(this.#command('Sis', () => this.#confirmAt('contact')));
    }
    try {
      const channel = await this.#reader.powerOn({ cardWaitMs: this.#link.limits.chipMs });
      return new ConfirmedApduChannel(channel, (fault) => this.#confirmChipFault(fault));
    } catch (error) {
      if (error instanceof DeviceFault) throw await this.#confirmChipFault(error);
      throw error;
    }
  }

  async print(sides: { readonly front: Raster; readonly back: Raster }): Promise<void> {
    this.#assertUsable();
    const front = encodeBitmap24(sides.front, this.#dpi);
    const back = encodeBitmap24(sides.back, this.#dpi);
    // With nothing inside, the printer would pick a blank and print on that.
    await this.#requireCard();
    const printSession = await this.#preparePrint(front, back);
    await this.#stepper.perform({
      start: (signal) => this.#link.startPrint(printSession, signal),
      limitMs: this.#link.limits.printMs,
      confirm: async () => {
        await this.#requireCard();
        await this.#reader.waitForRemoval(removalLimitMs);
      },
      cleanUp: () => this.#endPrint(printSession),
      onNotSent: () => undefined,
    });
  }

  async present(): Promise<void> {
    this.#assertUsable();
    await this.#requireCard();
    const before = await this.#sight();
    this.#rejectedAtExit = before.counters?.rejected;
    await this.#stepper.perform(
      this.#command('Se', async () => {
        const after = await this.#sight();
        const wasEjected = hasGrown(before.counters?.ejected, after.counters?.ejected);
        // A customer may be quicker than our look at the exit.
        if (after.position !== 'exit' && !(after.position === 'none' && wasEjected)) {
          throw await this.#fault('CARD_LOST', `ejected, but the card is at ${after.position}`);
        }
        await this.#reader.waitForRemoval(removalLimitMs);
      }),
    );
  }

  async awaitTaken(signal: AbortSignal): Promise<'taken' | 'retracted'> {
    this.#assertUsable();
    let silentSince: number | undefined;
    for (;;) {
      signal.throwIfAborted();
      const sight = await sightPrinter(this.#link);
      if (sight.isReachable) silentSince = undefined;
      else silentSince ??= this.#link.clock.now();
      if (silentSince !== undefined && this.#link.clock.now() - silentSince >= this.#link.limits.silenceMs) {
        throw new DeviceFault({
          code: 'OFFLINE',
          faultClass: 'ambiguous',
          vendor: 'silent with a card at the exit',
        });
      }
      if (sight.position === 'none') return this.#outcomeAtExit(sight);
      await delay(this.#link.clock, this.#link.limits.pollMs, signal);
    }
  }

  async reject(): Promise<void> {
    this.#assertUsable();
    if (this.#stepper.isStalled) await this.#stepper.answer('cancel');
    await this.#requireCard();
    const before = await this.#sight();
    await this.#stepper.perform(
      this.#command('Ser', async () => {
        const after = await this.#sight();
        const wasRejected = hasGrown(before.counters?.rejected, after.counters?.rejected);
        if (after.position !== 'none' || !wasRejected) {
          throw await this.#fault('CARD_LOST', `rejected, but the card is at ${after.position}`);
        }
        await this.#reader.waitForRemoval(removalLimitMs);
      }),
    );
  }

  async answer(answer: 'retry' | 'cancel'): Promise<void> {
    this.#assertUsable();
    await this.#stepper.answer(answer);
  }

  async release(): Promise<void> {
    if (this.#isReleased) return;
    if (this.#stepper.isStalled) await this.#stepper.answer('cancel');
    this.#isReleased = true;
  }

  /** Called by the device when another session takes over. */
  invalidate(): void {
    this.#isReleased = true;
  }

  #command(command: EvolisCommand, confirm: () => Promise<void>): EvolisStep {
    return {
      start: (signal) => this.#link.startCommand(command, signal),
      limitMs: this.#link.limits.moveMs,
      confirm,
      cleanUp: () => Promise.resolve(),
      onNotSent: () => undefined,
    };
  }

  async #confirmFed(): Promise<void> {
    const sight = await this.#sight();
    if (sight.position === 'contact') return;
    throw await this.#fault('FEED_FAIL', `fed, but the card is at ${sight.position}`);
  }

  async #confirmAt(wanted: CardPosition): Promise<void> {
    const position = await this.#requireCard();
    if (position === wanted) return;
    throw await this.#fault('DEVICE_FAULT', `moved to ${wanted}, but the card is at ${position}`);
  }

  /** Where the card is. @throws DeviceFault when the printer has none or does not know */
  async #requireCard(): Promise<CardPosition> {
    const sight = await this.#sight();
    if (isInside(sight.position)) return sight.position;
    throw await this.#fault(
      sight.position === 'none' ? 'CARD_LOST' : 'DEVICE_FAULT',
      `card at ${sight.position} (${sight.state.minor})`,
    );
  }

  async #sight(): Promise<PrinterSight> {
    const sight = await sightPrinter(this.#link);
    if (sight.isReachable) return sight;
    throw await this.#fault('OFFLINE', sight.state.minor);
  }

  #fault(code: DeviceFaultCode, vendor: string): Promise<DeviceFault> {
    return faultFromSight(this.#link, this.#known, code, vendor);
  }

  /** A chip fault is about a card inside only when the printer sees one. */
  async #confirmChipFault(fault: DeviceFault): Promise<DeviceFault> {
    const confirmed = await this.#fault('CHIP_FAIL', fault.vendor);
    return new DeviceFault({ code: 'CHIP_FAIL', faultClass: confirmed.faultClass, vendor: fault.vendor });
  }

  async #preparePrint(front: Uint8Array, back: Uint8Array): Promise<string> {
    try {
      const printSession = await this.#link.beginPrint();
      try {
        await this.#link.setPrint(printSession, printSettings);
        await this.#link.setBitmap(printSession, 'front', front);
        await this.#link.setBitmap(printSession, 'back', back);
        return printSession;
      } catch (error) {
        await this.#endPrint(printSession);
        throw error;
      }
    } catch (error) {
      if (error instanceof EvolisRpcError) throw await faultFromRpc(this.#link, this.#known, error);
      throw error;
    }
  }

  /** The pictures are printed or lost by now; a session that cannot be ended lapses by itself. */
  async #endPrint(printSession: string): Promise<void> {
    try {
      await this.#link.endPrint(printSession);
    } catch (error) {
      if (!(error instanceof EvolisRpcError)) throw error;
    }
  }

  /** The exit is empty: the reject counter tells who took the card. */
  #outcomeAtExit(sight: PrinterSight): 'taken' | 'retracted' {
    const rejected = sight.counters?.rejected;
    if (rejected === undefined || this.#rejectedAtExit === undefined) {
      throw new DeviceFault({
        code: 'CARD_LOST',
        faultClass: 'ambiguous',
        vendor: 'the exit is empty and no counter tells whether the card was taken',
      });
    }
    return rejected > this.#rejectedAtExit ? 'retracted' : 'taken';
  }

  #assertUsable(): void {
    if (this.#isReleased) throw new Error('this card session has been released');
  }
}

function hasGrown(before: number | undefined, after: number | undefined): boolean {
  return before !== undefined && after !== undefined && after === before + 1;
}
