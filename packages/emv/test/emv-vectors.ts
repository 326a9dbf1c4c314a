/** The shapes of the published vectors in `vectors/`, and how to read them. */
import { readFileSync } from 'node:fs';
import { deriveCsk, deriveUdk, unhex, type UdkOption } from '../src/index.ts';

/** Reads one group of one vector file; the caller says which shape its vectors have. */
export function readVectors(file: string, group: string): unknown {
  const text = readFileSync(new URL(`vectors/${file}.json`, import.meta.url), 'utf8');
  const groups = JSON.parse(text) as Record<string, unknown>;
  const vectors = groups[group];
  if (vectors === undefined) throw new Error(`no group ${group} in ${file}`);
  return vectors;
}

/** How a vector names a card's master key. */
export interface UdkOf {
  readonly option: UdkOption;
  readonly imk: string;
  readonly pan: string;
  readonly psn: string;
}

/** The key of a vector: given as it is, or the CSK of a UDK with `r`, or that UDK itself when `r` is null. */
export function vectorKey(vector: {
  readonly key?: string;
  readonly udkOf?: UdkOf;
  readonly r?: string | null;
}): Uint8Array {
  if (vector.key !== undefined) return unhex(vector.key);
  if (vector.udkOf === undefined) throw new Error('the vector has no key');
  const { option, imk, pan, psn } = vector.udkOf;
  const udk = deriveUdk(unhex(imk), option, pan, psn);
  return vector.r === null || vector.r === undefined ? udk : deriveCsk(udk, unhex(vector.r));
}

/** Short name of a vector for assertion messages. */
export function vectorName(vector: { readonly src: string; readonly name?: string }, index: number): string {
  return `vector ${String(index)} of ${vector.src}${vector.name === undefined ? '' : `: ${vector.name}`}`;
}
