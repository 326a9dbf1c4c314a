/**
 * Puts one side of a card together as SVG text: background, checked art, and the text as outlines.
 *
 * Invariant: no field value is ever written into the SVG. What goes in is path data made of numbers, so there
 * is nothing to escape and nothing to inject.
 */
import { type PrintedText } from './card-text.ts';
import { cardSizeMm, type Design, type DesignSide } from './design.ts';

/** Pixels and resolution of a device. The card is centred; what is left over on each edge is bleed. */
export interface RasterSize {
  readonly widthPx: number;
  readonly heightPx: number;
  /** Default 300. */
  readonly dotsPerInch?: number;
}

/** Edge-to-edge printers of the Evolis kind: 300 dpi with bleed on all edges. */
export const defaultRasterSize: Required<RasterSize> = { widthPx: 1016, heightPx: 648, dotsPerInch: 300 };

const mmPerInch = 25.4;

/** Where the card lies in the raster, in millimetres of bleed per edge. */
export function bleedMm(size: RasterSize): { x: number; y: number } {
  const dotsPerInch = size.dotsPerInch ?? defaultRasterSize.dotsPerInch;
  const widthMm = (size.widthPx / dotsPerInch) * mmPerInch;
  const heightMm = (size.heightPx / dotsPerInch) * mmPerInch;
  return { x: (widthMm - cardSizeMm.width) / 2, y: (heightMm - cardSizeMm.height) / 2 };
}

/** The SVG of one side, exactly `size` pixels large. */
export function composeSideSvg(
  design: Design,
  side: DesignSide,
  texts: readonly PrintedText[],
  size: RasterSize,
): string {
  const bleed = bleedMm(size);
  const box = [-bleed.x, -bleed.y, cardSizeMm.width + 2 * bleed.x, cardSizeMm.height + 2 * bleed.y];
  const [x, y, width, height] = box.map((value) => value.toFixed(5));
  const ink = texts.map(
    ({ pathData, fill, opacity }) =>
      `<path d="${pathData}" fill="${fill}" fill-opacity="${String(opacity)}"/>`,
  );
  return [
    `<svg xmlns="http://www.w3.org/2000/svg" width="${String(size.widthPx)}" height="${String(size.heightPx)}"`,
    ` viewBox="${[x, y, width, height].join(' ')}" preserveAspectRatio="none">`,
    `<rect x="${x ?? '0'}" y="${y ?? '0'}" width="${width ?? '0'}" height="${height ?? '0'}" fill="${design.background}"/>`,
    side.art,
    ...ink,
    '</svg>',
  ].join('');
}
