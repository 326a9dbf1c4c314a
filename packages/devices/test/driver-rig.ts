/** Driver, reader and simulator wired together over real sockets. */
import {
  type CardDevice,
  type EvolisLimits,
  type VpcdReader,
  createEvolisDevice,
  listenVpcd,
} from '../src/index.ts';
import { type Raster } from '../src/port.ts';
import {
  type SimulatorProcess,
  type SimulatorSettings,
  simulatorDevice,
  startSimulatorProcess,
} from './simulator-process.ts';

/** Short limits, so that silence is noticed within a test. */
const testLimits: Partial<EvolisLimits> = {
  queryMs: 400,
  pollMs: 10,
  silenceMs: 500,
  moveMs: 10_000,
  printMs: 20_000,
  chipMs: 2_000,
};

export interface DriverRig {
  readonly device: CardDevice;
  readonly reader: VpcdReader;
  readonly simulator: SimulatorProcess;
  [Symbol.asyncDispose](): Promise<void>;
}

export async function startDriverRig(
  settings: Omit<SimulatorSettings, 'vpcdPort'> = {},
  limits: Partial<EvolisLimits> = {},
): Promise<DriverRig> {
  const reader = await listenVpcd({ host: '127.0.0.1', port: 0, apduTimeoutMs: 600, atrTimeoutMs: 300 });
  const simulator = await startSimulatorProcess({ ...settings, vpcdPort: reader.port });
  const device = createEvolisDevice({
    host: '127.0.0.1',
    port: simulator.evolisPort,
    device: simulatorDevice,
    reader,
    limits: { ...testLimits, ...limits },
  });
  return {
    device,
    reader,
    simulator,
    [Symbol.asyncDispose]: async () => {
      await device.close();
      await simulator[Symbol.asyncDispose]();
      await reader.close();
    },
  };
}

/** A card side in which every pixel differs from its neighbours, so that no mix-up of rows or colours goes unseen. */
export function patternRaster(seed: number): Raster {
  const width = 1016;
  const height = 648;
  const rgb = new Uint8Array(width * height * 3);
  for (let index = 0; index < rgb.length; index += 1) {
    const pixel = Math.floor(index / 3);
    rgb[index] = ((pixel % width) * (1 + (index % 3)) + Math.floor(pixel / width) * 7 + seed * 31) & 0xff;
  }
  return { width, height, rgb };
}
