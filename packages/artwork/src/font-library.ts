/**
 * The fonts a design may use: files that ship in pinned npm packages, opened once and kept.
 *
 * Text is drawn as outlines taken from these files by this package itself, never by the SVG renderer. So a
 * host's fonts and its fontconfig cannot change a card face, and a glyph that is checked here is the glyph
 * that is printed.
 */
import { createRequire } from 'node:module';
import { type Font, openSync } from 'fontkit';

const files = {
  'outfit-light': '@expo-google-fonts/outfit/300Light/Outfit_300Light.ttf',
  'outfit-regular': '@expo-google-fonts/outfit/400Regular/Outfit_400Regular.ttf',
  'outfit-medium': '@expo-google-fonts/outfit/500Medium/Outfit_500Medium.ttf',
  'noto-jp-regular': '@expo-google-fonts/noto-sans-jp/400Regular/NotoSansJP_400Regular.ttf',
  'noto-jp-medium': '@expo-google-fonts/noto-sans-jp/500Medium/NotoSansJP_500Medium.ttf',
} as const;

export type FontId = keyof typeof files;
export const fontIds = Object.keys(files) as FontId[];

const require = createRequire(import.meta.url);
const opened = new Map<FontId, Font>();

/** The font of this id. Throws when its package is not installed: that is a broken installation. */
export function fontOf(id: FontId): Font {
  let font = opened.get(id);
  if (font === undefined) {
    const file = openSync(require.resolve(files[id]));
    if (!('layout' in file)) throw new Error(`${files[id]} is a collection, not a font`);
    font = file;
    opened.set(id, font);
  }
  return font;
}
