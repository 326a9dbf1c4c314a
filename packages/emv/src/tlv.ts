/**
 * BER-TLV as EMV uses it (Book 3, Annex B): one- to four-byte tags, definite lengths.
 *
 * Invariants: the parser throws only `EmvError`, also for hostile bytes; depth is bounded; a node of a primitive
 * tag has no children; `tlv(node.tag, node.value)` gives back what was parsed when the length was minimal.
 */
import { concatBytes, hex, unhex } from './bytes.ts';
import { EmvError } from './emv-error.ts';

export interface TlvNode {
  /** Upper-case hexadecimal. */
  readonly tag: string;
  /** Contents bytes; for a constructed tag these are the encoded children. */
  readonly value: Uint8Array;
  readonly children: readonly TlvNode[];
}

const maxTagBytes = 4;
const maxDepth = 12;

/** Whether a tag is constructed (b6 of its first byte). `tag` is hexadecimal. */
export function isConstructedTag(tag: string): boolean {
  return (parseInt(tag.slice(0, 2), 16) & 0x20) !== 0;
}

/**
 * Parses a sequence of data objects. Zero bytes between objects are skipped (Book 3, Annex B1 allows them); FF is
 * not, because no EMV data object starts with it in this position and accepting it hides truncated records.
 * @throws EmvError TLV_TRUNCATED, TLV_TAG_INVALID, TLV_LENGTH_INVALID, TLV_TOO_DEEP
 */
export function parseTlv(bytes: Uint8Array): TlvNode[] {
  return parseLevel(bytes, 0);
}

function parseLevel(bytes: Uint8Array, depth: number): TlvNode[] {
  if (depth > maxDepth) throw new EmvError('TLV_TOO_DEEP', 'templates are nested too deeply');
  const nodes: TlvNode[] = [];
  let offset = 0;
  while (offset < bytes.length) {
    if (bytes[offset] === 0x00) {
      offset += 1;
      continue;
    }
    const tagLength = readTagLength(bytes, offset);
    const tag = hex(bytes.subarray(offset, offset + tagLength));
    const { length, lengthBytes } = readLength(bytes, offset + tagLength);
    const start = offset + tagLength + lengthBytes;
    if (start + length > bytes.length) throw new EmvError('TLV_TRUNCATED', 'a value ends after the data');
    const value = bytes.slice(start, start + length);
    nodes.push({ tag, value, children: isConstructedTag(tag) ? parseLevel(value, depth + 1) : [] });
    offset = start + length;
  }
  return nodes;
}

/** Number of bytes of the tag at `offset`. @throws EmvError TLV_TRUNCATED, TLV_TAG_INVALID */
export function readTagLength(bytes: Uint8Array, offset: number): number {
  const first = bytes[offset];
  if (first === undefined) throw new EmvError('TLV_TRUNCATED', 'a tag is missing');
  if ((first & 0x1f) !== 0x1f) return 1;
  for (let length = 2; length <= maxTagBytes; length++) {
    const next = bytes[offset + length - 1];
    if (next === undefined) throw new EmvError('TLV_TRUNCATED', 'a tag ends after the data');
    if ((next & 0x80) === 0) return length;
  }
  throw new EmvError('TLV_TAG_INVALID', `a tag has more than ${String(maxTagBytes)} bytes`);
}

function readLength(bytes: Uint8Array, offset: number): { length: number; lengthBytes: number } {
  const first = bytes[offset];
  if (first === undefined) throw new EmvError('TLV_TRUNCATED', 'a length is missing');
  if (first < 0x80) return { length: first, lengthBytes: 1 };
  const count = first & 0x7f;
  if (count === 0 || count > 3) {
    throw new EmvError('TLV_LENGTH_INVALID', 'only definite lengths of at most three bytes are used');
  }
  let length = 0;
  for (let index = 1; index <= count; index++) {
    const next = bytes[offset + index];
    if (next === undefined) throw new EmvError('TLV_TRUNCATED', 'a length ends after the data');
    length = length * 256 + next;
  }
  return { length, lengthBytes: 1 + count };
}

function encodeLength(length: number): Uint8Array {
  if (length < 0x80) return Uint8Array.of(length);
  if (length < 0x100) return Uint8Array.of(0x81, length);
  if (length < 0x10000) return Uint8Array.of(0x82, length >> 8, length & 0xff);
  if (length < 0x1000000) return Uint8Array.of(0x83, length >> 16, (length >> 8) & 0xff, length & 0xff);
  throw new EmvError('TLV_LENGTH_INVALID', 'a value is longer than three length bytes can say');
}

/**
 * Encodes one data object with the shortest length form. The value is either bytes or the already encoded children
 * (or parsed nodes) of a template.
 * @throws EmvError TLV_TAG_INVALID when `tag` is not one well-formed tag, HEX_INVALID
 */
export function tlv(tag: string, value: Uint8Array | readonly (Uint8Array | TlvNode)[]): Uint8Array {
  const tagBytes = unhex(tag);
  if (tagBytes.length === 0 || readTagLength(tagBytes, 0) !== tagBytes.length) {
    throw new EmvError('TLV_TAG_INVALID', 'not one complete tag');
  }
  const contents =
    value instanceof Uint8Array
      ? value
      : concatBytes(...value.map((part) => (part instanceof Uint8Array ? part : encodeTlv(part))));
  return concatBytes(tagBytes, encodeLength(contents.length), contents);
}

/** Encodes a parsed node again; its `value` counts, not its `children`. */
export function encodeTlv(node: TlvNode): Uint8Array {
  return tlv(node.tag, node.value);
}

/** The first node with `tag` (hexadecimal, upper case), depth first; `undefined` when there is none. */
export function findTag(nodes: readonly TlvNode[], tag: string): TlvNode | undefined {
  for (const node of nodes) {
    if (node.tag === tag) return node;
    const inside = findTag(node.children, tag);
    if (inside !== undefined) return inside;
  }
  return undefined;
}

/** Every primitive node in order of appearance, depth first. */
export function primitiveNodes(nodes: readonly TlvNode[]): TlvNode[] {
  return nodes.flatMap((node) => (isConstructedTag(node.tag) ? primitiveNodes(node.children) : [node]));
}
