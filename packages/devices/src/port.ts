/**
 * The device port: everything the agent may ask of a card printer with a chip station.
 *
 * Invariants: a session is exactly one physical card. Every method that moves matter either completes, or throws
 * a `DeviceFault` whose class says whether a card is inside; a connection lost in mid-call is `ambiguous` unless
 * the device can be asked again. Nothing is retried inside a driver after matter may have moved.
 */
import { type ApduChannel } from './apdu-channel.ts';

export type DeviceState = 'offline' | 'ready' | 'busy' | 'attention' | 'fault';

/** Where the card is, as far as the device can tell. */
export type CardPosition = 'none' | 'transport' | 'contact' | 'print' | 'exit' | 'unknown';

/** Life-time counters of the device; they survive power cycles and are the evidence after a crash. */
export interface DeviceCounters {
  readonly picked: number;
  readonly ejected: number;
  readonly rejected: number;
}

export interface DeviceStatus {
  readonly state: DeviceState;
  readonly card: CardPosition;
  readonly counters: DeviceCounters | undefined;
  /** Vendor state as the device words it, kept as evidence. */
  readonly vendor: string;
}

export interface DeviceProfile {
  readonly driver: string;
  readonly widthPx: number;
  readonly heightPx: number;
  readonly dpi: number;
  /** Whether counters tell after a crash if a card left the feeder or the exit. */
  readonly hasCounters: boolean;
}

/** 24-bit RGB, row by row from the top left, `width * height * 3` bytes. */
export interface Raster {
  readonly width: number;
  readonly height: number;
  readonly rgb: Uint8Array;
}

/** What the device knows after a crash of the agent. */
export interface RecoveryReport {
  readonly card: CardPosition;
  readonly counters: DeviceCounters | undefined;
  readonly vendor: string;
}

export interface CardDevice {
  readonly profile: DeviceProfile;
  /** Asks the device; never throws for a device that does not answer: that is state `offline`. */
  status(): Promise<DeviceStatus>;
  /** Starts with an empty transport. @throws DeviceFault when a card is inside already. */
  begin(jobId: string): Promise<CardSession>;
  /** Takes over the card that is inside after a crash. @throws DeviceFault (CARD_LOST) when none is inside */
  resume(jobId: string): Promise<CardSession>;
  /**
   * What the device knows after a crash of the agent. Gives up an operation that still waits for an answer, and
   * waits for one that still runs; moves nothing. A device that does not answer is card `unknown`.
   */
  recover(): Promise<RecoveryReport>;
  close(): Promise<void>;
}

export interface CardSession {
  /** Picks one blank and moves it to the chip station. */
  feed(): Promise<void>;
  /** Moves the card (back) to the chip station and powers the chip. */
  chip(): Promise<ApduChannel>;
  /** Prints both sides; the card stays inside. */
  print(sides: { readonly front: Raster; readonly back: Raster }): Promise<void>;
  /** Presents the card at the exit. Resolves as soon as it can be taken. */
  present(): Promise<void>;
  /** Resolves when the presented card was taken, or was taken back by the device. */
  awaitTaken(signal: AbortSignal): Promise<'taken' | 'retracted'>;
  /** Moves the card to the reject bin. */
  reject(): Promise<void>;
  /**
   * Tells the device how to go on from the fault it waits on (`isWaiting`; Evolis SetEvent and the like).
   * `retry` resolves when the operation that had stopped is complete: it must not be called again.
   * `cancel` resolves when the device has given the operation up; a card that is inside stays inside.
   * @throws DeviceFault like the operation itself, when it stops again
   */
  answer(answer: 'retry' | 'cancel'): Promise<void>;
  /** Gives the device back without moving anything. */
  release(): Promise<void>;
}
