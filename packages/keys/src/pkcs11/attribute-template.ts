/**
 * Attributes of PKCS#11 objects as values, and their layout in memory (CK_ATTRIBUTE: type, pointer, length).
 *
 * Invariant: a template is plain data; nothing is laid out before a session has memory for it.
 */
import { type NativeArena, type NativeBlock, readWord, writeWords } from './native-memory.ts';

export type AttributeValue = boolean | number | string | Uint8Array;
/** Attribute type (CKA) and value: CK_BBOOL, CK_ULONG, UTF-8 text or bytes. */
export type Attribute = readonly [type: number, value: AttributeValue];

const attributeLength = 24;

export function layOutTemplate(arena: NativeArena, template: readonly Attribute[]): NativeBlock {
  const block = arena.allocate(Math.max(1, template.length) * attributeLength);
  const words = template.flatMap(([type, value]) => {
    const encoded = layOutValue(arena, value);
    return [type, encoded.address, encoded.bytes.length];
  });
  writeWords(block, words);
  return block;
}

function layOutValue(arena: NativeArena, value: AttributeValue): NativeBlock {
  if (typeof value === 'boolean') return arena.copyOf(Uint8Array.of(value ? 1 : 0));
  if (typeof value === 'string') return arena.copyOf(new TextEncoder().encode(value));
  if (typeof value !== 'number') return arena.copyOf(value);
  const word = arena.allocate(8);
  writeWords(word, [value]);
  return word;
}

/** A template that asks: `lengths` of undefined asks for lengths only. */
export function layOutQuery(
  arena: NativeArena,
  types: readonly number[],
  lengths?: readonly number[],
): { readonly block: NativeBlock; readonly values: readonly NativeBlock[] } {
  const block = arena.allocate(types.length * attributeLength);
  const values = lengths?.map((length) => arena.allocate(Math.max(0, length))) ?? [];
  writeWords(
    block,
    types.flatMap((type, index) => [type, values[index]?.address ?? 0, Math.max(0, lengths?.[index] ?? 0)]),
  );
  return { block, values };
}

/** Lengths that the module wrote into a query; -1 where it would not tell. */
export function readLengths(block: NativeBlock, count: number): number[] {
  return Array.from({ length: count }, (_, index) => readWord(block, index * 3 + 2));
}
