/**
 * The Evolis printer as a card device: looks at the printer, and opens one card session at a time.
 *
 * Invariants: a session begins only with an empty transport and is resumed only with a card inside; whatever a dead
 * client left waiting is given up first, and nothing is moved by looking.
 */
import { type Clock, delay, systemClock } from '@cardwright/runtime';
import { type ChipReader } from '../chip-reader.ts';
import { DeviceFault } from '../device-fault.ts';
import {
  type CardDevice,
  type CardSession,
  type DeviceProfile,
  type DeviceStatus,
  type RecoveryReport,
} from '../port.ts';
import { type PrinterSight, sightPrinter, stateText } from './evolis-evidence.ts';
import { blocksJobs, decideEventReaction, faultCodeOf } from './evolis-faults.ts';
import { EvolisLink, type EvolisLimits, defaultEvolisLimits } from './evolis-link.ts';
import { EvolisRpcError } from './evolis-rpc.ts';
import { EvolisSession } from './evolis-session.ts';
import { type EvolisEvent, deviceStateOf, isBusy, isInside, unreachableState } from './evolis-state.ts';

export { type EvolisLimits } from './evolis-link.ts';

export interface EvolisDeviceOptions {
  readonly host: string;
  readonly port: number;
  /** The printer's name as the Evolis service knows it. */
  readonly device: string;
  /** The reader that stands in this printer's contact station. */
  readonly reader: ChipReader;
  readonly clock?: Clock;
  readonly limits?: Partial<EvolisLimits>;
}

const profile: DeviceProfile = {
  driver: 'evolis',
  widthPx: 1016,
  heightPx: 648,
  dpi: 300,
  hasCounters: true,
};

/** A feeder that is empty stops `feed()`, where an operator can fill it; everything else stops the job here. */
const mendedDuringFeed = 'DEF_FEEDER_EMPTY';

/** Opens no connection: each call makes its own. The reader stays the caller's to close. */
export function createEvolisDevice(options: EvolisDeviceOptions): CardDevice {
  return new EvolisDevice(options);
}

class EvolisDevice implements CardDevice {
  readonly profile = profile;
  readonly #link: EvolisLink;
  readonly #reader: ChipReader;
  #session: EvolisSession | undefined;

  constructor(options: EvolisDeviceOptions) {
    this.#link = new EvolisLink({
      endpoint: { host: options.host, port: options.port },
      device: options.device,
      limits: { ...defaultEvolisLimits, ...options.limits },
      clock: options.clock ?? systemClock,
    });
    this.#reader = options.reader;
  }

  async status(): Promise<DeviceStatus> {
    const sight = await sightPrinter(this.#link);
    return {
      state: sight.isReachable ? deviceStateOf(sight.state) : 'offline',
      card: sight.position,
      counters: sight.counters,
      vendor: stateText(sight.state),
    };
  }

  async begin(_jobId: string): Promise<CardSession> {
    const sight = await this.#settle();
    if (!sight.isReachable) throw offline(sight, 'clean');
    if (sight.position !== 'none') {
      const isKnown = isInside(sight.position);
      throw new DeviceFault({
        code: 'DEVICE_FAULT',
        faultClass: isKnown ? 'card-inside' : 'ambiguous',
        vendor: isKnown
          ? `a card is inside already, at ${sight.position}`
          : 'the printer does not know its cards',
      });
    }
    if (blocksJobs(sight.state.minor) && sight.state.minor !== mendedDuringFeed) {
      const { minor } = sight.state;
      throw new DeviceFault({ code: faultCodeOf(minor), faultClass: 'clean', vendor: minor });
    }
    return this.#open(sight, false);
  }

  async resume(_jobId: string): Promise<CardSession> {
    const sight = await this.#settle();
    if (!sight.isReachable) throw offline(sight, 'ambiguous');
    if (!isInside(sight.position)) {
      throw new DeviceFault({
        code: sight.position === 'none' ? 'CARD_LOST' : 'DEVICE_FAULT',
        faultClass: 'ambiguous',
        vendor: `no card to take over: ${sight.position}`,
      });
    }
    return this.#open(sight, true);
  }

  async recover(): Promise<RecoveryReport> {
    const sight = await this.#settle();
    return { card: sight.position, counters: sight.counters, vendor: stateText(sight.state) };
  }

  close(): Promise<void> {
    this.#session?.invalidate();
    this.#session = undefined;
    return Promise.resolve();
  }

  #open(sight: PrinterSight, hasFed: boolean): CardSession {
    this.#session?.invalidate();
    this.#session = new EvolisSession({
      link: this.#link,
      reader: this.#reader,
      dpi: profile.dpi,
      known: { hasFed, pickedAtBegin: hasFed ? undefined : sight.counters?.picked },
      rejectedAtExit: sight.position === 'exit' ? sight.counters?.rejected : undefined,
    });
    return this.#session;
  }

  /** Waits until the printer rests: an operation that nobody answers any more is given up, one that runs may end. */
  async #settle(): Promise<PrinterSight> {
    const giveUpAt = this.#link.clock.now() + this.#link.limits.printMs;
    for (;;) {
      try {
        const event = await this.#link.event();
        if (event !== undefined) await this.#giveUp(event);
        else {
          const state = await this.#link.state();
          if (!isBusy(state) || this.#link.clock.now() >= giveUpAt) return await sightPrinter(this.#link);
        }
      } catch (error) {
        if (error instanceof EvolisRpcError) return silent(error);
        throw error;
      }
      await delay(this.#link.clock, this.#link.limits.pollMs);
    }
  }

  /** A refusal means that the event vanished between question and answer: the next look tells. */
  async #giveUp(event: EvolisEvent): Promise<void> {
    const reaction = decideEventReaction(event);
    try {
      await this.#link.setEvent(event, reaction.kind === 'ask' ? reaction.cancelAction : reaction.action);
    } catch (error) {
      if (!(error instanceof EvolisRpcError && error.failure === 'refused')) throw error;
    }
  }
}

function silent(error: EvolisRpcError): PrinterSight {
  const state = { ...unreachableState, minor: `${unreachableState.minor} ${error.detail}` };
  return { state, position: 'unknown', counters: undefined, isReachable: false };
}

function offline(sight: PrinterSight, faultClass: 'clean' | 'ambiguous'): DeviceFault {
  return new DeviceFault({ code: 'OFFLINE', faultClass, vendor: sight.state.minor });
}
