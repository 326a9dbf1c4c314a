/**
 * The doorbell: tells a connected station that its queue is worth a look, whichever node it is connected to. It
 * carries nothing else.
 *
 * Invariant: a lost ring costs time only, because stations also ask by themselves.
 */
import { type Wakeups } from '../store/store.ts';

export interface DoorbellListener {
  ring(): void;
  /** Ends the stream: a newer one of the same station took its place. */
  replaced(): void;
}

export interface Doorbell {
  ring(stationId: string): void;
  /** Connects a station's stream, ending an older one. Returns the function that disconnects it. */
  connect(stationId: string, listener: DoorbellListener): () => void;
  isConnected(stationId: string): boolean;
  closeAll(): void;
}

/** With `wakeups`, a ring also goes to the other nodes, and theirs comes here. */
export function createDoorbell(wakeups?: Wakeups): Doorbell {
  const listeners = new Map<string, DoorbellListener>();
  wakeups?.subscribe((wakeup) => {
    if (wakeup.about === 'station') listeners.get(wakeup.stationId)?.ring();
    if (wakeup.about === 'everything') for (const listener of [...listeners.values()]) listener.ring();
  });
  return {
    ring: (stationId) => {
      listeners.get(stationId)?.ring();
      // Always: a connection here may be the dead end of a station that moved on.
      wakeups?.publish({ about: 'station', stationId });
    },
    connect: (stationId, listener) => {
      const older = listeners.get(stationId);
      listeners.set(stationId, listener);
      older?.replaced();
      return () => {
        if (listeners.get(stationId) === listener) listeners.delete(stationId);
      };
    },
    isConnected: (stationId) => listeners.has(stationId),
    closeAll: () => {
      for (const listener of [...listeners.values()]) listener.replaced();
      listeners.clear();
    },
  };
}
