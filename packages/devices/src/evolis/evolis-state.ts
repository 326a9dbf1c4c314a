/**
 * What an Evolis printer says about itself, parsed: state, pending event, card position, counters.
 *
 * Invariants: pure; words that are not understood become `unknown`, never a guess. Sources and what is unverified:
 * the README.
 */
import { type CardPosition, type DeviceState } from '../port.ts';

/** `MAJOR,MINOR` as GetState gives it. */
export interface EvolisState {
  readonly major: string;
  readonly minor: string;
}

/** An event that the printer shows and waits on. */
export interface EvolisEvent {
  readonly name: string;
  readonly actions: readonly string[];
}

export const unreachableState: EvolisState = { major: 'OFF', minor: 'PRINTER_OFFLINE' };

export function parseState(text: string): EvolisState {
  const [major = '', minor = ''] = text.split(',').map((part) => part.trim());
  return { major, minor };
}

/** Undefined when no event is pending. */
export function parseEvent(text: string): EvolisEvent | undefined {
  const [name = '', actions = ''] = text.split(':').map((part) => part.trim());
  if (name === '' || name === 'NONE') return undefined;
  return {
    name,
    actions: actions
      .split(',')
      .map((action) => action.trim())
      .filter((action) => action !== ''),
  };
}

/** The device state of the port that a printer state means. */
export function deviceStateOf(state: EvolisState): DeviceState {
  switch (state.major) {
    case 'READY':
    case 'WARNING':
      if (isBusy(state)) return 'busy';
      return state.minor.startsWith('DEF_') || state.minor.startsWith('CFG_') ? 'attention' : 'ready';
    case 'ERROR':
      return 'fault';
    case 'OFF':
      return 'offline';
    default:
      return 'fault';
  }
}

/** True while the printer works on something by itself. */
export function isBusy(state: EvolisState): boolean {
  return state.minor === 'BUSY' || state.minor.endsWith('_RUNNING');
}

/**
 * Where the information word says the card is. Bit order: the order in which libevolis lists its flags, the first
 * flag in the highest bit.
 */
const cardFlags: readonly { readonly mask: number; readonly position: CardPosition }[] = [
  { mask: 0x4000_0000, position: 'transport' }, // at the hopper
  { mask: 0x2000_0000, position: 'transport' }, // at the feeder's mouth
  { mask: 0x1000_0000, position: 'transport' }, // in the flip-over
  { mask: 0x0800_0000, position: 'transport' }, // at the contactless station
  { mask: 0x0400_0000, position: 'contact' },
  { mask: 0x0200_0000, position: 'print' },
  { mask: 0x0100_0000, position: 'exit' },
];

/** Reads the card position from the raw status: hexadecimal words, the second one is the information word. */
export function parseCardPosition(rawStatus: string): CardPosition {
  const words = rawStatus.split(/[\s,;]+/).filter((word) => word !== '');
  const information = words[1];
  if (words.length < 4 || information === undefined) return 'unknown';
  if (words.some((word) => !/^[0-9A-Fa-f]{8}$/.test(word))) return 'unknown';
  const bits = Number.parseInt(information, 16);
  const found = cardFlags.filter(({ mask }) => (bits & mask) !== 0).map(({ position }) => position);
  const [position = 'none', ...others] = [...new Set(found)];
  return others.length === 0 ? position : 'unknown';
}

export function isInside(position: CardPosition): boolean {
  return position !== 'none' && position !== 'unknown';
}

/** A life-time counter; undefined when the printer does not know the command. */
export function parseCounter(text: string): number | undefined {
  const value = /^\d{1,15}$/.test(text.trim()) ? Number(text.trim()) : undefined;
  return value !== undefined && Number.isSafeInteger(value) ? value : undefined;
}
