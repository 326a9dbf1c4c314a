/** What the printer puts on the card, by the product's rules. Pure. */
import { maskPan } from '@cardwright/domain';
import { type CardDesign, type PrintFields } from '@cardwright/protocol';
import { type ValidatedCard } from './card-data-validation.ts';
import { type PrintRules } from './product-profile.ts';

/** Groups of four, as people read a card number; masked numbers keep their grouping. */
function grouped(pan: string): string {
  return pan.match(/.{1,4}/g)?.join(' ') ?? pan;
}

/** `customLines` in order; an object keyed by slot name is read in the order of its members (OD-3.6). */
function customLines(design: CardDesign | undefined): string[] {
  const lines = design?.customLines;
  if (lines === undefined) return [];
  return Array.isArray(lines) ? lines : Object.values(lines);
}

/** The print fields of one card. The security code is present only where the product prints it. */
export function printFields(
  card: ValidatedCard,
  securityCode: string | undefined,
  rules: PrintRules,
  design: CardDesign | undefined,
): PrintFields {
  return {
    name: card.name ?? '',
    ...(card.secondName !== undefined && { secondName: card.secondName }),
    pan: grouped(rules.pan === 'full' ? card.pan : maskPan(card.pan)),
    expiry: `${card.expiry.slice(2)}/${card.expiry.slice(0, 2)}`,
    ...(securityCode !== undefined && { securityCode }),
    customLines: customLines(design),
    ...(design?.memberId !== undefined && { memberId: design.memberId }),
  };
}
