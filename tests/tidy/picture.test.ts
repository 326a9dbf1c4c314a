/** The READMEs show the card that the renderer draws. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import sharp from 'sharp';
import { drawPicture, pictureFile } from '../../tools/readme-pictures.ts';

async function pixels(input: Buffer | string): Promise<{ data: Buffer; width: number; height: number }> {
  const { data, info } = await sharp(input).ensureAlpha().raw().toBuffer({ resolveWithObject: true });
  return { data, width: info.width, height: info.height };
}

test('the picture in the READMEs is what the renderer draws now', async () => {
  const shown = await pixels(pictureFile);
  const drawn = await pixels(await drawPicture());
  assert.deepEqual([shown.width, shown.height], [drawn.width, drawn.height]);
  let difference = 0;
  for (let at = 0; at < drawn.data.length; at++)
    difference += Math.abs((drawn.data[at] ?? 0) - (shown.data[at] ?? 0));
  const mean = difference / drawn.data.length;
  // Palettes may differ a little between machines; another text or layout differs by far more.
  assert.ok(mean < 1, `pixels differ by ${mean.toFixed(2)} on average`);
});
