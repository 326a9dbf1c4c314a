/** How the printer words its state: `MAJOR,MINOR` and the raw status. Pure. */
import { type InsidePosition } from '../desk/desk-ledger.ts';

/** What the words are made from. */
export interface PrinterView {
  readonly pendingEvent: string | undefined;
  readonly isMoving: boolean;
  readonly isPrinting: boolean;
  readonly standingMinor: string | undefined;
  readonly position: InsidePosition | undefined;
}

export function stateWords(view: PrinterView): string {
  if (view.pendingEvent !== undefined) {
    return `${view.pendingEvent.startsWith('ERR_') ? 'ERROR' : 'WARNING'},${view.pendingEvent}`;
  }
  if (view.isMoving) return `READY,${view.isPrinting ? 'INF_PRINTING_RUNNING' : 'BUSY'}`;
  if (view.standingMinor !== undefined) return `WARNING,${view.standingMinor}`;
  return 'READY,PRINTER_READY';
}

/** Configuration word: chip station, flip-over, ethernet. */
const configuration = 0x0054_0000;

const positionBit: Readonly<Record<InsidePosition, number>> = {
  transport: 0x1000_0000,
  contact: 0x0400_0000,
  print: 0x0200_0000,
  exit: 0x0100_0000,
};
const busyBit = 0x0000_0001;

/** Four words in hexadecimal: configuration, information, warning, error. */
export function rawStatus(view: PrinterView): string {
  const information =
    (view.position === undefined ? 0 : positionBit[view.position]) + (view.isMoving ? busyBit : 0);
  return [configuration, information, 0, 0]
    .map((word) => word.toString(16).toUpperCase().padStart(8, '0'))
    .join(',');
}
