/**
 * Writes a 24-bit Windows bitmap, the picture format of the Evolis service.
 *
 * Invariants: uncompressed, bottom row first, blue-green-red, rows padded to four bytes; no alpha, no palette.
 */
import { type Raster } from '../port.ts';

const fileHeaderBytes = 14;
const infoHeaderBytes = 40;
const bytesPerPixel = 3;

function writeHeaders(view: DataView, raster: Raster, imageBytes: number, dpi: number): void {
  const pixelOffset = fileHeaderBytes + infoHeaderBytes;
  const pixelsPerMetre = Math.round(dpi / 0.0254);
  view.setUint16(0, 0x424d); // "BM"
  view.setUint32(2, pixelOffset + imageBytes, true);
  view.setUint32(10, pixelOffset, true);
  view.setUint32(14, infoHeaderBytes, true);
  view.setInt32(18, raster.width, true);
  view.setInt32(22, raster.height, true); // positive: bottom row first
  view.setUint16(26, 1, true); // planes
  view.setUint16(28, 8 * bytesPerPixel, true);
  view.setUint32(30, 0, true); // no compression
  view.setUint32(34, imageBytes, true);
  view.setInt32(38, pixelsPerMetre, true);
  view.setInt32(42, pixelsPerMetre, true);
}

/** @throws RangeError when the raster's bytes do not fit its size */
export function encodeBitmap24(raster: Raster, dpi: number): Uint8Array {
  const { width, height, rgb } = raster;
  if (rgb.length !== width * height * bytesPerPixel) throw new RangeError('the raster does not fit its size');
  const rowBytes = Math.ceil((width * bytesPerPixel) / 4) * 4;
  const bitmap = new Uint8Array(fileHeaderBytes + infoHeaderBytes + rowBytes * height);
  writeHeaders(new DataView(bitmap.buffer), raster, rowBytes * height, dpi);
  for (let row = 0; row < height; row += 1) {
    let target = fileHeaderBytes + infoHeaderBytes + (height - 1 - row) * rowBytes;
    const start = row * width * bytesPerPixel;
    const end = start + width * bytesPerPixel;
    for (let source = start; source < end; source += bytesPerPixel) {
      bitmap[target] = rgb[source + 2] ?? 0;
      bitmap[target + 1] = rgb[source + 1] ?? 0;
      bitmap[target + 2] = rgb[source] ?? 0;
      target += bytesPerPixel;
    }
  }
  return bitmap;
}
