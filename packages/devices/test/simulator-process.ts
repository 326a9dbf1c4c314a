/**
 * The simulator as a process of its own, for tests of the driver: started through its command line, spoken to over
 * its sockets, and nothing of it imported.
 */
import { type ChildProcess, execFileSync, spawn } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { fileURLToPath } from 'node:url';

const main = fileURLToPath(new URL('../../../apps/simulator/src/main.ts', import.meta.url));
const startLimitMs = 30_000;

export const simulatorDevice = 'Cardwright Simulator';

export interface DeskCard {
  readonly serial: string;
  readonly position: string;
  readonly personalised: boolean;
  readonly front: string | null;
  readonly back: string | null;
}

export interface DeskView {
  readonly counters: { readonly picked: number; readonly ejected: number; readonly rejected: number };
  readonly cards: readonly DeskCard[];
}

export interface SimulatorSettings {
  readonly vpcdPort: number;
  readonly faults?: readonly string[];
  readonly takeAfterMs?: number | null;
  readonly bezelDelayMs?: number;
  readonly blanks?: number;
  readonly secureChannel?: 'SCP02' | 'SCP03';
  /** Start on what an earlier process left. */
  readonly dataFolder?: string;
}

export interface SimulatorProcess {
  readonly evolisPort: number;
  readonly dataFolder: string;
  desk(): DeskView;
  /** kill -9: a power cut. */
  kill(): Promise<void>;
  /** Stops the process and removes its folder. */
  [Symbol.asyncDispose](): Promise<void>;
}

/** The fault deck as the command line lists it. */
export function listSimulatorFaults(): readonly { readonly name: string; readonly description: string }[] {
  const text = execFileSync(process.execPath, [main, '--list-faults'], { encoding: 'utf8' });
  return JSON.parse(text) as { name: string; description: string }[];
}

export async function startSimulatorProcess(settings: SimulatorSettings): Promise<SimulatorProcess> {
  const dataFolder = settings.dataFolder ?? mkdtempSync(join(tmpdir(), 'cardwright-desk-'));
  const configFile = join(dataFolder, 'config.json');
  const config = {
    dataFolder,
    evolis: { host: '127.0.0.1', port: 0 },
    vpcd: { host: '127.0.0.1', port: settings.vpcdPort },
    secureChannel: settings.secureChannel ?? 'SCP03',
    blanks: settings.blanks ?? 5,
    timing: 'fast',
    takeAfterMs: settings.takeAfterMs === undefined ? 5 : settings.takeAfterMs,
    ...(settings.bezelDelayMs === undefined ? {} : { bezelDelayMs: settings.bezelDelayMs }),
    faults: settings.faults ?? [],
  };
  writeFileSync(configFile, JSON.stringify(config));
  const child = spawn(process.execPath, [main, '--config', configFile], {
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  const evolisPort = await readyPort(child);
  return {
    evolisPort,
    dataFolder,
    desk: () => JSON.parse(readFileSync(join(dataFolder, 'desk.json'), 'utf8')) as DeskView,
    kill: () => end(child, 'SIGKILL'),
    [Symbol.asyncDispose]: async () => {
      await end(child, 'SIGTERM');
      rmSync(dataFolder, { recursive: true, force: true });
    },
  };
}

function readyPort(child: ChildProcess): Promise<number> {
  const { stdout } = child;
  if (stdout === null) throw new Error('the simulator has no output');
  return new Promise((resolve, reject) => {
    const limit = setTimeout(() => {
      reject(new Error('the simulator did not get ready'));
    }, startLimitMs);
    child.once('exit', (code) => {
      reject(new Error(`the simulator ended with ${String(code)}`));
    });
    createInterface({ input: stdout }).on('line', (line) => {
      const record = JSON.parse(line) as { event?: string; evolisPort?: number };
      if (record.event !== 'simulator.ready' || record.evolisPort === undefined) return;
      clearTimeout(limit);
      resolve(record.evolisPort);
    });
  });
}

function end(child: ChildProcess, signal: NodeJS.Signals): Promise<void> {
  return new Promise((resolve) => {
    if (child.exitCode !== null || child.signalCode !== null) {
      resolve();
      return;
    }
    child.once('exit', () => {
      resolve();
    });
    child.kill(signal);
  });
}
