/** Puts the desk together: mechanics, faults, and the service in front of them. */
import { createHash } from 'node:crypto';
import { type Clock, systemClock } from '@cardwright/runtime';
import { type SimulatorConfig, defaultDeviceName, mechanicsTimings } from './config.ts';
import { Desk } from './desk/desk.ts';
import { DeskFile } from './desk/desk-file.ts';
import { EvolisService } from './evolis/evolis-service.ts';
import { PrintSessions } from './evolis/print-sessions.ts';
import { listenRpc } from './evolis/rpc-server.ts';
import { ArmedFaults } from './fault-deck.ts';

export interface Simulator {
  readonly evolisPort: number;
  readonly device: string;
  close(): Promise<void>;
}

export interface SimulatorOptions {
  readonly clock?: Clock;
  /** Told about errors that are bugs of the simulator. */
  readonly onBug: (error: unknown) => void;
}

/** Switches the desk on. @throws Error when the port cannot be had or the ledger cannot be read */
export async function startSimulator(config: SimulatorConfig, options: SimulatorOptions): Promise<Simulator> {
  const clock = options.clock ?? systemClock;
  const timing = mechanicsTimings[config.timing];
  const faults = new ArmedFaults(config.faults);
  const device = config.device ?? defaultDeviceName;
  const desk = new Desk({ config, file: new DeskFile(config.dataFolder), timing, faults, clock });
  const service = new EvolisService({
    device,
    serialNumber: createHash('sha256').update(device).digest('hex').slice(0, 10).toUpperCase(),
    desk,
    sessions: new PrintSessions(clock, timing.sessionMs),
    faults,
    clock,
    outageMs: timing.outageMs,
  });
  const server = await listenRpc({
    host: config.evolis.host,
    port: config.evolis.port,
    requestTimeoutMs: config.evolis.requestTimeoutMs ?? 30_000,
    clock,
    serve: (request) => service.serve(request),
    isSilent: () => service.isSilent,
    garble: (method, answer) => service.garble(method, answer),
    onBug: options.onBug,
  });
  desk.powerOn();
  return {
    evolisPort: server.port,
    device,
    close: async () => {
      await server.close();
      await desk.powerOff();
    },
  };
}
