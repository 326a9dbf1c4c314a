/**
 * The mechanics of the desk: feeder, transport, contact station, print head, bezel and reject box.
 *
 * Invariants: one movement at a time; every change of place is in the ledger before anybody hears of it; a movement
 * that a fault stops goes on or ends only by an answer at the panel. A killed process is a power cut: places and
 * counters survive, what the chip of a card inside had learned does not, and that chip is mute from then on.
 */
import { randomBytes } from 'node:crypto';
import { type CardKnobs, type VirtualCard, createVirtualCard } from '@cardwright/card';
import { type Clock, crashPoint, delay } from '@cardwright/runtime';
import { type MechanicsTiming, type SimulatorConfig, wellKnownTestKey } from '../config.ts';
import { type ArmedFaults, type FaultMoment } from '../fault-deck.ts';
import { Bezel } from './bezel.ts';
import { ChipStation } from './chip-station.ts';
import { type DeskFile } from './desk-file.ts';
import { type InsidePosition, type LedgerCounters, blanksLeft, insideCard } from './desk-ledger.ts';
import { DeskRefusal } from './desk-refusal.ts';
import { OperatorPanel } from './operator-panel.ts';
import { type Picture, PictureStore } from './picture-store.ts';

export interface DeskOptions {
  readonly config: SimulatorConfig;
  readonly file: DeskFile;
  readonly timing: MechanicsTiming;
  readonly faults: ArmedFaults;
  readonly clock: Clock;
}

/** What is printed on a card; a side that is absent stays blank. */
export interface CardPictures {
  readonly front?: Picture;
  readonly back?: Picture;
}

export class Desk {
  readonly panel = new OperatorPanel();
  readonly #config: SimulatorConfig;
  readonly #file: DeskFile;
  readonly #timing: MechanicsTiming;
  readonly #faults: ArmedFaults;
  readonly #clock: Clock;
  readonly #station: ChipStation;
  readonly #bezel: Bezel;
  readonly #pictures: PictureStore;
  #chip: VirtualCard | undefined;
  /** False for the mute stand-in after a power cut: it says nothing about the chip that was there. */
  #isChipOriginal = true;
  #isMoving = false;

  constructor(options: DeskOptions) {
    this.#config = options.config;
    this.#file = options.file;
    this.#timing = options.timing;
    this.#faults = options.faults;
    this.#clock = options.clock;
    this.#station = new ChipStation(options.config.vpcd, options.clock);
    this.#bezel = new Bezel(
      {
        takeAfterMs: options.faults.has('not-taken') ? null : options.config.takeAfterMs,
        delayMs: options.config.bezelDelayMs ?? options.timing.bezelDelayMs,
      },
      options.clock,
    );
    this.#pictures = new PictureStore(options.file.folder);
  }

  /** Switches the desk on: a new one gets its first stack of blanks; a card that was inside is still there. */
  powerOn(): void {
    if (this.#file.isNew) this.#fillFeeder();
    const card = insideCard(this.#file.ledger);
    if (card === undefined) return;
    this.#chip = this.#makeChip(card.serial, { isMute: true });
    this.#isChipOriginal = false;
    if (card.position === 'contact') this.#station.insert(this.#chip);
    if (card.position === 'exit') this.#waitAtBezel();
  }

  async powerOff(): Promise<void> {
    this.#bezel.clear();
    await this.#station.remove();
  }

  get isMoving(): boolean {
    return this.#isMoving;
  }

  get position(): InsidePosition | undefined {
    return insideCard(this.#file.ledger)?.position;
  }

  get counters(): LedgerCounters {
    return this.#file.ledger.counters;
  }

  /** What keeps a job from starting. */
  get standingMinor(): string | undefined {
    const minor = this.#faults.standingMinor();
    if (minor !== undefined) return minor;
    return blanksLeft(this.#file.ledger) === 0 ? 'DEF_FEEDER_EMPTY' : undefined;
  }

  /** Feeds a blank unless a card is inside, and stops at the transport. @throws DeskRefusal */
  async insert(): Promise<void> {
    await this.#exclusively(async () => {
      if (this.position === undefined) await this.#pick();
    });
  }

  /** Feeds a blank unless a card is inside, and moves it to the contact station. @throws DeskRefusal */
  async moveToContact(): Promise<void> {
    await this.#exclusively(async () => {
      if (this.position === undefined) await this.#pick();
      if (this.position === 'contact') return;
      await this.#leavePlace();
      await this.#pause(this.#timing.moveMs);
      this.#file.record({ kind: 'moved', to: 'contact' });
      if (this.#chip !== undefined) this.#station.insert(this.#chip);
    });
  }

  /** Prints the card that is inside, or a fresh blank; the card waits at the print head. @throws DeskRefusal */
  async print(pictures: CardPictures): Promise<void> {
    await this.#exclusively(async () => {
      if (this.position === undefined) await this.#pick();
      await this.#leavePlace();
      this.#file.record({ kind: 'moved', to: 'print' });
      await this.#pause(this.#timing.printMs);
      await this.#stopFor('print');
      crashPoint('simulator.mid-print');
      await this.#pause(pictures.back === undefined ? 0 : this.#timing.printMs);
      const serial = this.#insideSerial();
      const [front, back] = await Promise.all([
        pictures.front === undefined ? null : this.#pictures.draw(serial, 'front', pictures.front),
        pictures.back === undefined ? null : this.#pictures.draw(serial, 'back', pictures.back),
      ]);
      this.#noteChip();
      this.#file.record({ kind: 'printed', front, back });
    });
  }

  /** Presents the card at the bezel. @throws DeskRefusal when no card is inside */
  async eject(): Promise<void> {
    await this.#exclusively(async () => {
      this.#requireCard();
      if (this.position === 'exit') return;
      await this.#leavePlace();
      await this.#pause(this.#timing.moveMs);
      this.#file.record({ kind: 'ejected' });
      crashPoint('simulator.card-at-exit');
      this.#waitAtBezel();
    });
  }

  /** Moves the card to the reject box. @throws DeskRefusal when no card is inside */
  async reject(): Promise<void> {
    await this.#exclusively(async () => {
      this.#requireCard();
      await this.#stopFor('before-reject');
      this.#requireCard();
      await this.#leavePlace();
      await this.#pause(this.#timing.moveMs);
      this.#file.record({ kind: 'rejected' });
      this.#forgetChip();
    });
  }

  async #exclusively(movement: () => Promise<void>): Promise<void> {
    if (this.#isMoving) throw new DeskRefusal('BUSY');
    this.#isMoving = true;
    try {
      await movement();
    } finally {
      this.#isMoving = false;
    }
  }

  async #pick(): Promise<void> {
    await this.#stopFor('before-feed');
    // A feeder that has run dry is an empty feeder; an operator who answers RETRY has put in a new stack.
    while (blanksLeft(this.#file.ledger) === 0) {
      await this.#stop('DEF_FEEDER_EMPTY', ['RETRY', 'CANCEL']);
      this.#fillFeeder();
    }
    this.#file.record({ kind: 'picked' });
    crashPoint('simulator.card-picked');
    this.#chip = this.#makeChip(this.#insideSerial(), this.#faults.takeChipKnobs());
    this.#isChipOriginal = true;
    await this.#pause(this.#timing.feedMs);
    await this.#stopFor('feed');
  }

  /** Stops for the armed faults of this moment until they are mended. @throws DeskRefusal */
  async #stopFor(moment: FaultMoment): Promise<void> {
    for (;;) {
      const fault = this.#faults.stopAt(moment);
      if (fault === undefined) return;
      await this.#stop(fault.effect.event, fault.effect.actions);
      if (fault.effect.isMendedByRetry) this.#faults.mend(fault.name);
    }
  }

  /** Shows an event and waits. @throws DeskRefusal when the answer is CANCEL */
  async #stop(event: string, actions: readonly string[]): Promise<void> {
    const action = await this.panel.ask({ event, actions });
    if (action === 'CANCEL') throw new DeskRefusal(event);
  }

  async #leavePlace(): Promise<void> {
    const from = this.position;
    if (from === 'exit') this.#bezel.clear();
    if (from === 'contact') {
      await this.#station.remove();
      this.#noteChip();
    }
    if (from !== 'transport') this.#file.record({ kind: 'moved', to: 'transport' });
  }

  #waitAtBezel(): void {
    this.#bezel.present((how) => {
      this.#file.record({ kind: how });
      this.#forgetChip();
    });
  }

  /** Writes down what the chip has become. */
  #noteChip(): void {
    if (this.#chip === undefined || !this.#isChipOriginal) return;
    const isPersonalised = this.#chip
      .inspect()
      .applications.some(({ lifeCycle }) => lifeCycle === 'PERSONALIZED');
    const card = insideCard(this.#file.ledger);
    if (isPersonalised && card?.personalised === false) this.#file.record({ kind: 'personalised' });
    this.#pictures.describeChip(this.#chip);
  }

  #forgetChip(): void {
    const chip = this.#chip;
    this.#chip = undefined;
    if (chip !== undefined && this.#isChipOriginal) this.#pictures.describeChip(chip);
  }

  #requireCard(): void {
    if (this.position === undefined) throw new DeskRefusal('ERR_NO_CARD_INSERTED');
  }

  #insideSerial(): string {
    const card = insideCard(this.#file.ledger);
    if (card === undefined) throw new Error('no card inside');
    return card.serial;
  }

  #fillFeeder(): void {
    const known = new Set(this.#file.ledger.cards.map((card) => card.serial));
    const serials: string[] = [];
    while (serials.length < this.#config.blanks) {
      const serial = randomBytes(4).toString('hex').toUpperCase();
      if (known.has(serial)) continue;
      known.add(serial);
      serials.push(serial);
    }
    this.#file.record({ kind: 'filled', serials });
  }

  #makeChip(serial: string, knobs: CardKnobs): VirtualCard {
    return createVirtualCard({
      secureChannel: this.#config.secureChannel,
      kmc: new Uint8Array(Buffer.from(this.#config.kmc ?? wellKnownTestKey, 'hex')),
      serial: new Uint8Array(Buffer.from(serial, 'hex')),
      knobs,
    });
  }

  async #pause(durationMs: number): Promise<void> {
    await delay(this.#clock, durationMs);
  }
}
