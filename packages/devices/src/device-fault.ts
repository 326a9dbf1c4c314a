/**
 * The one error that drivers throw. Canonical code first, the vendor's words kept as evidence.
 *
 * Failure classes: `clean` – provably nothing moved; `card-inside` – the card is in the device and can be
 * rejected; `ambiguous` – the device cannot say. Policy reads the class, never the text.
 */
export type DeviceFaultCode =
  | 'STOCK_EMPTY'
  | 'FEED_FAIL'
  | 'RIBBON_OUT'
  | 'RIBBON_FAULT'
  | 'COVER_OPEN'
  | 'CARD_JAM'
  | 'OUTPUT_FULL'
  | 'REJECT_FULL'
  | 'MAG_FAIL'
  | 'CHIP_FAIL'
  | 'OFFLINE'
  | 'CARD_LOST'
  | 'DEVICE_FAULT';

export type FaultClass = 'clean' | 'card-inside' | 'ambiguous';

export class DeviceFault extends Error {
  override readonly name = 'DeviceFault';
  readonly code: DeviceFaultCode;
  readonly faultClass: FaultClass;
  /** True when the device waits for `answer('retry' | 'cancel')` and an operator can mend it. */
  readonly isWaiting: boolean;
  readonly vendor: string;

  constructor(fault: {
    readonly code: DeviceFaultCode;
    readonly faultClass: FaultClass;
    readonly isWaiting?: boolean;
    readonly vendor: string;
  }) {
    super(`${fault.code} (${fault.vendor})`);
    this.code = fault.code;
    this.faultClass = fault.faultClass;
    this.isWaiting = fault.isWaiting ?? false;
    this.vendor = fault.vendor;
  }
}
