/**
 * From design and fields to the pixels that a printer gets. The same pixels are every preview.
 *
 * Invariants: same input, same bytes, on any host with the pinned packages; a card with a field that cannot
 * be printed is refused before anything is drawn.
 */
import sharp from 'sharp';
import { ArtworkError } from './artwork-error.ts';
import { type CardFields } from './card-fields.ts';
import { composeSideSvg, defaultRasterSize, type RasterSize } from './card-svg.ts';
import { type CardText, decideCardText, type UnprintableField } from './card-text.ts';
import { type Design, DesignLibrary, type KeepOut } from './design.ts';
import { fileURLToPath } from 'node:url';

/** 8 bits each of red, green and blue per pixel, row by row from the upper left corner, no padding. */
export interface Raster {
  readonly width: number;
  readonly height: number;
  readonly rgb: Uint8Array;
}

export interface CardRasters {
  readonly front: Raster;
  readonly back: Raster;
}

export interface CardRequest {
  readonly design: string;
  readonly fields: CardFields;
  readonly isTestCard: boolean;
  /** The printer's raster; 1016×648 at 300 dpi when absent. */
  readonly size?: RasterSize;
}

export interface CardRenderer {
  renderCard(request: CardRequest): Promise<CardRasters>;
  missingGlyphs(request: Pick<CardRequest, 'design' | 'fields'>): Promise<string[]>;
  unprintableFields(request: Pick<CardRequest, 'design' | 'fields'>): Promise<readonly UnprintableField[]>;
  designNames(): string[];
  keepOuts(design: string): { front: readonly KeepOut[]; back: readonly KeepOut[] };
}

const explanations: Record<UnprintableField['reason'], string> = {
  GLYPH_MISSING: 'no font of the design has all its characters',
  TEXT_DOES_NOT_FIT: 'too long for its zone at the smallest legible size',
  FIELD_HAS_NO_ZONE: 'the design has no place for it',
};

function requireCardText(design: Design, fields: CardFields, isTestCard: boolean): CardText {
  const decision = decideCardText(design, fields, isTestCard);
  if (decision.ok) return decision.text;
  const [first] = decision.unprintable;
  if (first === undefined) throw new Error('a refusal without a field');
  throw new ArtworkError(first.reason, first.field, explanations[first.reason]);
}

async function rasterize(svg: string): Promise<Raster> {
  const { data, info } = await sharp(Buffer.from(svg))
    .flatten()
    .toColourspace('srgb')
    .raw({ depth: 'uchar' })
    .toBuffer({ resolveWithObject: true });
  if (info.channels !== 3) throw new Error(`the renderer gave ${String(info.channels)} channels, not 3`);
  return { width: info.width, height: info.height, rgb: new Uint8Array(data) };
}

/** A renderer for the designs of one folder. */
export function createCardRenderer(designsFolder: string): CardRenderer {
  const library = new DesignLibrary(designsFolder);
  const unprintable = (request: Pick<CardRequest, 'design' | 'fields'>): readonly UnprintableField[] => {
    const decision = decideCardText(library.get(request.design), request.fields, true);
    return decision.ok ? [] : decision.unprintable;
  };
  return {
    renderCard: async ({ design: name, fields, isTestCard, size = defaultRasterSize }) => {
      const design = library.get(name);
      const text = requireCardText(design, fields, isTestCard);
      const [front, back] = await Promise.all([
        rasterize(composeSideSvg(design, design.front, text.front, size)),
        rasterize(composeSideSvg(design, design.back, text.back, size)),
      ]);
      return { front, back };
    },
    unprintableFields: (request) => Promise.resolve().then(() => unprintable(request)),
    missingGlyphs: (request) =>
      Promise.resolve().then(() =>
        unprintable(request)
          .filter(({ reason }) => reason === 'GLYPH_MISSING')
          .map(({ field }) => field),
      ),
    designNames: () => library.names(),
    keepOuts: (name) => {
      const { front, back } = library.get(name);
      return { front: front.keepOuts, back: back.keepOuts };
    },
  };
}

const bundled = createCardRenderer(fileURLToPath(new URL('../designs', import.meta.url)));

/**
 * Both sides of a card as raw pixels. Throws `ArtworkError`: `DESIGN_UNKNOWN`, or `GLYPH_MISSING`,
 * `TEXT_DOES_NOT_FIT`, `FIELD_HAS_NO_ZONE` with the field's name as subject.
 */
export function renderCard(request: CardRequest): Promise<CardRasters> {
  return bundled.renderCard(request);
}

/**
 * Names of the fields with a character that no font of the design has; to be asked before a blank is fed.
 * Variation selectors do not count: without the variant the plain character is printed.
 */
export function missingGlyphs(request: Pick<CardRequest, 'design' | 'fields'>): Promise<string[]> {
  return bundled.missingGlyphs(request);
}

/** Every field that cannot be printed, with the reason: missing glyph, too long, or no place in the design. */
export function unprintableFields(
  request: Pick<CardRequest, 'design' | 'fields'>,
): Promise<readonly UnprintableField[]> {
  return bundled.unprintableFields(request);
}

/** Names of the bundled designs, sorted. */
export function designNames(): string[] {
  return bundled.designNames();
}

/** The areas, in millimetres, where a printer must lay down no ink and no overlay: chip and stripe. */
export function keepOuts(design: string): { front: readonly KeepOut[]; back: readonly KeepOut[] } {
  return bundled.keepOuts(design);
}

/** The raster as a PNG file, same pixels. */
export async function encodePng(raster: Raster): Promise<Uint8Array> {
  const { width, height, rgb } = raster;
  const png = await sharp(rgb, { raw: { width, height, channels: 3 } })
    .png({ compressionLevel: 6 })
    .toBuffer();
  return new Uint8Array(png);
}
