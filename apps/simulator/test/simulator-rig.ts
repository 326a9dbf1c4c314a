/** A simulator for one test: in process where its inside is driven hard, as a child process where it is killed. */
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { fileURLToPath } from 'node:url';
import { type SimulatorConfig } from '../src/config.ts';
import { type DeskLedger } from '../src/desk/desk-ledger.ts';
import { startSimulator } from '../src/simulator.ts';
import { type RpcAnswer, callService } from './evolis-client.ts';

export const device = 'Cardwright Simulator';

export interface SimulatorRig {
  readonly port: number;
  readonly dataFolder: string;
  ledger(): DeskLedger;
  /** A call that names the printer. */
  call(method: string, params?: Readonly<Record<string, unknown>>): Promise<RpcAnswer>;
  command(command: string): Promise<RpcAnswer>;
  [Symbol.asyncDispose](): Promise<void>;
}

export function newDataFolder(): string {
  return mkdtempSync(join(tmpdir(), 'cardwright-desk-'));
}

export function readLedgerFile(dataFolder: string): DeskLedger {
  return JSON.parse(readFileSync(join(dataFolder, 'desk.json'), 'utf8')) as DeskLedger;
}

/** A port where nobody listens: the chip of these tests finds no reader. */
async function closedPort(): Promise<number> {
  const server = createServer().listen(0, '127.0.0.1');
  await once(server, 'listening');
  const address = server.address();
  server.close();
  await once(server, 'close');
  if (address === null || typeof address === 'string') throw new Error('no port');
  return address.port;
}

export async function testConfig(
  dataFolder: string,
  changes: Partial<SimulatorConfig> = {},
): Promise<SimulatorConfig> {
  return {
    dataFolder,
    evolis: { host: '127.0.0.1', port: 0 },
    vpcd: { host: '127.0.0.1', port: await closedPort() },
    secureChannel: 'SCP03',
    blanks: 3,
    timing: 'fast',
    takeAfterMs: null,
    faults: [],
    ...changes,
  };
}

function rigOn(port: number, dataFolder: string, dispose: () => Promise<void>): SimulatorRig {
  const call: SimulatorRig['call'] = (method, params = {}) =>
    callService(port, method, { device, ...params });
  return {
    port,
    dataFolder,
    ledger: () => readLedgerFile(dataFolder),
    call,
    command: (command) => call('CMD.SendCommand', { command, timeout: '5000' }),
    [Symbol.asyncDispose]: dispose,
  };
}

/** In process. A bug of the simulator fails the test that shows it. */
export async function startRig(changes: Partial<SimulatorConfig> = {}): Promise<SimulatorRig> {
  const dataFolder = newDataFolder();
  const bugs: unknown[] = [];
  const simulator = await startSimulator(await testConfig(dataFolder, changes), {
    onBug: (error) => bugs.push(error),
  });
  return rigOn(simulator.evolisPort, dataFolder, async () => {
    await simulator.close();
    rmSync(dataFolder, { recursive: true, force: true });
    if (bugs.length > 0) throw bugs[0];
  });
}

export interface SimulatorProcess extends SimulatorRig {
  readonly process: ChildProcess;
}

/** As a child process on a given folder, which stays when the process goes. */
export async function startProcess(
  config: SimulatorConfig,
  environment: Readonly<Record<string, string>> = {},
): Promise<SimulatorProcess> {
  const file = join(config.dataFolder, 'config.json');
  writeFileSync(file, JSON.stringify(config));
  const main = fileURLToPath(new URL('../src/main.ts', import.meta.url));
  const child = spawn(process.execPath, [main, '--config', file], {
    stdio: ['ignore', 'pipe', 'inherit'],
    env: { ...process.env, ...environment },
  });
  const port = await new Promise<number>((resolve, reject) => {
    child.once('exit', (code) => {
      reject(new Error(`the simulator ended with ${String(code)}`));
    });
    createInterface({ input: child.stdout }).on('line', (line) => {
      const record = JSON.parse(line) as { event?: string; evolisPort?: number };
      if (record.event === 'simulator.ready' && record.evolisPort !== undefined) resolve(record.evolisPort);
    });
  });
  const rig = rigOn(port, config.dataFolder, () => endProcess(child, 'SIGTERM'));
  return { ...rig, process: child };
}

export async function endProcess(child: ChildProcess, signal: NodeJS.Signals): Promise<void> {
  if (child.exitCode !== null || child.signalCode !== null) return;
  const exited = once(child, 'exit');
  child.kill(signal);
  await exited;
}

/** Waits until a look finds what it looks for. */
export async function until<T>(what: string, look: () => T | undefined): Promise<T> {
  const giveUpAt = Date.now() + 15_000;
  for (;;) {
    const found = look();
    if (found !== undefined) return found;
    if (Date.now() > giveUpAt) throw new Error(`waited in vain for ${what}`);
    await new Promise((resolve) => setTimeout(resolve, 5));
  }
}

/** An uncompressed 24-bit bitmap of one colour, as a print job carries it. */
export function plainBitmap(width = 1016, height = 648): string {
  const rowBytes = Math.ceil((width * 3) / 4) * 4;
  const bitmap = Buffer.alloc(54 + rowBytes * height, 0x80);
  bitmap.fill(0, 0, 54);
  bitmap.write('BM', 0, 'latin1');
  bitmap.writeUInt32LE(bitmap.length, 2);
  bitmap.writeUInt32LE(54, 10);
  bitmap.writeUInt32LE(40, 14);
  bitmap.writeInt32LE(width, 18);
  bitmap.writeInt32LE(height, 22);
  bitmap.writeUInt16LE(1, 26);
  bitmap.writeUInt16LE(24, 28);
  return `base64:${bitmap.toString('base64')}`;
}
