/**
 * Puts an agent together from its configuration: identity, journal, link, devices, loop.
 *
 * Invariants: the agent opens no port but the chip reader's on the address that the configuration names; one agent
 * per data folder; everything it starts is stopped by `stop`.
 */
import { randomBytes } from 'node:crypto';
import { createEvolisDevice, listenVpcd } from '@cardwright/devices';
import { createMtlsClient, type Logger, newId, systemClock } from '@cardwright/runtime';
import { type AgentConfig, serverOrigins } from './config.ts';
import { Journal } from './journal/journal.ts';
import { listenToDoorbell } from './link/doorbell.ts';
import { startReportSender } from './link/report-sender.ts';
import { createServerNodes } from './link/server-nodes.ts';
import { createStationLink } from './link/station-link.ts';
import { readPayloadKey } from './production/payload-opening.ts';
import { Bell, runStation } from './production/station-loop.ts';
import { defaultLimits, type StationParts } from './production/station-parts.ts';

export const agentVersion = '0.1.0';

const defaultPollIntervalMs = 15_000;
/** A card that is being made may be finished before the process ends; past this the next start recovers it. */
const finishLimitMs = 8_000;

export interface RunningAgent {
  /** Rejects when the agent must not go on (journal failure, bug). Resolves after `stop`. */
  readonly ended: Promise<void>;
  stop(): Promise<void>;
}

/** Starts an agent. @throws when journal, key, certificates or the reader's port cannot be had */
export async function startAgent(config: AgentConfig, logger: Logger): Promise<RunningAgent> {
  const clock = systemClock;
  const stop = new AbortController();
  const payloadKey = await readPayloadKey(config.payloadKeyFile);
  const journal = Journal.open({
    dataFolder: config.dataFolder,
    bootId: newId(),
    agentVersion,
    now: () => clock.now(),
    newId,
  });
  journal.prune();
  const { caFile, certFile, keyFile } = config.server;
  const nodes = serverOrigins(config.server).map((origin) => ({
    origin,
    client: createMtlsClient({ origin, caFile, certFile, keyFile }),
  }));
  const client = createServerNodes(nodes, logger);
  const link = createStationLink(client);
  const reader = await listenVpcd({ host: config.chip.host, port: config.chip.port });
  const { host, port, device: printerName } = config.printer;
  const device = createEvolisDevice({ host, port, device: printerName, reader });
  const common = { link, clock, random: Math.random, logger, signal: stop.signal };
  const reports = startReportSender({ ...common, journal });
  const parts: StationParts = {
    stationId: config.stationId,
    payloadKey,
    journal,
    link,
    reports,
    device,
    clock,
    random: Math.random,
    randomBytes: (length) => new Uint8Array(randomBytes(length)),
    logger,
    limits: {
      ...defaultLimits,
      operatorWaitMs: config.operatorWaitMs ?? defaultLimits.operatorWaitMs,
      takeWaitMs: config.takeWaitMs ?? defaultLimits.takeWaitMs,
    },
    pollIntervalMs: config.pollIntervalMs ?? defaultPollIntervalMs,
    agentVersion,
    stopping: stop.signal,
  };
  const bell = new Bell();
  const doorbell = listenToDoorbell({ ...common, onRing: () => bell.ring() });
  const station = runStation(parts, bell);
  const ended = Promise.all([station, reports.ended, doorbell]).then(() => undefined);
  return {
    ended,
    stop: async () => {
      stop.abort(new Error('stopping'));
      let giveUp: () => void = () => undefined;
      const limit = new Promise<void>((resolve) => {
        giveUp = resolve;
      });
      const timer = clock.setTimeout(giveUp, finishLimitMs);
      await Promise.race([ended.catch(() => undefined), limit]);
      timer.cancel();
      await device.close();
      await reader.close();
      await client.close();
      journal.close();
    },
  };
}
