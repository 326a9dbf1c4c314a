/**
 * One virtual EMV card: power, command routing, and the faults it was told to have.
 *
 * Invariants: memory outlives a reset, sessions and transactions do not; every answer has a status word; a card
 * that gives no answer throws `VirtualCardError` and never answers half.
 */
import { randomBytes } from 'node:crypto';
import { type CommandApdu, EmvError, hex, ins, parseCommand, unhex } from '@cardwright/emv';
import { type Selection, decideSelection } from './application-selection.ts';
import { type CardKnobs, type StoreDataFault } from './card-knobs.ts';
import {
  type ApplicationInstance,
  type ApplicationLifeCycle,
  type CardLifeCycle,
  type CardMemory,
  type SecureChannelProtocol,
  blankCardMemory,
} from './card-memory.ts';
import { type PaymentTransaction } from './payment-transaction.ts';
import { performPaymentCommand } from './payment-application.ts';
import { SecurityDomain } from './security-domain.ts';
import { type StatusWord, SW, accept, refuse } from './status-word.ts';
import { VirtualCardError } from './virtual-card-error.ts';

/** What an observer may know about a card; no secrets, no cardholder data. */
export interface CardInspection {
  readonly serial: string;
  readonly lifeCycle: CardLifeCycle;
  readonly applications: readonly {
    readonly aid: string;
    readonly lifeCycle: ApplicationLifeCycle;
    readonly isLocked: boolean;
  }[];
}

export interface VirtualCard {
  /** Answer to reset; empty when the chip is mute. */
  readonly atr: Uint8Array;
  /**
   * Executes one command APDU and returns the response with its status word.
   * @throws VirtualCardError when the card gives no answer at all
   */
  transmit(command: Uint8Array): Uint8Array;
  /** Cold reset (also power on, also insertion after a removal); returns the ATR. */
  reset(): Uint8Array;
  powerOff(): void;
  /** How long a real chip would take for this command, in milliseconds; zero unless a knob says otherwise. */
  delayMsOf(command: Uint8Array): number;
  inspect(): CardInspection;
}

export interface VirtualCardOptions {
  readonly secureChannel: SecureChannelProtocol;
  /** Master key from which the card keys are diversified: 16 bytes, TDES for SCP02, AES for SCP03. */
  readonly kmc: Uint8Array;
  /** Chip serial, 4 to 6 bytes; the last four are the CSN. */
  readonly serial: Uint8Array;
  /** Source of random bytes; injected to make a card deterministic. */
  readonly random?: (bytes: number) => Uint8Array;
  readonly knobs?: CardKnobs;
}

const T1_ATR = unhex('3BE000FF8131FE4514');
const T0_ATR = unhex('3B600000');
const DEFAULT_KEY_VERSION = 0x01;
const MAX_SHORT_COMMAND_BYTES = 261;
const GET_RESPONSE = 0xc0;

/**
 * Makes a blank card.
 * @throws RangeError for a serial of the wrong length
 */
export function createVirtualCard(options: VirtualCardOptions): VirtualCard {
  return new ChipCard(options);
}

class ChipCard implements VirtualCard {
  readonly #memory: CardMemory;
  readonly #knobs: CardKnobs;
  readonly #random: (bytes: number) => Uint8Array;
  readonly #securityDomain: SecurityDomain;
  #selection: Selection = { kind: 'security-domain' };
  #transaction: PaymentTransaction = { stage: 'selected' };
  #power: 'on' | 'off' | 'removed' = 'on';
  #isMute: boolean;
  #storeDataCount = 0;
  #isStoreDataFaultSpent = false;
  /** Answer data that a T=0 host has yet to fetch. */
  #pendingAnswer: Uint8Array | undefined;

  constructor(options: VirtualCardOptions) {
    const knobs = options.knobs ?? {};
    this.#knobs = knobs;
    this.#isMute = knobs.isMute === true;
    this.#random = options.random ?? ((bytes) => new Uint8Array(randomBytes(bytes)));
    this.#memory = blankCardMemory({
      protocol: options.secureChannel,
      kmc: options.kmc,
      serial: options.serial,
      keyVersion: knobs.keyVersion ?? DEFAULT_KEY_VERSION,
    });
    if (knobs.isBlocked === true) this.#memory.lifeCycle = 'CARD_LOCKED';
    if (knobs.isAlreadyPersonalized === true) {
      for (const instance of this.#memory.instances) instance.lifeCycle = 'PERSONALIZED';
    }
    this.#securityDomain = new SecurityDomain(this.#memory, { random: this.#random, knobs });
  }

  get atr(): Uint8Array {
    if (this.#isMute) return new Uint8Array(0);
    return (this.#knobs.isT0 === true ? T0_ATR : T1_ATR).slice();
  }

  transmit(command: Uint8Array): Uint8Array {
    if (this.#isMute) throw new VirtualCardError('MUTE');
    if (this.#power === 'off') throw new VirtualCardError('POWERED_OFF');
    if (this.#power === 'removed') throw new VirtualCardError('REMOVED');
    const parsed = parseShortCommand(command);
    if (parsed === undefined) return refuse(SW.lengthWrong);
    return this.#knobs.isT0 === true ? this.#executeT0(parsed) : this.#executeWithFaults(parsed);
  }

  reset(): Uint8Array {
    this.#forgetSession();
    this.#power = 'on';
    return this.atr;
  }

  powerOff(): void {
    this.#forgetSession();
    if (this.#power === 'on') this.#power = 'off';
  }

  delayMsOf(command: Uint8Array): number {
    return command[1] === ins.storeData ? (this.#knobs.storeDataDelayMs ?? 0) : 0;
  }

  inspect(): CardInspection {
    return {
      serial: hex(this.#memory.keyData.subarray(-4)),
      lifeCycle: this.#memory.lifeCycle,
      applications: this.#memory.instances.map(({ aid, lifeCycle, isLocked }) => ({
        aid: hex(aid),
        lifeCycle,
        isLocked,
      })),
    };
  }

  #forgetSession(): void {
    this.#securityDomain.endSession();
    this.#selection = { kind: 'security-domain' };
    this.#transaction = { stage: 'selected' };
    this.#pendingAnswer = undefined;
  }

  /** Case 4 over T=0: the data waits for GET RESPONSE. */
  #executeT0(command: CommandApdu): Uint8Array {
    const pending = this.#pendingAnswer;
    this.#pendingAnswer = undefined;
    if (command.ins === GET_RESPONSE) {
      return pending === undefined ? refuse(SW.conditionsNotSatisfied) : pending;
    }
    const response = this.#executeWithFaults(command);
    if (response.length === 2) return response;
    this.#pendingAnswer = response;
    return Uint8Array.of(0x61, (response.length - 2) & 0xff);
  }

  #executeWithFaults(command: CommandApdu): Uint8Array {
    const fault = command.ins === ins.storeData ? this.#storeDataFault(command) : undefined;
    switch (fault?.kind) {
      case undefined:
        return this.#execute(command);
      case 'mute':
        this.#isMute = true;
        throw new VirtualCardError('MUTE');
      case 'removed':
        this.#remove();
        throw new VirtualCardError('REMOVED');
      case 'response-lost':
        this.#execute(command);
        this.#remove();
        throw new VirtualCardError('REMOVED');
      case 'status-word':
        return this.#execute(command, fault.statusWord);
    }
  }

  #storeDataFault(command: CommandApdu): StoreDataFault | undefined {
    const count = this.#storeDataCount;
    this.#storeDataCount += 1;
    const planned = this.#knobs.storeDataFault;
    if (planned === undefined || this.#isStoreDataFaultSpent) return undefined;
    const target = this.#securityDomain.personalizationTarget;
    const isFinalBlock = (command.p1 & 0x80) !== 0 && target !== undefined && target.kind !== 'directory';
    if (planned.block === 'last' ? !isFinalBlock : planned.block !== count) return undefined;
    this.#isStoreDataFaultSpent = true;
    return planned.effect;
  }

  #remove(): void {
    this.#forgetSession();
    this.#power = 'removed';
  }

  #execute(command: CommandApdu, plannedRefusal?: StatusWord): Uint8Array {
    if (this.#memory.lifeCycle === 'TERMINATED') return refuse(SW.conditionsNotSatisfied);
    if (command.cla === 0x00 && command.ins === ins.select) return this.#select(command);
    if (this.#selection.kind === 'security-domain') {
      return this.#securityDomain.execute(command, plannedRefusal);
    }
    const { instance } = this.#selection;
    return instance.kind === 'directory'
      ? readDirectory(instance, command)
      : this.#executePayment(instance, command);
  }

  #select(command: CommandApdu): Uint8Array {
    this.#securityDomain.endSession();
    const decision = decideSelection(this.#memory, this.#selection, command);
    if (!decision.ok) return refuse(decision.statusWord);
    this.#selection = decision.selection;
    this.#transaction = { stage: 'selected' };
    return decision.response;
  }

  #executePayment(instance: ApplicationInstance, command: CommandApdu): Uint8Array {
    const outcome = performPaymentCommand(instance, this.#transaction, command, {
      random: this.#random,
      signsAac: this.#knobs.signsAac === true,
    });
    this.#transaction = outcome.transaction;
    if (outcome.blockOrder === 'block-application') instance.isLocked = true;
    if (outcome.blockOrder === 'block-card') this.#memory.lifeCycle = 'CARD_LOCKED';
    return outcome.response;
  }
}

/** A PSE or PPSE knows one command besides SELECT: READ RECORD. */
function readDirectory(instance: ApplicationInstance, command: CommandApdu): Uint8Array {
  if (command.ins !== ins.readRecord) return refuse(SW.instructionUnknown);
  if (command.cla !== 0x00) return refuse(SW.classUnknown);
  if (instance.contents === undefined || instance.isLocked) return refuse(SW.conditionsNotSatisfied);
  const record = instance.contents.records.read(command.p1, command.p2);
  return record.ok ? accept(record.value) : refuse(record.statusWord);
}

/** This card knows short lengths only. */
function parseShortCommand(command: Uint8Array): CommandApdu | undefined {
  const isExtended = command.length > 5 && command[4] === 0;
  if (isExtended || command.length > MAX_SHORT_COMMAND_BYTES) return undefined;
  try {
    return parseCommand(command);
  } catch (error) {
    if (error instanceof EmvError) return undefined;
    throw error;
  }
}
