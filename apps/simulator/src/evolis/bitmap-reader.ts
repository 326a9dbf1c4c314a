/**
 * Reads the bitmaps that a print job carries: uncompressed 24-bit BMP of exactly one card side.
 *
 * Invariant: pure; anything else is refused, because a wrong geometry ruins ribbon and card on real printers.
 */
import { type Picture } from '../desk/picture-store.ts';

export const cardWidthPx = 1016;
export const cardHeightPx = 648;

const headerBytes = 54;
const bytesPerPixel = 3;

/** Undefined when this is not the bitmap of a card side. */
export function readBitmap(bitmap: Uint8Array): Picture | undefined {
  if (bitmap.length < headerBytes) return undefined;
  const view = new DataView(bitmap.buffer, bitmap.byteOffset, bitmap.byteLength);
  const height = view.getInt32(22, true);
  const rowBytes = Math.ceil((cardWidthPx * bytesPerPixel) / 4) * 4;
  const pixelOffset = view.getUint32(10, true);
  const isCardSide =
    view.getUint16(0) === 0x424d &&
    view.getUint32(14, true) >= 40 &&
    view.getInt32(18, true) === cardWidthPx &&
    Math.abs(height) === cardHeightPx &&
    view.getUint16(28, true) === 24 &&
    view.getUint32(30, true) === 0 &&
    pixelOffset >= headerBytes &&
    bitmap.length >= pixelOffset + rowBytes * cardHeightPx;
  if (!isCardSide) return undefined;
  const rgb = new Uint8Array(cardWidthPx * cardHeightPx * bytesPerPixel);
  for (let row = 0; row < cardHeightPx; row += 1) {
    // A positive height means that the bottom row comes first.
    const stored = height > 0 ? cardHeightPx - 1 - row : row;
    let source = pixelOffset + stored * rowBytes;
    const end = (row + 1) * cardWidthPx * bytesPerPixel;
    for (let target = row * cardWidthPx * bytesPerPixel; target < end; target += bytesPerPixel) {
      rgb[target] = bitmap[source + 2] ?? 0;
      rgb[target + 1] = bitmap[source + 1] ?? 0;
      rgb[target + 2] = bitmap[source] ?? 0;
      source += bytesPerPixel;
    }
  }
  return { width: cardWidthPx, height: cardHeightPx, rgb };
}
