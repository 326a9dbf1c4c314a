/**
 * From the printer's words to the canonical fault: code, failure class, and how to go on.
 *
 * Invariants: pure; every `ERR_`, `DEF_` and `CFG_` name has a code (DEVICE_FAULT at worst); a class other than
 * `ambiguous` is given only on evidence: where the card is, or that none was picked.
 */
import { type DeviceFaultCode, type FaultClass } from '../device-fault.ts';
import { type CardPosition } from '../port.ts';
import { type EvolisEvent, isInside } from './evolis-state.ts';

/** Minor states without their family prefix; `DEF_` blocks before a job, `ERR_` broke during one. */
const codeOfState: Readonly<Record<string, DeviceFaultCode>> = {
  FEEDER_EMPTY: 'STOCK_EMPTY',
  FEEDER_ERROR: 'FEED_FAIL',
  NO_CARD_INSERTED: 'FEED_FAIL',
  WAIT_CARD: 'FEED_FAIL',
  NO_RIBBON: 'RIBBON_OUT',
  RIBBON_ENDED: 'RIBBON_OUT',
  CLEAR_ENDED: 'RIBBON_OUT',
  FILM_ENDED: 'RIBBON_OUT',
  RIBBON_ERROR: 'RIBBON_FAULT',
  BAD_RIBBON: 'RIBBON_FAULT',
  UNSUPPORTED_RIBBON: 'RIBBON_FAULT',
  COVER_OPEN: 'COVER_OPEN',
  FEEDER_OPEN: 'COVER_OPEN',
  MECHANICAL: 'CARD_JAM',
  CARD_JAM: 'CARD_JAM',
  HOPPER_FULL: 'OUTPUT_FULL',
  CARD_ON_EJECT: 'OUTPUT_FULL',
  REJECT_BOX_FULL: 'REJECT_FULL',
  BLANK_TRACK: 'MAG_FAIL',
  READ_MAGNETIC: 'MAG_FAIL',
  WRITE_MAGNETIC: 'MAG_FAIL',
  MAGNETIC_DATA: 'MAG_FAIL',
  OFFLINE: 'OFFLINE',
};

const familyPrefix = /^(DEF|ERR|CFG|INF|AVANSIA_ERR|PRINTER)_/;

/** The canonical code of a minor state, with or without its family prefix. */
export function faultCodeOf(minor: string): DeviceFaultCode {
  return codeOfState[minor.replace(familyPrefix, '')] ?? 'DEVICE_FAULT';
}

/** True for a state that keeps the printer from starting a job. */
export function blocksJobs(minor: string): boolean {
  return minor.startsWith('DEF_') || minor.startsWith('CFG_');
}

/** The first minor state that a text of the printer names; undefined when it names none. */
export function minorStateIn(text: string): string | undefined {
  return /\b(?:DEF|ERR|CFG|INF|PRINTER)_[A-Z0-9_]+\b/.exec(text)?.[0];
}

/** What is known about the card when something failed. */
export interface CardEvidence {
  /** Whether this session ever asked for a blank, or took over a card. */
  readonly hasFed: boolean;
  readonly position: CardPosition;
  /** Blanks picked since the session began; undefined when the counter cannot be compared. */
  readonly pickedInSession: number | undefined;
}

/**
 * The failure class that the evidence carries. No card inside proves nothing by itself: only an unchanged picked
 * counter does, or that no blank was ever asked for.
 */
export function decideFaultClass(evidence: CardEvidence): FaultClass {
  if (isInside(evidence.position)) return 'card-inside';
  if (!evidence.hasFed) return 'clean';
  if (evidence.pickedInSession !== 0) return 'ambiguous';
  return evidence.position === 'none' ? 'clean' : 'ambiguous';
}

export type EventReaction =
  /** A notice: acknowledge it, the job goes on. */
  | { readonly kind: 'acknowledge'; readonly action: string }
  /** Somebody can mend it: ask, then send `retryAction` or `cancelAction`. */
  | { readonly kind: 'ask'; readonly retryAction: string; readonly cancelAction: string }
  /** Nothing but giving up is offered. */
  | { readonly kind: 'give-up'; readonly action: string };

/** How the driver reacts to a pending event. */
export function decideEventReaction(event: EvolisEvent): EventReaction {
  const offers = (action: string): boolean => event.actions.includes(action);
  const cancelAction = offers('CANCEL') ? 'CANCEL' : 'OK';
  if (event.name.startsWith('INF_') && offers('OK')) return { kind: 'acknowledge', action: 'OK' };
  if (offers('RETRY')) return { kind: 'ask', retryAction: 'RETRY', cancelAction };
  // OK beside CANCEL resumes; OK alone only confirms that the job is lost.
  if (offers('OK') && offers('CANCEL')) return { kind: 'ask', retryAction: 'OK', cancelAction };
  return { kind: 'give-up', action: cancelAction };
}
