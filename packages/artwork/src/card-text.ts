/**
 * Decides what text goes where on a card and whether all of it can be printed. Pure.
 *
 * Invariant: every field that has something to print is printed whole or the card is refused. Nothing is
 * cut, replaced or left out silently.
 */
import { ArtworkError, type ArtworkErrorCode } from './artwork-error.ts';
import { type CardFields, type FieldPath, printedFields } from './card-fields.ts';
import { type CardSide, type Design, type DesignText } from './design.ts';
import { layOutText } from './text-layout.ts';

export interface PrintedText {
  readonly pathData: string;
  readonly fill: string;
  readonly opacity: number;
}

export interface CardText {
  readonly front: readonly PrintedText[];
  readonly back: readonly PrintedText[];
}

export interface UnprintableField {
  readonly field: string;
  readonly reason: Extract<ArtworkErrorCode, 'GLYPH_MISSING' | 'TEXT_DOES_NOT_FIT' | 'FIELD_HAS_NO_ZONE'>;
}

export type CardTextDecision =
  | { readonly ok: true; readonly text: CardText }
  | { readonly ok: false; readonly unprintable: readonly UnprintableField[] };

const sides = ['front', 'back'] as const satisfies readonly CardSide[];

/** Places every field and the design's own words, or names every field that cannot be printed and why. */
export function decideCardText(design: Design, fields: CardFields, isTestCard: boolean): CardTextDecision {
  const texts = printedFields(fields);
  const placed = new Set<FieldPath>();
  const unprintable: UnprintableField[] = [];

  const place = (entry: DesignText): PrintedText[] => {
    if (entry.only === 'testCard' ? !isTestCard : entry.only !== undefined && !texts.has(entry.only))
      return [];
    const { content } = entry;
    const text = content.kind === 'words' ? content.text : texts.get(content.field);
    if (text === undefined) return [];
    const layout = layOutText(text, entry.zone);
    if (content.kind === 'field') placed.add(content.field);
    if (layout.ok) return [{ pathData: layout.pathData, fill: entry.fill, opacity: entry.opacity }];
    if (content.kind === 'words') {
      throw new ArtworkError('DESIGN_INVALID', design.name, `the design's own words: ${layout.reason}`);
    }
    unprintable.push({ field: content.field, reason: layout.reason });
    return [];
  };

  const [front, back] = sides.map((side) => design[side].texts.flatMap(place));
  for (const field of texts.keys()) {
    if (!placed.has(field)) unprintable.push({ field, reason: 'FIELD_HAS_NO_ZONE' });
  }
  if (unprintable.length > 0) return { ok: false, unprintable };
  return { ok: true, text: { front: front ?? [], back: back ?? [] } };
}
