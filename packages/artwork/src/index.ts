/** Card art: a design and a card's fields in, the printer's pixels out, with every refusal before printing. */
export { ArtworkError, type ArtworkErrorCode } from './artwork-error.ts';
export { type CardFields, groupsOfFour } from './card-fields.ts';
export {
  type CardRasters,
  type CardRenderer,
  type CardRequest,
  createCardRenderer,
  designNames,
  encodePng,
  keepOuts,
  missingGlyphs,
  type Raster,
  renderCard,
  unprintableFields,
} from './card-renderer.ts';
export { defaultRasterSize, type RasterSize } from './card-svg.ts';
export { type UnprintableField } from './card-text.ts';
export { cardSizeMm, type KeepOut } from './design.ts';
export { UnsafeSvgError, type UnsafeSvgReason } from './safe-svg.ts';
