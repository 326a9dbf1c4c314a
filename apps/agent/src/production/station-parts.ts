/** What production works with: one station's journal, link, device and limits. Handed down, never global. */
import { type CardDevice } from '@cardwright/devices';
import { type Clock, type Logger } from '@cardwright/runtime';
import { type Random } from '../link/back-off.ts';
import { type ReportSender } from '../link/report-sender.ts';
import { type StationLink } from '../link/station-link.ts';
import { type Journal } from '../journal/journal.ts';
import { type PayloadKey } from './payload-opening.ts';

/** Watchdogs: no wait in production is without an end. Milliseconds. */
export interface ProductionLimits {
  readonly feedMs: number;
  readonly chipMs: number;
  readonly printMs: number;
  readonly verifyMs: number;
  readonly presentMs: number;
  readonly rejectMs: number;
  /** How long a card waits inside for a server that does not answer. */
  readonly serverMs: number;
  /** How long a produced card waits for the server to acknowledge its outcome before it is presented anyway. */
  readonly acknowledgeMs: number;
  /** How long a stalled or silent device may wait for an operator, in all, within one job. */
  readonly operatorWaitMs: number;
  /** How long a presented card may stay at the exit. */
  readonly takeWaitMs: number;
}

export const defaultLimits: ProductionLimits = {
  feedMs: 90_000,
  chipMs: 120_000,
  printMs: 300_000,
  verifyMs: 120_000,
  presentMs: 60_000,
  rejectMs: 60_000,
  serverMs: 120_000,
  acknowledgeMs: 10_000,
  operatorWaitMs: 600_000,
  takeWaitMs: 120_000,
};

export interface StationParts {
  readonly stationId: string;
  readonly payloadKey: PayloadKey;
  readonly journal: Journal;
  readonly link: StationLink;
  readonly reports: ReportSender;
  readonly device: CardDevice;
  readonly clock: Clock;
  readonly random: Random;
  readonly randomBytes: (length: number) => Uint8Array;
  readonly logger: Logger;
  readonly limits: ProductionLimits;
  readonly pollIntervalMs: number;
  readonly agentVersion: string;
  /** Aborted when the agent is told to stop. */
  readonly stopping: AbortSignal;
}
