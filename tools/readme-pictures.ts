/**
 * The picture of the reference card in the READMEs. `node tools/readme-pictures.ts --write` renews it; a test
 * compares it with what the renderer draws now.
 */
import { type CardFields, encodePng, renderCard } from '@cardwright/artwork';
import sharp from 'sharp';

export const pictureFile = 'docs/images/reference-card.png';

const widthPx = 640;
const gapPx = 24;

const fields: CardFields = {
  name: 'TARO YAMADA',
  secondName: '山田 太郎',
  pan: '9999 0012 3456 7891',
  expiry: '11/30',
  securityCode: '123',
  customLines: [],
};

/** Front and back side by side on a transparent ground, corners rounded as on ID-1 plastic. */
export async function drawPicture(): Promise<Buffer> {
  const card = await renderCard({ design: 'aurora', fields, isTestCard: true });
  const heightPx = Math.round((widthPx * card.front.height) / card.front.width);
  const corner = Math.round((3.18 / 85.6) * widthPx);
  const mask = Buffer.from(
    `<svg width="${widthPx}" height="${heightPx}"><rect width="${widthPx}" height="${heightPx}" rx="${corner}"/></svg>`,
  );
  const sides = await Promise.all(
    [card.front, card.back].map(async (raster) =>
      sharp(Buffer.from(await encodePng(raster)))
        .resize(widthPx, heightPx)
        .composite([{ input: mask, blend: 'dest-in' }])
        .png()
        .toBuffer(),
    ),
  );
  const [front, back] = sides;
  if (front === undefined || back === undefined) throw new Error('a card has two sides');
  return sharp({
    create: {
      width: widthPx * 2 + gapPx,
      height: heightPx,
      channels: 4,
      background: { r: 0, g: 0, b: 0, alpha: 0 },
    },
  })
    .composite([
      { input: front, left: 0, top: 0 },
      { input: back, left: widthPx + gapPx, top: 0 },
    ])
    .png({ palette: true, quality: 90, compressionLevel: 9 })
    .toBuffer();
}

if (process.argv.includes('--write')) await sharp(await drawPicture()).toFile(pictureFile);
