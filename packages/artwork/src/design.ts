/**
 * A card design: `designs/<name>/{design.json,front.svg,back.svg}`. The SVGs are the art; `design.json` says
 * where text goes, in millimetres, and which areas of the blank must stay free.
 *
 * Invariants, checked when a design is loaded: only the safe SVG subset, only bundled fonts, zones inside the
 * card, no text on a keep-out (chip, stripe).
 */
import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { type Static, type TSchema, Type } from 'typebox';
import { Compile } from 'typebox/compile';
import { ArtworkError } from './artwork-error.ts';
import { type FieldPath } from './card-fields.ts';
import { type FontId, fontIds } from './font-library.ts';
import { readSafeSvg } from './safe-svg.ts';
import { type TextZone } from './text-layout.ts';

/** ID-1 card size in millimetres (ISO/IEC 7810). */
export const cardSizeMm = { width: 85.6, height: 53.98 } as const;

const closed = { additionalProperties: false } as const;
const Millimetres = Type.Number({ minimum: 0, maximum: 90 });
const FieldName = Type.String({
  pattern: '^(name|secondName|pan|expiry|securityCode|memberId|customLines\\[[0-7]\\])$',
});

const Zone = Type.Object(
  {
    /** Exactly one of the two: a field of the card, or words that every card of the design bears. */
    field: Type.Optional(FieldName),
    text: Type.Optional(Type.String({ minLength: 1, maxLength: 200 })),
    /** Printed only on a test card, or only beside a field that has something to print. */
    only: Type.Optional(Type.Union([Type.Literal('testCard'), FieldName])),
    box: Type.Tuple([Millimetres, Millimetres, Millimetres, Millimetres]),
    baseline: Millimetres,
    align: Type.Optional(Type.Union([Type.Literal('start'), Type.Literal('center'), Type.Literal('end')])),
    fonts: Type.Array(Type.Enum(fontIds as [FontId, ...FontId[]]), { minItems: 1, maxItems: 4 }),
    size: Type.Number({ minimum: 0.5, maximum: 20 }),
    smallestSize: Type.Optional(Type.Number({ minimum: 0.5, maximum: 20 })),
    letterSpacing: Type.Optional(Type.Number({ minimum: -0.1, maximum: 2 })),
    tabularFigures: Type.Optional(Type.Boolean()),
    fill: Type.String({ pattern: '^#[0-9A-F]{6}$' }),
    opacity: Type.Optional(Type.Number({ minimum: 0, maximum: 1 })),
  },
  closed,
);

const KeepOut = Type.Object(
  {
    name: Type.Union([Type.Literal('chip'), Type.Literal('magneticStripe')]),
    box: Type.Tuple([Millimetres, Millimetres, Millimetres, Millimetres]),
  },
  closed,
);

const Side = Type.Object(
  { keepOuts: Type.Array(KeepOut, { maxItems: 4 }), text: Type.Array(Zone, { maxItems: 60 }) },
  closed,
);

const DesignFile = Type.Object(
  {
    title: Type.String({ maxLength: 80 }),
    background: Type.String({ pattern: '^#[0-9A-F]{6}$' }),
    front: Side,
    back: Side,
  },
  closed,
);

export type KeepOut = Static<typeof KeepOut>;
export type CardSide = 'front' | 'back';

export interface DesignText {
  readonly content:
    { readonly kind: 'field'; readonly field: FieldPath } | { readonly kind: 'words'; readonly text: string };
  readonly only: 'testCard' | FieldPath | undefined;
  readonly zone: TextZone;
  readonly fill: string;
  readonly opacity: number;
}

export interface DesignSide {
  /** Checked SVG content, to be put inside a root with the card's view box. */
  readonly art: string;
  readonly keepOuts: readonly KeepOut[];
  readonly texts: readonly DesignText[];
}

export interface Design {
  readonly name: string;
  readonly title: string;
  /** Colour under the art, also of the bleed. */
  readonly background: string;
  readonly front: DesignSide;
  readonly back: DesignSide;
}

const designNamePattern = /^[a-z0-9][a-z0-9-]{0,47}$/;
const validator = Compile(DesignFile as TSchema);

function invalid(subject: string, explanation: string): never {
  throw new ArtworkError('DESIGN_INVALID', subject, explanation);
}

type Box = readonly [number, number, number, number];

function overlaps([ax, ay, aw, ah]: Box, [bx, by, bw, bh]: Box): boolean {
  return ax < bx + bw && bx < ax + aw && ay < by + bh && by < ay + ah;
}

function readZone(zone: Static<typeof Zone>, place: string): DesignText {
  const [x, y, width, height] = zone.box;
  if (x + width > cardSizeMm.width || y + height > cardSizeMm.height) invalid(place, 'outside the card');
  if (zone.baseline < y || zone.baseline > y + height) invalid(place, 'base line outside the box');
  if ((zone.field === undefined) === (zone.text === undefined)) invalid(place, 'needs either field or text');
  return {
    content:
      zone.text === undefined
        ? { kind: 'field', field: zone.field as FieldPath }
        : { kind: 'words', text: zone.text },
    only: zone.only as DesignText['only'],
    zone: {
      x,
      y,
      width,
      height,
      baseline: zone.baseline,
      align: zone.align ?? 'start',
      fonts: zone.fonts,
      size: zone.size,
      smallestSize: zone.smallestSize ?? zone.size * 0.5,
      letterSpacing: zone.letterSpacing ?? 0,
      tabularFigures: zone.tabularFigures ?? false,
    },
    fill: zone.fill,
    opacity: zone.opacity ?? 1,
  };
}

function readSide(side: Static<typeof Side>, art: string, place: CardSide): DesignSide {
  const texts = side.text.map((zone, index) => readZone(zone, `${place}.text[${String(index)}]`));
  side.text.forEach((zone, index) => {
    const hit = side.keepOuts.find((keepOut) => overlaps(zone.box, keepOut.box));
    if (hit !== undefined) invalid(`${place}.text[${String(index)}]`, `text on the ${hit.name}`);
  });
  return { art, keepOuts: side.keepOuts, texts };
}

/**
 * Reads and checks one design folder. Throws `ArtworkError` `DESIGN_INVALID` (subject: the place in
 * `design.json`) or `UnsafeSvgError`.
 */
export function loadDesign(folder: string, name: string): Design {
  let file: unknown;
  try {
    file = JSON.parse(readFileSync(join(folder, 'design.json'), 'utf8'));
  } catch {
    return invalid('design.json', 'not readable as JSON');
  }
  if (!validator.Check(file)) {
    return invalid(
      `design.json${validator.Errors(file)[0]?.instancePath ?? ''}`,
      'not as the schema wants it',
    );
  }
  const design = file as Static<typeof DesignFile>;
  const art = (side: CardSide): string => readSafeSvg(readFileSync(join(folder, `${side}.svg`), 'utf8'));
  return {
    name,
    title: design.title,
    background: design.background,
    front: readSide(design.front, art('front'), 'front'),
    back: readSide(design.back, art('back'), 'back'),
  };
}

/** The designs of one folder, each checked when first asked for and kept. */
export class DesignLibrary {
  readonly #folder: string;
  readonly #loaded = new Map<string, Design>();

  constructor(folder: string) {
    this.#folder = folder;
  }

  /** Names of all designs in the folder, sorted. */
  names(): string[] {
    return readdirSync(this.#folder, { withFileTypes: true })
      .filter((entry) => entry.isDirectory() && existsSync(join(this.#folder, entry.name, 'design.json')))
      .map((entry) => entry.name)
      .sort();
  }

  /** One design. Throws `ArtworkError` `DESIGN_UNKNOWN` for a name that is not in the folder. */
  get(name: string): Design {
    let design = this.#loaded.get(name);
    if (design === undefined) {
      if (!designNamePattern.test(name) || !this.names().includes(name)) {
        throw new ArtworkError('DESIGN_UNKNOWN', 'design', 'no design of this name is installed');
      }
      design = loadDesign(join(this.#folder, name), name);
      this.#loaded.set(name, design);
    }
    return design;
  }
}
