/**
 * The subset of SVG that a design may use, enforced by an allow-list.
 *
 * Issuers bring their own templates, and an SVG can name files, scripts and bombs. So the text is parsed
 * strictly, every element and attribute must be on the list, and what the renderer gets is written anew from
 * the parsed tree: nothing that was not looked at can reach it.
 */
import { SaxesParser } from 'saxes';
import { ArtworkError } from './artwork-error.ts';

/** Why an SVG is refused; the error's `subject` names the element or attribute. */
export type UnsafeSvgReason =
  | 'TOO_LARGE'
  | 'TOO_MANY_ELEMENTS'
  | 'TOO_DEEP'
  | 'NOT_WELL_FORMED'
  | 'DOCTYPE'
  | 'PROCESSING_INSTRUCTION'
  | 'ELEMENT_NOT_ALLOWED'
  | 'ATTRIBUTE_NOT_ALLOWED'
  | 'VALUE_NOT_ALLOWED'
  | 'TEXT_NOT_ALLOWED'
  | 'WRONG_ROOT';

export class UnsafeSvgError extends ArtworkError {
  readonly reason: UnsafeSvgReason;

  constructor(reason: UnsafeSvgReason, subject: string) {
    super('SVG_UNSAFE', subject, reason);
    this.name = 'UnsafeSvgError';
    this.reason = reason;
  }
}

export const svgLimits = { characters: 262_144, elements: 2_000, depth: 12, filters: 6, blurMm: 12 } as const;

/** The view box of every template: an ID-1 card in millimetres, origin at its upper left corner. */
export const cardViewBox = '0 0 85.6 53.98';

const svgNamespace = 'http://www.w3.org/2000/svg';

const paint = ['fill', 'fill-opacity', 'fill-rule', 'opacity', 'stroke', 'stroke-opacity', 'stroke-width'];
const line = ['stroke-linecap', 'stroke-linejoin', 'stroke-dasharray'];
const place = ['transform', 'clip-path', 'mask', 'filter'];
const shape = [...paint, ...line, ...place];
const gradient = ['id', 'gradientUnits', 'gradientTransform', 'spreadMethod'];

const allowed: Readonly<Record<string, readonly string[]>> = {
  svg: ['viewBox'],
  title: [],
  g: ['id', ...shape],
  defs: [],
  path: ['d', ...shape],
  rect: ['x', 'y', 'width', 'height', 'rx', 'ry', ...shape],
  circle: ['cx', 'cy', 'r', ...shape],
  ellipse: ['cx', 'cy', 'rx', 'ry', ...shape],
  line: ['x1', 'y1', 'x2', 'y2', ...shape],
  polyline: ['points', ...shape],
  polygon: ['points', ...shape],
  linearGradient: [...gradient, 'x1', 'y1', 'x2', 'y2'],
  radialGradient: [...gradient, 'cx', 'cy', 'r', 'fx', 'fy'],
  stop: ['offset', 'stop-color', 'stop-opacity'],
  clipPath: ['id', 'clipPathUnits'],
  mask: ['id', 'maskUnits', 'maskContentUnits', 'x', 'y', 'width', 'height'],
  filter: ['id', 'x', 'y', 'width', 'height', 'filterUnits'],
  feGaussianBlur: ['stdDeviation'],
};

/** One value form for all attributes: numbers, words, colours, path data, transforms, and `url(#id)` alone. */
const plainValue = /^[A-Za-z0-9 ,.#%()\n\t+-]*$/;
const localReference = /^url\(#[A-Za-z][A-Za-z0-9-]*\)$/;

function refuse(reason: UnsafeSvgReason, subject: string): never {
  throw new UnsafeSvgError(reason, subject);
}

function checkedAttributes(element: string, attributes: Record<string, string>): string {
  const names = allowed[element];
  if (names === undefined) return refuse('ELEMENT_NOT_ALLOWED', element);
  let text = '';
  for (const [name, value] of Object.entries(attributes)) {
    const subject = `${element}@${name}`;
    if (element === 'svg' && name === 'xmlns') {
      if (value !== svgNamespace) refuse('VALUE_NOT_ALLOWED', subject);
      continue;
    }
    if (!names.includes(name)) refuse('ATTRIBUTE_NOT_ALLOWED', subject);
    if (!plainValue.test(value)) refuse('VALUE_NOT_ALLOWED', subject);
    if (/url/i.test(value) && !localReference.test(value)) refuse('VALUE_NOT_ALLOWED', subject);
    if (name === 'stdDeviation' && !(Number(value) <= svgLimits.blurMm)) refuse('VALUE_NOT_ALLOWED', subject);
    text += ` ${name}="${value}"`;
  }
  return text;
}

/** Collects the children of the root as new text while the parser walks the old. */
class SafeSvgWriter {
  readonly #open: { name: string; empty: boolean }[] = [];
  #elements = 0;
  #filters = 0;
  #text = '';

  openElement(name: string, attributes: Record<string, string>): void {
    this.#elements += 1;
    if (name === 'filter') this.#filters += 1;
    const tooMany = this.#elements > svgLimits.elements || this.#filters > svgLimits.filters;
    if (tooMany) refuse('TOO_MANY_ELEMENTS', name);
    if (this.#open.length >= svgLimits.depth) refuse('TOO_DEEP', name);
    const written = checkedAttributes(name, attributes);
    if (this.#open.length === 0) {
      if (name !== 'svg' || attributes['viewBox'] !== cardViewBox) refuse('WRONG_ROOT', name);
    } else {
      if (name === 'svg') refuse('ELEMENT_NOT_ALLOWED', 'nested svg');
      this.#text += `<${name}${written}>`;
    }
    this.#open.push({ name, empty: true });
  }

  closeElement(): void {
    const element = this.#open.pop();
    if (element !== undefined && this.#open.length > 0) this.#text += `</${element.name}>`;
  }

  characters(text: string): void {
    const parent = this.#open.at(-1)?.name;
    // A title's words are for the reader of the file; they are left out of what is rendered.
    if (parent !== 'title' && text.trim() !== '') refuse('TEXT_NOT_ALLOWED', parent ?? 'document');
  }

  get content(): string {
    return this.#text;
  }
}

/**
 * Checks one side of a design and returns what lies inside its root element, written anew.
 * Throws `UnsafeSvgError` with the reason of the first thing that is not allowed.
 */
export function readSafeSvg(text: string): string {
  if (text.length > svgLimits.characters) refuse('TOO_LARGE', 'document');
  const writer = new SafeSvgWriter();
  const parser = new SaxesParser();
  parser.on('error', () => refuse('NOT_WELL_FORMED', 'document'));
  parser.on('doctype', () => refuse('DOCTYPE', 'document'));
  parser.on('processinginstruction', ({ target }) => refuse('PROCESSING_INSTRUCTION', target));
  parser.on('cdata', () => refuse('TEXT_NOT_ALLOWED', 'CDATA'));
  parser.on('opentag', ({ name, attributes }) => {
    writer.openElement(name, attributes);
  });
  parser.on('closetag', () => {
    writer.closeElement();
  });
  parser.on('text', (characters) => {
    writer.characters(characters);
  });
  parser.write(text).close();
  return writer.content;
}
