/**
 * Turns one line of text into glyph outlines inside a zone: chooses a font per character, shrinks to fit,
 * aligns. Pure apart from reading font files.
 *
 * Invariants: a character that no font of the stack has is a refusal, never a box or a blank; the ink of the
 * result lies inside the zone.
 */
import { type Font } from 'fontkit';
import { type FontId, fontOf } from './font-library.ts';

/** A place for one line of text. All lengths in millimetres from the card's upper left corner. */
export interface TextZone {
  readonly x: number;
  readonly y: number;
  readonly width: number;
  readonly height: number;
  /** Distance of the base line from the card's upper edge. */
  readonly baseline: number;
  readonly align: 'start' | 'center' | 'end';
  /** Fonts in order of preference, each for the characters that those before it lack. */
  readonly fonts: readonly FontId[];
  /** Size of the em square, and how small it may become before the text is refused. */
  readonly size: number;
  readonly smallestSize: number;
  /** Extra space after each glyph, in em. */
  readonly letterSpacing: number;
  /** Digits all of one width, for numbers that are read in groups. */
  readonly tabularFigures: boolean;
}

export type TextLayout =
  | { readonly ok: true; readonly pathData: string; readonly size: number }
  | { readonly ok: false; readonly reason: 'GLYPH_MISSING' | 'TEXT_DOES_NOT_FIT' };

interface PlacedGlyph {
  readonly font: Font;
  readonly commands: readonly { readonly command: string; readonly args: readonly number[] }[];
  /** Left edge of the glyph's origin and its raise above the base line, in em. */
  readonly x: number;
  readonly y: number;
}

interface Line {
  readonly glyphs: readonly PlacedGlyph[];
  /** Bounds of the ink in em, y upwards from the base line. */
  readonly ink: {
    readonly left: number;
    readonly right: number;
    readonly top: number;
    readonly bottom: number;
  };
}

const graphemes = new Intl.Segmenter('ja', { granularity: 'grapheme' });

/** Selectors that pick a variant of the character before them; a font without the variant shows the plain form. */
function isVariationSelector(codePoint: number): boolean {
  return (codePoint >= 0xfe00 && codePoint <= 0xfe0f) || (codePoint >= 0xe0100 && codePoint <= 0xe01ef);
}

function fontHasAll(font: Font, cluster: string): boolean {
  return Array.from(cluster).every((character) => {
    const codePoint = character.codePointAt(0) ?? 0;
    return isVariationSelector(codePoint) || font.hasGlyphForCodePoint(codePoint);
  });
}

/**
 * Splits text into stretches of one font each, or tells that a character has no glyph. A composed form is
 * tried only for base plus mark: composing a lone ideograph would swap a name's character for its lookalike.
 */
function fontRuns(text: string, stack: readonly FontId[]): { id: FontId; text: string }[] | undefined {
  const runs: { id: FontId; text: string }[] = [];
  for (const { segment } of graphemes.segment(text)) {
    const spellings = Array.from(segment).length > 1 ? [segment, segment.normalize('NFC')] : [segment];
    const last = runs.at(-1);
    const order = segment === ' ' && last !== undefined ? [last.id, ...stack] : stack;
    let choice: { id: FontId; text: string } | undefined;
    for (const spelling of spellings) {
      const id = order.find((candidate) => fontHasAll(fontOf(candidate), spelling));
      if (id !== undefined) choice ??= { id, text: spelling };
    }
    if (choice === undefined) return undefined;
    if (last?.id === choice.id) last.text += choice.text;
    else runs.push(choice);
  }
  return runs;
}

function setLine(runs: readonly { id: FontId; text: string }[], zone: TextZone): Line {
  const glyphs: PlacedGlyph[] = [];
  const ink = { left: Infinity, right: -Infinity, top: -Infinity, bottom: Infinity };
  let pen = 0;
  for (const run of runs) {
    const font = fontOf(run.id);
    const em = font.unitsPerEm;
    const laidOut = font.layout(run.text, zone.tabularFigures ? ['tnum'] : undefined);
    laidOut.glyphs.forEach((glyph, index) => {
      const position = laidOut.positions[index];
      const x = pen + (position?.xOffset ?? 0) / em;
      const y = (position?.yOffset ?? 0) / em;
      const commands = glyph.path.commands;
      if (commands.length > 0) {
        const box = glyph.path.bbox;
        ink.left = Math.min(ink.left, x + box.minX / em);
        ink.right = Math.max(ink.right, x + box.maxX / em);
        ink.top = Math.max(ink.top, y + box.maxY / em);
        ink.bottom = Math.min(ink.bottom, y + box.minY / em);
        glyphs.push({ font, commands, x, y });
      }
      pen += (position?.xAdvance ?? glyph.advanceWidth) / em + zone.letterSpacing;
    });
  }
  return { glyphs, ink };
}

/** The largest size, at most the zone's own, at which the ink stays inside the zone. */
function fittingSize(zone: TextZone, ink: Line['ink']): number {
  const limits = [zone.size, zone.width / (ink.right - ink.left)];
  if (ink.top > 0) limits.push((zone.baseline - zone.y) / ink.top);
  if (ink.bottom < 0) limits.push((zone.y + zone.height - zone.baseline) / -ink.bottom);
  return Math.min(...limits);
}

const pathLetters: Record<string, string> = {
  moveTo: 'M',
  lineTo: 'L',
  quadraticCurveTo: 'Q',
  bezierCurveTo: 'C',
  closePath: 'Z',
};

function pathData(line: Line, size: number, left: number, baseline: number): string {
  const parts: string[] = [];
  for (const glyph of line.glyphs) {
    const scale = size / glyph.font.unitsPerEm;
    for (const { command, args } of glyph.commands) {
      const numbers = args.map((value, index) =>
        (index % 2 === 0
          ? left + glyph.x * size + value * scale
          : baseline - glyph.y * size - value * scale
        ).toFixed(4),
      );
      parts.push(`${pathLetters[command] ?? ''}${numbers.join(' ')}`);
    }
  }
  return parts.join('');
}

/**
 * Lays `text` out in `zone`; the answer's `pathData` is an SVG path in millimetres. Refused with
 * `GLYPH_MISSING`, or with `TEXT_DOES_NOT_FIT` when it would have to be smaller than the zone allows.
 */
export function layOutText(text: string, zone: TextZone): TextLayout {
  const runs = fontRuns(text, zone.fonts);
  if (runs === undefined) return { ok: false, reason: 'GLYPH_MISSING' };
  const line = setLine(runs, zone);
  if (line.glyphs.length === 0) return { ok: true, pathData: '', size: zone.size };
  const size = fittingSize(zone, line.ink);
  if (size < zone.smallestSize) return { ok: false, reason: 'TEXT_DOES_NOT_FIT' };
  const slack = zone.width - (line.ink.right - line.ink.left) * size;
  const share = { start: 0, center: 0.5, end: 1 }[zone.align];
  const left = zone.x + slack * share - line.ink.left * size;
  return { ok: true, pathData: pathData(line, size, left, zone.baseline), size };
}
