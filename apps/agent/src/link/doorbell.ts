/**
 * The doorbell: one server-sent event stream that says "ask for work now". It carries nothing else, so a lost or
 * forged ring costs at most one claim.
 *
 * Invariants: the stream is reopened for ever with full-jitter back-off, which starts over only after a stream
 * has lived a while (a server that accepts and drops must not be hammered); silence longer than the server's
 * heartbeat allows counts as a dead connection.
 */
import { type Clock, delay, type Logger } from '@cardwright/runtime';
import { createParser } from 'eventsource-parser';
import { type BackOff, backOffMs, type Random } from './back-off.ts';
import { type StationLink } from './station-link.ts';

const backOff: BackOff = { baseMs: 500, capMs: 30_000 };
const soundAfterMs = 5_000;
/** Three heartbeats of the server (20 s each). */
const silenceLimitMs = 60_000;

export interface DoorbellOptions {
  readonly link: Pick<StationLink, 'events'>;
  readonly clock: Clock;
  readonly random: Random;
  readonly logger: Logger;
  readonly signal: AbortSignal;
  readonly onRing: () => void;
}

/** Listens until `signal` aborts; never throws. */
export async function listenToDoorbell(options: DoorbellOptions): Promise<void> {
  const { clock, signal, logger } = options;
  const isOver = (): boolean => signal.aborted;
  for (let attempt = 0; !isOver(); attempt++) {
    const openedAt = clock.now();
    const end = await followStream(options);
    if (clock.now() - openedAt >= soundAfterMs) attempt = 0;
    if (isOver()) return;
    logger.event('agent.doorbell-lost', { reason: end, attempt });
    await delay(clock, backOffMs(backOff, attempt, options.random()), signal).catch(() => undefined);
  }
}

/** Follows one stream to its end and says why it ended. */
async function followStream({ link, clock, signal, onRing }: DoorbellOptions): Promise<string> {
  const silence = new AbortController();
  let watchdog = clock.setTimeout(abort, silenceLimitMs);
  function abort(): void {
    silence.abort(new Error('silence'));
  }
  const parser = createParser({ onEvent: onRing, maxBufferSize: 16_384 });
  const decoder = new TextDecoder();
  try {
    const stream = await link.events(AbortSignal.any([signal, silence.signal]));
    for await (const chunk of stream) {
      watchdog.cancel();
      watchdog = clock.setTimeout(abort, silenceLimitMs);
      parser.feed(decoder.decode(chunk, { stream: true }));
    }
    return 'closed';
  } catch (error) {
    if (silence.signal.aborted) return 'silence';
    const { code } = error as { code?: unknown };
    return typeof code === 'string' ? code : 'broken';
  } finally {
    watchdog.cancel();
  }
}
