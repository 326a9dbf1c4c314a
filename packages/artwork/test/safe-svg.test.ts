/** What a template may not contain, and that designs are checked as a whole. */
import assert from 'node:assert/strict';
import { cpSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test, type TestContext } from 'node:test';
import { fileURLToPath } from 'node:url';
import { ArtworkError, createCardRenderer, UnsafeSvgError, type UnsafeSvgReason } from '../src/index.ts';
import { readSafeSvg, svgLimits } from '../src/safe-svg.ts';

const svg = (content: string, head = ''): string =>
  `${head}<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 85.6 53.98">${content}</svg>`;

const deep = `${'<g>'.repeat(svgLimits.depth)}${'</g>'.repeat(svgLimits.depth)}`;

const unsafe: [title: string, text: string, reason: UnsafeSvgReason][] = [
  ['a script', svg('<script>1</script>'), 'ELEMENT_NOT_ALLOWED'],
  ['foreign content', svg('<foreignObject/>'), 'ELEMENT_NOT_ALLOWED'],
  ['an image from a file', svg('<image href="/etc/hostname"/>'), 'ELEMENT_NOT_ALLOWED'],
  ['a reused element', svg('<use href="#a"/>'), 'ELEMENT_NOT_ALLOWED'],
  ['a style sheet', svg('<style>a{}</style>'), 'ELEMENT_NOT_ALLOWED'],
  ['text in a host font', svg('<text>hello</text>'), 'ELEMENT_NOT_ALLOWED'],
  ['an svg inside', svg('<svg viewBox="0 0 1 1"/>'), 'ELEMENT_NOT_ALLOWED'],
  ['an element of another namespace', svg('<x:rect xmlns:x="urn:x"/>'), 'ELEMENT_NOT_ALLOWED'],
  ['an event handler', svg('<rect onload="1"/>'), 'ATTRIBUTE_NOT_ALLOWED'],
  ['a style attribute', svg('<rect style="fill:red"/>'), 'ATTRIBUTE_NOT_ALLOWED'],
  ['a link between gradients', svg('<linearGradient href="#a"/>'), 'ATTRIBUTE_NOT_ALLOWED'],
  ['a paint from elsewhere', svg('<rect fill="url(http://example.test/#a)"/>'), 'VALUE_NOT_ALLOWED'],
  ['a paint from a file', svg('<rect fill="url(file#a)"/>'), 'VALUE_NOT_ALLOWED'],
  ['a spelled-out reference', svg('<rect fill="u&#114;l(x)"/>'), 'VALUE_NOT_ALLOWED'],
  [
    'an immense blur',
    svg('<filter id="f"><feGaussianBlur stdDeviation="9999"/></filter>'),
    'VALUE_NOT_ALLOWED',
  ],
  ['a document type', svg('', '<!DOCTYPE svg [<!ENTITY a "b">]>'), 'DOCTYPE'],
  ['an entity', svg('&a;'), 'NOT_WELL_FORMED'],
  ['a style sheet instruction', svg('', '<?xml-stylesheet href="a"?>'), 'PROCESSING_INSTRUCTION'],
  ['loose words', svg('words'), 'TEXT_NOT_ALLOWED'],
  ['a CDATA section', svg('<![CDATA[x]]>'), 'TEXT_NOT_ALLOWED'],
  ['an unclosed element', svg('<g>'), 'NOT_WELL_FORMED'],
  ['too many elements', svg('<g/>'.repeat(svgLimits.elements)), 'TOO_MANY_ELEMENTS'],
  ['too many blurs', svg('<filter/>'.repeat(svgLimits.filters + 1)), 'TOO_MANY_ELEMENTS'],
  ['too deep a tree', svg(deep), 'TOO_DEEP'],
  ['too long a file', svg(' '.repeat(svgLimits.characters)), 'TOO_LARGE'],
  ['another size', '<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 1 1"/>', 'WRONG_ROOT'],
  ['another root', '<g/>', 'WRONG_ROOT'],
];

for (const [title, text, reason] of unsafe) {
  test(`an SVG with ${title} is refused with ${reason}`, () => {
    assert.throws(
      () => readSafeSvg(text),
      (error: unknown) => error instanceof UnsafeSvgError && error.reason === reason,
    );
  });
}

test('what is allowed is written anew, without comments and titles', () => {
  const text = svg('<!-- note --><title>My card</title><g id="a"><rect width="2" fill="url(#b)"/></g>');
  assert.equal(readSafeSvg(text), '<title></title><g id="a"><rect width="2" fill="url(#b)"></rect></g>');
});

/** A copy of aurora with one file changed, and a renderer for it. */
function changedDesign(t: TestContext, file: string, change: (text: string) => string) {
  const folder = mkdtempSync(join(tmpdir(), 'designs-'));
  t.after(() => {
    rmSync(folder, { recursive: true });
  });
  cpSync(fileURLToPath(new URL('../designs/aurora', import.meta.url)), join(folder, 'mine'), {
    recursive: true,
  });
  const path = join(folder, 'mine', file);
  writeFileSync(path, change(readFileSync(path, 'utf8')));
  return createCardRenderer(folder);
}

const request = {
  design: 'mine',
  fields: { name: 'A', pan: '9999', expiry: '01/30', customLines: [] },
  isTestCard: true,
} as const;

test('an unsafe SVG in a design folder stops the design, not only the file', async (t) => {
  const renderer = changedDesign(t, 'back.svg', (text) => text.replace('<defs>', '<script/><defs>'));
  await assert.rejects(renderer.renderCard(request), UnsafeSvgError);
});

const invalidDesigns: [title: string, change: (text: string) => string, subject: RegExp][] = [
  ['text on the chip', (text) => text.replace('15.4, 5.2, 32, 5', '15.4, 5.2, 32, 15'), /^front\.text\[0\]$/],
  [
    'a zone outside the card',
    (text) => text.replace('15.4, 5.2, 32, 5', '75.4, 5.2, 32, 5'),
    /^front\.text\[0\]$/,
  ],
  ['a font that is not bundled', (text) => text.replace('"outfit-medium"', '"arial"'), /^design\.json/],
  ['an unknown member', (text) => text.replace('{', '{ "more": 1,'), /^design\.json/],
  ['broken JSON', (text) => text.slice(1), /^design\.json$/],
];

for (const [title, change, subject] of invalidDesigns) {
  test(`a design with ${title} is refused and the place is named`, async (t) => {
    await assert.rejects(
      changedDesign(t, 'design.json', change).renderCard(request),
      (error: unknown) =>
        error instanceof ArtworkError && error.code === 'DESIGN_INVALID' && subject.test(error.subject),
    );
  });
}
