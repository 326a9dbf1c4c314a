/**
 * The physical truth about the desk: every card and where it is, and the life-time counters. Pure.
 *
 * Invariants: a card is in one place; at most one card is inside; a card that was taken, rejected or retracted never
 * moves again; picked = taken + rejected + retracted + inside; the counters follow from the cards.
 */

export const insidePositions = ['transport', 'contact', 'print', 'exit'] as const;
export type InsidePosition = (typeof insidePositions)[number];
export type LedgerPosition = 'feeder' | InsidePosition | 'taken' | 'rejected' | 'retracted';

export interface LedgerCard {
  /** Serial number of the chip: eight hexadecimal digits. */
  readonly serial: string;
  readonly position: LedgerPosition;
  readonly personalised: boolean;
  /** The printed sides, relative to the data folder. */
  readonly front: string | null;
  readonly back: string | null;
}

/** Life-time counters as the printer reports them. A card that the bezel took back counts as rejected too. */
export interface LedgerCounters {
  readonly picked: number;
  readonly ejected: number;
  readonly rejected: number;
}

export interface DeskLedger {
  readonly counters: LedgerCounters;
  readonly cards: readonly LedgerCard[];
}

export type LedgerEvent =
  | { readonly kind: 'filled'; readonly serials: readonly string[] }
  | { readonly kind: 'picked' }
  | { readonly kind: 'moved'; readonly to: 'transport' | 'contact' | 'print' }
  | { readonly kind: 'personalised' }
  | { readonly kind: 'printed'; readonly front: string | null; readonly back: string | null }
  | { readonly kind: 'ejected' }
  | { readonly kind: 'taken' }
  | { readonly kind: 'rejected' }
  | { readonly kind: 'retracted' };

export const emptyLedger: DeskLedger = { counters: { picked: 0, ejected: 0, rejected: 0 }, cards: [] };

function isInsidePosition(position: LedgerPosition): position is InsidePosition {
  return (insidePositions as readonly LedgerPosition[]).includes(position);
}

/** A card in the printer's hands. */
export type InsideCard = LedgerCard & { readonly position: InsidePosition };

/** The card inside, if any. */
export function insideCard(ledger: DeskLedger): InsideCard | undefined {
  return ledger.cards.find((card): card is InsideCard => isInsidePosition(card.position));
}

export function blanksLeft(ledger: DeskLedger): number {
  return ledger.cards.filter((card) => card.position === 'feeder').length;
}

/** The ledger after an event. @throws Error for an event that is physically impossible: a bug of the mechanics */
export function applyLedgerEvent(ledger: DeskLedger, event: LedgerEvent): DeskLedger {
  switch (event.kind) {
    case 'filled':
      return {
        ...ledger,
        cards: [...ledger.cards, ...event.serials.map((serial) => blank(serial))],
      };
    case 'picked':
      return pick(ledger);
    case 'moved':
      return withInside(ledger, event, (card) => ({ ...card, position: event.to }));
    case 'personalised':
      return withInside(ledger, event, (card) => ({ ...card, personalised: true }));
    case 'printed':
      return withInside(ledger, event, (card) => ({ ...card, front: event.front, back: event.back }));
    case 'ejected':
      return count(
        withInside(ledger, event, (card) => ({ ...card, position: 'exit' })),
        'ejected',
      );
    case 'taken':
      return withCardAtExit(ledger, event, 'taken');
    case 'retracted':
      return count(withCardAtExit(ledger, event, 'retracted'), 'rejected');
    case 'rejected':
      return count(
        withInside(ledger, event, (card) => ({ ...card, position: 'rejected' })),
        'rejected',
      );
  }
}

function blank(serial: string): LedgerCard {
  return { serial, position: 'feeder', personalised: false, front: null, back: null };
}

function count(ledger: DeskLedger, counter: keyof LedgerCounters): DeskLedger {
  return { ...ledger, counters: { ...ledger.counters, [counter]: ledger.counters[counter] + 1 } };
}

function pick(ledger: DeskLedger): DeskLedger {
  if (insideCard(ledger) !== undefined) throw new Error('a second card cannot be picked');
  const at = ledger.cards.findIndex((card) => card.position === 'feeder');
  const card = ledger.cards[at];
  if (card === undefined) throw new Error('an empty feeder gives no card');
  return count({ ...ledger, cards: ledger.cards.with(at, { ...card, position: 'transport' }) }, 'picked');
}

function withInside(
  ledger: DeskLedger,
  event: LedgerEvent,
  change: (card: InsideCard) => LedgerCard,
): DeskLedger {
  const card = insideCard(ledger);
  if (card === undefined) throw new Error(`no card inside that could be ${event.kind}`);
  return { ...ledger, cards: ledger.cards.with(ledger.cards.indexOf(card), change(card)) };
}

function withCardAtExit(ledger: DeskLedger, event: LedgerEvent, position: LedgerPosition): DeskLedger {
  return withInside(ledger, event, (card) => {
    if (card.position !== 'exit') throw new Error(`a card at ${card.position} cannot be ${event.kind}`);
    return { ...card, position };
  });
}
