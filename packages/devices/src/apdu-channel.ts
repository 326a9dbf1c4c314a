/** A powered chip: exchanges command and response APDUs. */
export interface ApduChannel {
  readonly atr: Uint8Array;
  /** Sends one command APDU and returns the response with its status word. @throws DeviceFault (CHIP_FAIL) */
  transmit(command: Uint8Array): Promise<Uint8Array>;
  /** Cold reset: all sessions on the chip end. @throws DeviceFault (CHIP_FAIL) */
  reset(): Promise<void>;
  close(): Promise<void>;
}
