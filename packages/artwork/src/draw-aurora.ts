/**
 * Draws the art of the design `aurora`: families of lines blended between two curves over a night gradient.
 * A program because hundreds of lines are easier to review as arithmetic than as path data.
 *
 * Run `npm run draw:aurora` to write `designs/aurora/{front,back}.svg`; a test keeps files and program equal.
 */
import { writeFileSync } from 'node:fs';
import { cardViewBox } from './safe-svg.ts';

/** x and y in millimetres, alternating: a start point, then control, control, end for each cubic curve. */
type Curve = readonly number[];

interface LineFamily {
  readonly from: Curve;
  readonly to: Curve;
  readonly count: number;
  readonly stroke: string;
  readonly width: number;
  /** Opacity of a line by its position 0…1 in the family. */
  readonly opacity: (position: number) => number;
}

function number(value: number): string {
  return String(Math.round(value * 1000) / 1000);
}

function blend(from: Curve, to: Curve, share: number): number[] {
  return from.map((value, index) => value + ((to[index] ?? value) - value) * share);
}

function curvePath(curve: Curve): string {
  const numbers = curve.map(number);
  return `M${numbers.slice(0, 2).join(' ')}C${numbers.slice(2).join(' ')}`;
}

function drawFamily(family: LineFamily): string {
  const lines: string[] = [];
  for (let index = 0; index < family.count; index += 1) {
    const position = index / (family.count - 1);
    const d = curvePath(blend(family.from, family.to, position));
    lines.push(`<path d="${d}" stroke-opacity="${number(family.opacity(position))}"/>`);
  }
  const look = `fill="none" stroke="${family.stroke}" stroke-width="${number(family.width)}"`;
  return `<g ${look} stroke-linecap="round">\n${lines.join('\n')}\n</g>`;
}

function ribbon(from: Curve, to: Curve, fill: string, opacity: number): string {
  const back: number[] = [];
  for (let at = to.length - 2; at >= 0; at -= 2) back.push(to[at] ?? 0, to[at + 1] ?? 0);
  const [x = 0, y = 0, ...rest] = back.map(number);
  const d = `${curvePath(from)}L${String(x)} ${String(y)}C${rest.join(' ')}Z`;
  return `<path d="${d}" fill="${fill}" fill-opacity="${number(opacity)}"/>`;
}

interface GradientStop {
  readonly at: number;
  readonly color: string;
  readonly opacity?: number;
}

function stops(list: readonly GradientStop[]): string {
  return list
    .map(
      ({ at, color, opacity = 1 }) =>
        `<stop offset="${number(at)}" stop-color="${color}" stop-opacity="${number(opacity)}"/>`,
    )
    .join('');
}

function linear(
  id: string,
  ends: readonly [number, number, number, number],
  list: readonly GradientStop[],
): string {
  const [x1, y1, x2, y2] = ends.map(number);
  return `<linearGradient id="${id}" gradientUnits="userSpaceOnUse" x1="${x1 ?? ''}" y1="${y1 ?? ''}" x2="${x2 ?? ''}" y2="${y2 ?? ''}">${stops(list)}</linearGradient>`;
}

function radial(
  id: string,
  circle: readonly [number, number, number],
  list: readonly GradientStop[],
): string {
  const [cx, cy, r] = circle.map(number);
  return `<radialGradient id="${id}" gradientUnits="userSpaceOnUse" cx="${cx ?? ''}" cy="${cy ?? ''}" r="${r ?? ''}">${stops(list)}</radialGradient>`;
}

function glow(id: string): string {
  return `<rect x="-2" y="-2" width="90" height="58" fill="url(#${id})"/>`;
}

/** The Kotori bird, in a square of 24 units: three feathers rising from one point. */
function bird(x: number, y: number, size: number, colors: readonly [string, string, string]): string {
  const scale = number(size / 24);
  return [
    `<g transform="translate(${number(x)} ${number(y)}) scale(${scale})">`,
    `<path d="M11.2 17.2C4.6 14.6 1.4 8.6 2.2 1.6C9.2 3.4 13.2 9.4 11.2 17.2Z" fill="${colors[0]}"/>`,
    `<path d="M11.2 17.2C9.4 10.6 12 4.4 18.4 1.2C20.6 8 18 14.4 11.2 17.2Z" fill="${colors[1]}" fill-opacity="0.88"/>`,
    `<path d="M1.4 20.9C5.6 14.4 11 11.9 16.6 12.5C18.4 11.7 20.3 12.3 21 13.7L23.9 14.9L21.1 15.8C19.2 20.9 9.6 23.7 1.4 20.9Z" fill="${colors[2]}"/>`,
    `<circle cx="19.1" cy="14.1" r="0.5" fill="#101A4C"/>`,
    `</g>`,
  ].join('\n');
}

const night: readonly GradientStop[] = [
  { at: 0, color: '#070B24' },
  { at: 0.45, color: '#101A4C' },
  { at: 0.8, color: '#0D3360' },
  { at: 1, color: '#0B4A68' },
];

const light: readonly GradientStop[] = [
  { at: 0, color: '#2BD9C4', opacity: 0.1 },
  { at: 0.3, color: '#35E0CF' },
  { at: 0.58, color: '#6C8CFF' },
  { at: 0.8, color: '#C77DFF' },
  { at: 1, color: '#FF9E8A' },
];

const birdColors = ['#3FE3CE', '#8AA2FF', '#FFFFFF'] as const;

const upper: { from: Curve; to: Curve } = {
  from: [-4, 45, 22, 20, 40, 58, 90, 2],
  to: [-4, 54, 30, 44, 52, 44, 90, 30],
};
const crossing: { from: Curve; to: Curve } = {
  from: [28, 60, 44, 30, 58, 40, 90, -6],
  to: [46, 60, 60, 36, 72, 34, 90, 16],
};

function document(title: string, body: readonly string[]): string {
  return [
    `<svg xmlns="http://www.w3.org/2000/svg" viewBox="${cardViewBox}">`,
    `<title>${title}</title>`,
    ...body,
    '</svg>',
    '',
  ].join('\n');
}

/** The front: night sky, three glows, two veils of light and their lines, the bank's bird. */
export function drawFront(): string {
  return document('Aurora, front', [
    '<defs>',
    linear('night', [0, 0, 85.6, 54], night),
    linear('light', [0, 50, 86, 6], light),
    linear(
      'veil',
      [10, 50, 84, 4],
      [
        { at: 0, color: '#17C3B2', opacity: 0 },
        { at: 0.4, color: '#17C3B2', opacity: 0.5 },
        { at: 0.72, color: '#5B6CFF', opacity: 0.55 },
        { at: 1, color: '#FF7BA5', opacity: 0.7 },
      ],
    ),
    radial(
      'dawn',
      [84, 2, 46],
      [
        { at: 0, color: '#FF7BA5', opacity: 0.55 },
        { at: 0.45, color: '#8B5CF6', opacity: 0.28 },
        { at: 1, color: '#8B5CF6', opacity: 0 },
      ],
    ),
    radial(
      'sea',
      [62, 52, 44],
      [
        { at: 0, color: '#19D3C5', opacity: 0.42 },
        { at: 1, color: '#19D3C5', opacity: 0 },
      ],
    ),
    '</defs>',
    '<rect x="-2" y="-2" width="90" height="58" fill="url(#night)"/>',
    glow('dawn'),
    glow('sea'),
    ribbon(upper.from, upper.to, 'url(#veil)', 0.5),
    ribbon(crossing.from, crossing.to, 'url(#veil)', 0.4),
    drawFamily({
      ...upper,
      count: 64,
      stroke: 'url(#light)',
      width: 0.085,
      opacity: (p) => 0.2 + 0.6 * (1 - p) ** 2,
    }),
    drawFamily({
      ...crossing,
      count: 40,
      stroke: 'url(#light)',
      width: 0.085,
      opacity: (p) => 0.12 + 0.4 * p,
    }),
    bird(5.6, 4.9, 8.2, birdColors),
  ]);
}

/** The back: the same night, quieter, with stripe, signature panel and security code field. */
export function drawBack(): string {
  const panelLines: string[] = [];
  for (let x = 3; x < 62; x += 0.62) {
    panelLines.push(
      `<path d="M${number(x)} 29.2C${number(x + 1.5)} 26 ${number(x + 1)} 23 ${number(x + 3)} 19.6"/>`,
    );
  }
  return document('Aurora, back', [
    '<defs>',
    linear('night', [85.6, 0, 0, 54], night),
    linear('light', [0, 50, 86, 6], light),
    radial(
      'dawn',
      [2, 54, 48],
      [
        { at: 0, color: '#8B5CF6', opacity: 0.38 },
        { at: 1, color: '#8B5CF6', opacity: 0 },
      ],
    ),
    radial(
      'sea',
      [86, 50, 46],
      [
        { at: 0, color: '#19D3C5', opacity: 0.34 },
        { at: 1, color: '#19D3C5', opacity: 0 },
      ],
    ),
    '<clipPath id="panel"><rect x="5.4" y="20" width="49.6" height="8.6" rx="0.8"/></clipPath>',
    '</defs>',
    '<rect x="-2" y="-2" width="90" height="58" fill="url(#night)"/>',
    glow('dawn'),
    glow('sea'),
    drawFamily({
      ...crossing,
      count: 34,
      stroke: 'url(#light)',
      width: 0.08,
      opacity: (p) => 0.05 + 0.16 * p,
    }),
    '<rect x="-2" y="4.2" width="90" height="12.7" fill="#0A0A0C"/>',
    '<rect x="5.4" y="20" width="49.6" height="8.6" rx="0.8" fill="#F4F6FB"/>',
    `<g clip-path="url(#panel)" fill="none" stroke="#B9C6E4" stroke-width="0.07">\n${panelLines.join('\n')}\n</g>`,
    '<rect x="56.4" y="20" width="12.4" height="8.6" rx="0.8" fill="#FFFFFF"/>',
    bird(73.4, 19.9, 7.4, birdColors),
  ]);
}

if (import.meta.main) {
  const folder = new URL('../designs/aurora/', import.meta.url);
  writeFileSync(new URL('front.svg', folder), drawFront());
  writeFileSync(new URL('back.svg', folder), drawBack());
}
