/**
 * The doorbell: tells a connected station that its queue is worth a look. It carries nothing else.
 *
 * Invariant: a lost ring costs time only, because stations also ask by themselves.
 */
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

export function createDoorbell(): Doorbell {
  const listeners = new Map<string, DoorbellListener>();
  return {
    ring: (stationId) => {
      listeners.get(stationId)?.ring();
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
