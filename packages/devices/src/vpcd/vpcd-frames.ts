/**
 * The frames of the vpcd protocol: a two-byte big-endian length and that many bytes.
 *
 * Invariant: a frame is handed on whole and once, however TCP cut the stream.
 */

/** Control bytes: the only frames of length one that a reader sends. Only `getAtr` is answered. */
export const vpcdControl = { powerOff: 0, powerOn: 1, reset: 2, getAtr: 4 } as const;

const lengthBytes = 2;
const maxBodyBytes = 0xffff;

/** One frame ready to send. @throws RangeError for a body that its length field cannot hold */
export function encodeVpcdFrame(body: Uint8Array): Uint8Array {
  if (body.length > maxBodyBytes) throw new RangeError(`a vpcd frame holds ${maxBodyBytes} bytes at most`);
  const frame = new Uint8Array(lengthBytes + body.length);
  frame[0] = body.length >> 8;
  frame[1] = body.length & 0xff;
  frame.set(body, lengthBytes);
  return frame;
}

/** Cuts a stream into frames. */
export class VpcdFrameReader {
  #held: Uint8Array = new Uint8Array(0);

  /** Takes received bytes and returns the frames that they complete. */
  push(chunk: Uint8Array): readonly Uint8Array[] {
    const bytes = new Uint8Array(this.#held.length + chunk.length);
    bytes.set(this.#held);
    bytes.set(chunk, this.#held.length);
    const frames: Uint8Array[] = [];
    let offset = 0;
    for (;;) {
      const high = bytes[offset];
      const low = bytes[offset + 1];
      if (high === undefined || low === undefined) break;
      const end = offset + lengthBytes + high * 256 + low;
      if (end > bytes.length) break;
      frames.push(bytes.slice(offset + lengthBytes, end));
      offset = end;
    }
    this.#held = bytes.slice(offset);
    return frames;
  }
}
