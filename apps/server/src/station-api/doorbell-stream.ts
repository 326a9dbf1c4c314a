/**
 * The doorbell as a stream of server-sent events: `event: doorbell` when the station should claim, a comment line
 * now and then so that both ends notice a dead connection.
 */
import { type FastifyReply } from 'fastify';
import { noteStationSeen } from '../dispatch/claim.ts';
import { type DispatchParts } from '../dispatch/dispatch-parts.ts';

const heartbeatMs = 20_000;

/** Turns a reply into the station's doorbell until either side closes it. */
export async function serveDoorbell(
  parts: DispatchParts,
  stationId: string,
  reply: FastifyReply,
): Promise<void> {
  await parts.store.transaction((tx) => noteStationSeen(tx, stationId, parts.clock.now()));
  reply.hijack();
  const stream = reply.raw;
  stream.writeHead(200, {
    'content-type': 'text/event-stream',
    'cache-control': 'no-store',
    connection: 'keep-alive',
  });
  const ring = (): void => {
    stream.write('event: doorbell\ndata: {}\n\n');
  };
  let beat = parts.clock.setTimeout(pulse, heartbeatMs);
  function pulse(): void {
    stream.write(': \n\n');
    beat = parts.clock.setTimeout(pulse, heartbeatMs);
  }
  const disconnect = parts.doorbell.connect(stationId, { ring, replaced: () => stream.end() });
  stream.on('close', () => {
    beat.cancel();
    disconnect();
  });
  // What was queued before the station was connected: it looks once by itself.
  ring();
}
