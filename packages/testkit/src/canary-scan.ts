/**
 * Looks for known secrets on disk in every shape they might have leaked in.
 *
 * A scan is only worth something if it can find: callers plant a canary first and require it to be reported.
 */
import { readdirSync, readFileSync, statSync } from 'node:fs';
import { join } from 'node:path';

export interface Canary {
  readonly name: string;
  readonly value: string | Uint8Array;
}

export interface CanaryHit {
  readonly canary: string;
  readonly encoding: string;
  readonly file: string;
  readonly offset: number;
}

export interface Needle {
  readonly canary: string;
  readonly encoding: string;
  readonly bytes: Buffer;
}

/** Needles shorter than this would be found in anything. */
const shortestNeedle = 6;

function ebcdic(text: string): Buffer | undefined {
  return /^\d+$/.test(text) ? Buffer.from([...text].map((digit) => 0xf0 + Number(digit))) : undefined;
}

function bcd(text: string): Buffer | undefined {
  if (!/^\d+$/.test(text)) return undefined;
  return Buffer.from(text.length % 2 === 0 ? text : `${text}F`, 'hex');
}

/** The part of a base64 text that does not depend on what stands before and after. */
function base64Core(bytes: Buffer, phase: 0 | 1 | 2, alphabet: 'base64' | 'base64url'): Buffer {
  const encoded = Buffer.concat([Buffer.alloc(phase), bytes])
    .toString(alphabet)
    .replace(/=+$/, '');
  const from = phase === 0 ? 0 : phase + 1;
  const usable = Math.floor((phase + bytes.length) / 3) * 4;
  return Buffer.from(encoded.slice(from, usable));
}

/** Every encoding of one secret: text and numeric forms, hexadecimal, base64 at all phases, reversed, arrays. */
export function encodingsOf(value: string | Uint8Array): ReadonlyMap<string, Buffer> {
  const text = typeof value === 'string' ? value : undefined;
  const raw = typeof value === 'string' ? Buffer.from(value, 'utf8') : Buffer.from(value);
  const forms = new Map<string, Buffer | undefined>([
    ['raw', raw],
    ['reversed', Buffer.from(raw).reverse()],
    ['hex upper', Buffer.from(raw.toString('hex').toUpperCase())],
    ['hex lower', Buffer.from(raw.toString('hex'))],
    ['hex spaced', Buffer.from(raw.toString('hex').replace(/(..)(?!$)/g, '$1 '))],
    ['JSON byte array', Buffer.from([...raw].join(','))],
  ]);
  for (const phase of [0, 1, 2] as const) {
    forms.set(`base64 phase ${phase}`, base64Core(raw, phase, 'base64'));
    forms.set(`base64url phase ${phase}`, base64Core(raw, phase, 'base64url'));
  }
  if (text !== undefined) {
    const groups = text.match(/.{1,4}/g) ?? [];
    forms.set('UTF-16LE', Buffer.from(text, 'utf16le'));
    forms.set('UTF-16BE', Buffer.from(text, 'utf16le').swap16());
    forms.set('grouped by spaces', Buffer.from(groups.join(' ')));
    forms.set('grouped by hyphens', Buffer.from(groups.join('-')));
    forms.set('JSON array of characters', Buffer.from([...text].map((c) => `"${c}"`).join(',')));
    forms.set('JSON array of digits', Buffer.from([...text].join(',')));
    forms.set('EBCDIC', ebcdic(text));
    forms.set('BCD', bcd(text));
    forms.set('BCD reversed', bcd(text)?.reverse());
  }
  const useful = [...forms].filter(
    (entry): entry is [string, Buffer] => entry[1] !== undefined && entry[1].length >= shortestNeedle,
  );
  return new Map(useful);
}

function* filesBelow(path: string): Generator<string> {
  if (statSync(path).isFile()) {
    yield path;
    return;
  }
  for (const entry of readdirSync(path, { withFileTypes: true })) {
    const child = join(path, entry.name);
    if (entry.isDirectory()) yield* filesBelow(child);
    else if (entry.isFile()) yield child;
  }
}

export interface CanaryScan {
  readonly filesScanned: number;
  readonly bytesScanned: number;
  readonly hits: readonly CanaryHit[];
}

/** What to look for: every canary in every encoding. */
export function needlesOf(canaries: readonly Canary[]): Needle[] {
  return canaries.flatMap(({ name, value }) =>
    [...encodingsOf(value)].map(([encoding, bytes]) => ({ canary: name, encoding, bytes })),
  );
}

/** Scans files and folders for the canaries, in all encodings. */
export function scanForCanaries(paths: readonly string[], canaries: readonly Canary[]): CanaryScan {
  const needles = needlesOf(canaries);
  const hits: CanaryHit[] = [];
  let filesScanned = 0;
  let bytesScanned = 0;
  for (const file of paths.flatMap((path) => [...filesBelow(path)])) {
    const content = readFileSync(file);
    filesScanned += 1;
    bytesScanned += content.length;
    for (const needle of needles) {
      const offset = content.indexOf(needle.bytes);
      if (offset !== -1) hits.push({ canary: needle.canary, encoding: needle.encoding, file, offset });
    }
  }
  return { filesScanned, bytesScanned, hits };
}
