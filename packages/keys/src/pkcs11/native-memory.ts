/**
 * Memory outside the JavaScript heap, where the structures of PKCS#11 are laid out byte by byte.
 *
 * Invariants: memory handed to a module does not move while a call on another thread runs; what was laid out
 * (a PIN, a key value, a plaintext) is overwritten before the memory is used again or freed; numbers are
 * little-endian and CK_ULONG has 8 bytes, which is refused elsewhere (cryptoki-module).
 */
import koffi from 'koffi';

export interface NativeBlock {
  readonly address: number;
  readonly bytes: Uint8Array;
}

interface NativeChunk extends NativeBlock {
  readonly pointer: unknown;
  used: number;
}

const alignment = 8;

export class NativeArena {
  readonly #chunks: NativeChunk[];

  constructor(length: number) {
    this.#chunks = [makeChunk(length)];
  }

  /** Zeroed memory, aligned to 8 bytes, valid until `clear`. */
  allocate(length: number): NativeBlock {
    const rounded = Math.max(alignment, Math.ceil(length / alignment) * alignment);
    let chunk = this.#chunks.at(-1);
    if (chunk === undefined || chunk.used + rounded > chunk.bytes.length) {
      chunk = makeChunk(rounded);
      this.#chunks.push(chunk);
    }
    const block = {
      address: chunk.address + chunk.used,
      bytes: chunk.bytes.subarray(chunk.used, chunk.used + length),
    };
    chunk.used += rounded;
    return block;
  }

  copyOf(bytes: Uint8Array): NativeBlock {
    const block = this.allocate(bytes.length);
    block.bytes.set(bytes);
    return block;
  }

  /** Wipes what was laid out and keeps only the first chunk. */
  clear(): void {
    for (const chunk of this.#chunks) {
      chunk.bytes.fill(0, 0, chunk.used);
      chunk.used = 0;
    }
    for (const chunk of this.#chunks.splice(1)) koffi.free(chunk.pointer);
  }

  free(): void {
    this.clear();
    for (const chunk of this.#chunks.splice(0)) koffi.free(chunk.pointer);
  }
}

function makeChunk(length: number): NativeChunk {
  const pointer: unknown = koffi.alloc('uint8_t', length);
  const bytes = new Uint8Array(koffi.view(pointer, length));
  bytes.fill(0);
  return { pointer, address: Number(koffi.address(pointer)), bytes, used: 0 };
}

/** Writes CK_ULONG values (or pointers) one after another. */
export function writeWords(block: NativeBlock, words: readonly number[]): void {
  const view = new DataView(block.bytes.buffer, block.bytes.byteOffset, block.bytes.length);
  for (const [index, word] of words.entries()) view.setBigUint64(index * 8, BigInt(word), true);
}

/** Reads one CK_ULONG. CK_UNAVAILABLE_INFORMATION (all ones) is returned as -1. */
export function readWord(block: NativeBlock, index = 0): number {
  const view = new DataView(block.bytes.buffer, block.bytes.byteOffset, block.bytes.length);
  return Number(view.getBigInt64(index * 8, true));
}
