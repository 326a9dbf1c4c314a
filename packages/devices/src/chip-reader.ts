/**
 * The port of a chip reader that stands in a printer's contact station.
 *
 * Invariant: a reader holds one card at most; it never moves a card and never says which card it is — whoever
 * talks to the chip asserts its identity.
 */
import { type ApduChannel } from './apdu-channel.ts';

export interface ChipReader {
  /**
   * Waits for a card, powers it on (cold reset) and reads its answer to reset. Ends an earlier channel.
   * @throws DeviceFault (CHIP_FAIL) when no card comes, or when it gives no answer to reset
   */
  powerOn(options?: { readonly cardWaitMs?: number }): Promise<ApduChannel>;
  /** Resolves true when no card is in the reader, false when one still is after `limitMs`. */
  waitForRemoval(limitMs: number): Promise<boolean>;
  close(): Promise<void>;
}
