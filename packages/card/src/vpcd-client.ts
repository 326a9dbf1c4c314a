/**
 * The card's side of the vpcd protocol: a TCP client that lets a virtual reader power and talk to a virtual card.
 *
 * Frames are a two-byte big-endian length and that many bytes. A frame of one byte is a control (0 power off,
 * 1 power on, 2 reset, 4 ATR wanted); every other frame is a command APDU, answered with one frame.
 *
 * Invariants: frames are handled one after the other; length and body leave in one write, without Nagle's delay;
 * a mute card keeps silent, a removed card hangs up.
 */
import { type Socket, connect } from 'node:net';
import { setTimeout as delay } from 'node:timers/promises';
import { concatBytes, uintBytes } from '@cardwright/emv';
import { VirtualCardError } from './virtual-card-error.ts';
import { type VirtualCard } from './virtual-card.ts';

export interface VpcdOptions {
  readonly host: string;
  readonly port: number;
  /** Takes the card out of the reader, as `close()` does. */
  readonly signal?: AbortSignal;
}

/** A card in a reader. */
export interface VpcdConnection {
  /** Resolves when the card is out of the reader, for whatever reason: closed, removed by a fault, reader gone. */
  readonly closed: Promise<void>;
  /** Takes the card out of the reader; its power and sessions are gone, its memory stays. */
  close(): Promise<void>;
}

const CONTROL_POWER_OFF = 0;
const CONTROL_POWER_ON = 1;
const CONTROL_RESET = 2;
const CONTROL_ATR = 4;
const LENGTH_BYTES = 2;

/**
 * Inserts a card into the reader that listens at `host:port`.
 *
 * @throws Error (from node:net) when nobody listens there
 */
export async function connectVpcd(card: VirtualCard, options: VpcdOptions): Promise<VpcdConnection> {
  options.signal?.throwIfAborted();
  const socket = connect({ host: options.host, port: options.port, noDelay: true });
  await connected(socket);
  // The card is inserted without power; the reader switches it on.
  card.reset();
  card.powerOff();
  const closed = new Promise<void>((resolve) => {
    socket.once('close', () => {
      card.powerOff();
      resolve();
    });
  });
  const abort = (): void => {
    socket.destroy();
  };
  options.signal?.addEventListener('abort', abort, { once: true });
  socket.once('close', () => options.signal?.removeEventListener('abort', abort));
  // An error is always followed by 'close', which is what callers wait for.
  socket.on('error', () => undefined);
  serveFrames(card, socket);
  return {
    closed,
    close: async () => {
      socket.destroy();
      await closed;
    },
  };
}

function connected(socket: Socket): Promise<void> {
  return new Promise((resolve, reject) => {
    socket.once('connect', () => {
      socket.off('error', reject);
      resolve();
    });
    socket.once('error', reject);
  });
}

function serveFrames(card: VirtualCard, socket: Socket): void {
  let received: Uint8Array = new Uint8Array(0);
  let work: Promise<void> = Promise.resolve();
  socket.on('data', (chunk: Uint8Array) => {
    const split = splitFrames(concatBytes(received, chunk));
    received = split.rest;
    for (const frame of split.frames) work = work.then(() => serveFrame(card, socket, frame));
  });
}

function splitFrames(bytes: Uint8Array): { frames: Uint8Array[]; rest: Uint8Array } {
  const frames: Uint8Array[] = [];
  let offset = 0;
  while (offset + LENGTH_BYTES <= bytes.length) {
    const start = offset + LENGTH_BYTES;
    const end = start + (bytes[offset] ?? 0) * 256 + (bytes[offset + 1] ?? 0);
    if (end > bytes.length) break;
    frames.push(bytes.slice(start, end));
    offset = end;
  }
  return { frames, rest: bytes.slice(offset) };
}

async function serveFrame(card: VirtualCard, socket: Socket, frame: Uint8Array): Promise<void> {
  if (socket.destroyed || frame.length === 0) return;
  const answer = frame.length === 1 ? control(card, frame[0] ?? 0) : await command(card, socket, frame);
  // Writing to a socket that was closed meanwhile is harmless: it is dropped.
  if (answer !== undefined) socket.write(concatBytes(uintBytes(answer.length, LENGTH_BYTES), answer));
}

/** Only the request for the ATR is answered, and by a mute card not even that. */
function control(card: VirtualCard, code: number): Uint8Array | undefined {
  switch (code) {
    case CONTROL_POWER_OFF:
      card.powerOff();
      return undefined;
    case CONTROL_POWER_ON:
    case CONTROL_RESET:
      card.reset();
      return undefined;
    case CONTROL_ATR:
      return card.atr.length === 0 ? undefined : card.atr;
    default:
      return undefined;
  }
}

async function command(card: VirtualCard, socket: Socket, apdu: Uint8Array): Promise<Uint8Array | undefined> {
  const delayMs = card.delayMsOf(apdu);
  if (delayMs > 0) await delay(delayMs);
  try {
    return card.transmit(apdu);
  } catch (error) {
    if (!(error instanceof VirtualCardError)) {
      socket.destroy();
      return undefined;
    }
    if (error.code === 'REMOVED') socket.destroy();
    return undefined;
  }
}
