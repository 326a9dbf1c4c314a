/** The renderer as the agent and the previews use it: pixels, refusals, independence from the host. */
import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { createHash } from 'node:crypto';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { promisify } from 'node:util';
import { type PrintFields } from '@cardwright/protocol';
import sharp from 'sharp';
import { drawBack, drawFront } from '../src/draw-aurora.ts';
import {
  ArtworkError,
  type CardFields,
  cardSizeMm,
  defaultRasterSize,
  designNames,
  encodePng,
  keepOuts,
  missingGlyphs,
  type Raster,
  renderCard,
  unprintableFields,
} from '../src/index.ts';

const fields: CardFields = {
  name: 'HANAKO KOTORI',
  pan: '999900••••••1234',
  expiry: '11/29',
  securityCode: '123',
  customLines: [],
};
/** Assigns both ways, so that it stops compiling when the two types part. */
const samePrintFields: PrintFields = { ...fields, customLines: [...fields.customLines] };
const sameCardFields: CardFields = samePrintFields;

const render = (changes: Partial<CardFields> = {}, isTestCard = true) =>
  renderCard({ design: 'aurora', fields: { ...fields, ...changes }, isTestCard });

const digest = (raster: Raster): string => createHash('sha256').update(raster.rgb).digest('hex');

/** The box in millimetres around all pixels in which two rasters differ, or undefined when they are equal. */
function differenceBox(
  one: Raster,
  other: Raster,
): { x0: number; y0: number; x1: number; y1: number } | undefined {
  const box = { x0: Infinity, y0: Infinity, x1: -Infinity, y1: -Infinity };
  for (let at = 0; at < one.rgb.length; at += 1) {
    if (one.rgb[at] === other.rgb[at]) continue;
    const pixel = Math.floor(at / 3);
    const x = pixel % one.width;
    const y = Math.floor(pixel / one.width);
    box.x0 = Math.min(box.x0, x);
    box.x1 = Math.max(box.x1, x + 1);
    box.y0 = Math.min(box.y0, y);
    box.y1 = Math.max(box.y1, y + 1);
  }
  if (box.x0 === Infinity) return undefined;
  const mm = 25.4 / defaultRasterSize.dotsPerInch;
  const bleedX = (one.width * mm - cardSizeMm.width) / 2;
  const bleedY = (one.height * mm - cardSizeMm.height) / 2;
  return {
    x0: box.x0 * mm - bleedX,
    x1: box.x1 * mm - bleedX,
    y0: box.y0 * mm - bleedY,
    y1: box.y1 * mm - bleedY,
  };
}

/** The `name` zone of aurora's front, read from its file. */
function nameZone(): [number, number, number, number] {
  const text = readFileSync(new URL('../designs/aurora/design.json', import.meta.url), 'utf8');
  const design = JSON.parse(text) as {
    front: { text: { field?: string; box: [number, number, number, number] }[] };
  };
  const zone = design.front.text.find(({ field }) => field === 'name');
  assert.ok(zone !== undefined);
  return zone.box;
}

test('both sides come as raw RGB of exactly the printer’s size', async () => {
  const card = await render();
  for (const side of [card.front, card.back]) {
    assert.deepEqual([side.width, side.height], [1016, 648]);
    assert.equal(side.rgb.length, 1016 * 648 * 3);
  }
  assert.notEqual(digest(card.front), digest(card.back));
  assert.deepEqual(designNames(), ['aurora']);
  assert.deepEqual(sameCardFields.name, fields.name);
});

test('another printer’s raster size is filled edge to edge at its own resolution', async () => {
  const size = { widthPx: 1036, heightPx: 664 };
  const { front } = await renderCard({ design: 'aurora', fields, isTestCard: true, size });
  assert.deepEqual([front.width, front.height], [1036, 664]);
  const corner = [...front.rgb.slice(0, 3)];
  assert.ok(
    corner.every((value) => value < 100),
    'the bleed carries the art, not white paper',
  );
});

test('the same card gives the same bytes every time', async () => {
  const [one, other] = [await render(), await render()];
  assert.equal(digest(one.front), digest(other.front));
  assert.equal(digest(one.back), digest(other.back));
});

test('the preview has exactly the pixels of the print', async () => {
  const { front } = await render();
  const png = await encodePng(front);
  const { data, info } = await sharp(png).raw().toBuffer({ resolveWithObject: true });
  assert.equal(info.channels, 3);
  assert.deepEqual(Buffer.compare(data, front.rgb), 0);
});

test('the fonts and the fontconfig of the host do not change a card', async () => {
  const folder = mkdtempSync(join(tmpdir(), 'artwork-'));
  try {
    const emptyFontconfig = join(folder, 'fonts.conf');
    writeFileSync(emptyFontconfig, '<?xml version="1.0"?><fontconfig></fontconfig>');
    const script = `
      import { createHash } from 'node:crypto';
      import { renderCard } from ${JSON.stringify(new URL('../src/index.ts', import.meta.url).href)};
      const card = await renderCard({ design: 'aurora', fields: ${JSON.stringify({ ...fields, secondName: '髙橋﨑𠮷' })}, isTestCard: true });
      process.stdout.write(createHash('sha256').update(card.front.rgb).digest('hex'));`;
    const { stdout, stderr } = await promisify(execFile)(
      process.execPath,
      ['--input-type=module', '-e', script],
      {
        env: {
          FONTCONFIG_FILE: emptyFontconfig,
          FONTCONFIG_PATH: folder,
          HOME: folder,
          XDG_CACHE_HOME: folder,
        },
      },
    );
    assert.equal(stdout, digest((await render({ secondName: '髙橋﨑𠮷' })).front), stderr);
  } finally {
    rmSync(folder, { recursive: true });
  }
});

for (const name of [
  'MAXIMILIANA WOLKENWANDERER',
  'WWWWWWWWWWWWW WWWWWWWWWWWW',
  '山田 太郎',
  '髙橋﨑𠮷',
  'Ágnes ŐŰ Ççğj',
  `<&"'>`,
]) {
  test(`the ink of the name ${name} lies inside its zone`, async () => {
    const [x, y, width, height] = nameZone();
    const blank = await render({ name: ' ' });
    const ink = differenceBox((await render({ name })).front, blank.front);
    assert.ok(ink !== undefined, 'the name is printed');
    const dot = 25.4 / 300;
    assert.ok(ink.x0 >= x - dot && ink.x1 <= x + width + dot, JSON.stringify(ink));
    assert.ok(ink.y0 >= y - dot && ink.y1 <= y + height + dot, JSON.stringify(ink));
    assert.ok(ink.y1 - ink.y0 > 1.2, 'and legible');
  });
}

test('text that looks like markup is printed as it is and changes nothing else', async () => {
  const markup = '</g><rect width="90"/>';
  const [plain, marked] = [await render({ customLines: ['x'] }), await render({ customLines: [markup] })];
  assert.equal(digest(plain.front), digest(marked.front));
  const changed = differenceBox(plain.back, marked.back);
  assert.ok(changed !== undefined && changed.y1 - changed.y0 < 3, JSON.stringify(changed));
});

test('a character that no font has is named by its field before anything is printed', async () => {
  const broken = { ...fields, name: 'A \u{1F600}', customLines: ['fine', '\u{13000}'] };
  assert.deepEqual(await missingGlyphs({ design: 'aurora', fields: broken }), ['name', 'customLines[1]']);
  await assert.rejects(
    renderCard({ design: 'aurora', fields: broken, isTestCard: true }),
    (error: unknown) =>
      error instanceof ArtworkError &&
      error.code === 'GLYPH_MISSING' &&
      error.subject === 'name' &&
      !error.message.includes('\u{1F600}'),
  );
});

test('Japanese names with rare forms and variation selectors have all their glyphs', async () => {
  const names = { ...fields, name: '山田 太郎', secondName: '髙橋﨑𠮷', customLines: ['葛\u{E0100}城市'] };
  assert.deepEqual(await missingGlyphs({ design: 'aurora', fields: names }), []);
});

test('an accent written as a separate mark prints like the composed letter', async () => {
  const [composed, decomposed] = [await render({ name: 'JOS\u00C9' }), await render({ name: 'JOSE\u0301' })];
  assert.deepEqual(await missingGlyphs({ design: 'aurora', fields: { ...fields, name: 'JOSE\u0301' } }), []);
  const change = differenceBox(composed.front, decomposed.front);
  assert.ok(change === undefined || change.x1 - change.x0 < 4, JSON.stringify(change));
});

test('a name too long to be legible, and a field without a place, are refused by name', async () => {
  const lines = Array.from({ length: 9 }, (_, index) => `line ${String(index)}`);
  assert.deepEqual(
    await unprintableFields({
      design: 'aurora',
      fields: { ...fields, name: 'W'.repeat(90), customLines: lines },
    }),
    [
      { field: 'name', reason: 'TEXT_DOES_NOT_FIT' },
      { field: 'customLines[8]', reason: 'FIELD_HAS_NO_ZONE' },
    ],
  );
});

test('every field that a card order may carry has a place in the bundled designs', async () => {
  const full: CardFields = {
    ...fields,
    secondName: 'SECOND',
    memberId: 'M123'.repeat(8),
    customLines: Array.from({ length: 8 }, () => 'W'.repeat(24)),
  };
  for (const design of designNames()) assert.deepEqual(await unprintableFields({ design, fields: full }), []);
});

test('a test card says so on both sides and another card does not', async () => {
  const [marked, plain] = [await render({}, true), await render({}, false)];
  assert.ok(differenceBox(marked.front, plain.front) !== undefined);
  assert.ok(differenceBox(marked.back, plain.back) !== undefined);
});

test('the number is grouped in fours whatever spacing it came with', async () => {
  const [one, other] = [
    await render({ pan: '999900••••••1234' }),
    await render({ pan: '9999 00•• •••• 1234' }),
  ];
  assert.equal(digest(one.back), digest(other.back));
});

test('a design that is not installed is refused, also when its name is a path', async () => {
  for (const design of ['nothing', '../aurora', '']) {
    await assert.rejects(
      renderCard({ design, fields, isTestCard: true }),
      (error: unknown) => error instanceof ArtworkError && error.code === 'DESIGN_UNKNOWN',
    );
  }
});

test('chip and stripe are declared as areas without ink', () => {
  assert.deepEqual(
    [keepOuts('aurora').front, keepOuts('aurora').back].map((areas) => areas.map(({ name }) => name)),
    [['chip'], ['magneticStripe']],
  );
});

test('the art of aurora is what its drawing program draws', () => {
  const file = (name: string): string =>
    readFileSync(new URL(`../designs/aurora/${name}.svg`, import.meta.url), 'utf8');
  assert.equal(file('front'), drawFront());
  assert.equal(file('back'), drawBack());
});
