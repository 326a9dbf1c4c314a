/**
 * A whole station for a test: an in-test server, the simulated desk as a process of its own, and the agent as a
 * process that can be killed. Nothing is shared between them but sockets and files.
 */
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { createServer, type AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { fileURLToPath } from 'node:url';
import { type OutcomeReport } from '@cardwright/protocol';
import { type ServedJob, StationServer } from './station-server.ts';
import { makePayloadKey, makeTestCa } from './test-pki.ts';
import { type TestVault } from './test-vault.ts';

export interface StationOptions {
  readonly vault: TestVault;
  readonly faults?: readonly string[];
  readonly takeAfterMs?: number | null;
  readonly blanks?: number;
  readonly secureChannel?: 'SCP02' | 'SCP03';
  /** Extra members of the agent's configuration. */
  readonly agent?: Readonly<Record<string, unknown>>;
}

export interface DeskCard {
  readonly serial: string;
  readonly position: string;
}

interface Process {
  readonly child: ChildProcess;
  readonly exited: Promise<NodeJS.Signals | number | null>;
  readonly lines: string[];
}

async function freePort(): Promise<number> {
  const server = createServer();
  await new Promise<void>((resolve) => {
    server.listen(0, '127.0.0.1', resolve);
  });
  const { port } = server.address() as AddressInfo;
  await new Promise((resolve) => server.close(resolve));
  return port;
}

/** Starts an app and resolves when it says `readyEvent`. */
async function startProcess(
  app: 'agent' | 'simulator',
  configFile: string,
  environment: Readonly<Record<string, string>> = {},
): Promise<Process> {
  const main = fileURLToPath(new URL(`../../${app}/src/main.ts`, import.meta.url));
  const child = spawn(process.execPath, [main, '--config', configFile], {
    stdio: ['ignore', 'pipe', 'pipe'],
    env: { ...process.env, ...environment },
  });
  const lines: string[] = [];
  const exited = new Promise<NodeJS.Signals | number | null>((resolve) => {
    child.once('exit', (code, signal) => {
      resolve(signal ?? code);
    });
  });
  await new Promise<void>((resolve, reject) => {
    for (const stream of [child.stdout, child.stderr]) {
      createInterface({ input: stream }).on('line', (line) => {
        lines.push(line);
        if (line.includes(`"${app}.ready"`)) resolve();
      });
    }
    void exited.then((end) => {
      reject(new Error(`${app} ended with ${String(end)} before it was ready:\n${lines.join('\n')}`));
    });
  });
  return { child, exited, lines };
}

export class StationFixture implements AsyncDisposable {
  readonly folder: string;
  readonly server: StationServer;
  readonly agentConfigFile: string;
  readonly #vault: TestVault;
  #simulator: Process | undefined;
  #agent: Process | undefined;

  private constructor(folder: string, server: StationServer, vault: TestVault, agentConfigFile: string) {
    this.folder = folder;
    this.server = server;
    this.#vault = vault;
    this.agentConfigFile = agentConfigFile;
  }

  /** Starts server and desk; the agent is started by the test. */
  static async start(options: StationOptions): Promise<StationFixture> {
    const folder = mkdtempSync(join(tmpdir(), 'cardwright-station-'));
    const ca = await makeTestCa(folder);
    const payloadKey = await makePayloadKey(folder);
    const stationId = 'KIOSK-PS-101';
    const server = new StationServer({
      tls: await ca.issue('server', 'server'),
      clientCaFile: ca.caFile,
      stationId,
      payloadKey: payloadKey.jwk,
      vault: options.vault,
    });
    const [serverPort, evolisPort, chipPort] = [await server.listen(), await freePort(), await freePort()];
    const station = await ca.issue('station', 'client');
    const write = (name: string, content: unknown): string => {
      const file = join(folder, `${name}.json`);
      writeFileSync(file, JSON.stringify(content));
      return file;
    };
    const address = (port: number): { host: string; port: number } => ({ host: '127.0.0.1', port });
    const agentConfigFile = write('agent', {
      environment: 'sandbox',
      stationId,
      dataFolder: 'agent-data',
      server: { origin: `https://127.0.0.1:${serverPort}`, caFile: ca.caFile, ...station },
      payloadKeyFile: payloadKey.file,
      printer: { driver: 'evolis', ...address(evolisPort), device: 'Cardwright Simulator' },
      chip: { driver: 'vpcd', ...address(chipPort) },
      pollIntervalMs: 200,
      operatorWaitMs: 5_000,
      ...options.agent,
    });
    const simulatorConfigFile = write('simulator', {
      dataFolder: 'desk-data',
      evolis: address(evolisPort),
      vpcd: address(chipPort),
      secureChannel: options.secureChannel ?? 'SCP03',
      blanks: options.blanks ?? 10,
      timing: 'fast',
      takeAfterMs: options.takeAfterMs === undefined ? 50 : options.takeAfterMs,
      faults: options.faults ?? [],
    });
    mkdirSync(join(folder, 'desk-data'));
    const fixture = new StationFixture(folder, server, options.vault, agentConfigFile);
    fixture.#simulator = await startProcess('simulator', simulatorConfigFile);
    return fixture;
  }

  async startAgent(environment: Readonly<Record<string, string>> = {}): Promise<void> {
    this.#agent = await startProcess('agent', this.agentConfigFile, environment);
  }

  /** How the agent ended: a signal or an exit code. */
  agentExit(): Promise<NodeJS.Signals | number | null> {
    if (this.#agent === undefined) throw new Error('no agent was started');
    return this.#agent.exited;
  }

  async stopAgent(signal: NodeJS.Signals = 'SIGTERM'): Promise<NodeJS.Signals | number | null> {
    this.#agent?.child.kill(signal);
    return this.agentExit();
  }

  /** Every line that agents and desk wrote. */
  get log(): string {
    return [...(this.#simulator?.lines ?? []), ...(this.#agent?.lines ?? [])].join('\n');
  }

  /** Resolves when the agent has logged an event. */
  async untilLogged(event: string, limitMs = 15_000): Promise<void> {
    const isLogged = (): boolean => this.#agent?.lines.some((line) => line.includes(`"${event}"`)) === true;
    const stdout = this.#agent?.child.stdout;
    const limit = AbortSignal.timeout(limitMs);
    while (!isLogged()) {
      limit.throwIfAborted();
      if (stdout !== null && stdout !== undefined) await once(stdout, 'data', { signal: limit });
    }
  }

  async order(pan: string, name?: string): Promise<ServedJob> {
    return this.server.addJob(await this.#vault.plan(pan, name));
  }

  /** Resolves when the job has its outcome and, if produced, its hand-over. */
  async untilFinished(job: ServedJob, limitMs = 30_000): Promise<OutcomeReport> {
    const isFinished = (): boolean => {
      const isProduced = job.state === 'produced';
      return (
        outcomeOf(job) !== undefined &&
        (!isProduced || job.handOver === 'taken' || job.handOver === 'retracted')
      );
    };
    try {
      await this.server.until(`${job.jobId} to be finished`, isFinished, limitMs);
    } catch (error) {
      throw new Error(`${String(error)} in ${job.state}\n${this.log}`, { cause: error });
    }
    const outcome = outcomeOf(job);
    if (outcome === undefined) throw new Error('finished without an outcome');
    return outcome;
  }

  /** What physically happened, by the desk's own ledger. */
  physicalCards(): readonly DeskCard[] {
    const file = join(this.folder, 'desk-data', 'desk.json');
    if (!existsSync(file)) return [];
    const desk = JSON.parse(readFileSync(file, 'utf8')) as { readonly cards: readonly DeskCard[] };
    return desk.cards.filter((card) => card.position !== 'feeder');
  }

  /** As if the station's disk had been replaced. */
  loseJournal(): void {
    rmSync(join(this.folder, 'agent-data'), { recursive: true });
  }

  get journalFile(): string {
    return join(this.folder, 'agent-data', 'journal.sqlite');
  }

  async [Symbol.asyncDispose](): Promise<void> {
    for (const process of [this.#agent, this.#simulator]) {
      process?.child.kill('SIGKILL');
      await process?.exited;
    }
    await this.server.close();
    rmSync(this.folder, { recursive: true, force: true });
  }
}

/** The outcome that the server took, if any. */
export function outcomeOf(job: ServedJob): OutcomeReport | undefined {
  return job.reports.map(({ report }) => report).find((report) => report.kind === 'outcome');
}

/** Stage reports as `stage status`, in the order in which the server took them. */
export function stagesOf(job: ServedJob): string[] {
  return job.reports.flatMap(({ report }) => {
    switch (report.kind) {
      case 'stage':
        return [`${report.stage} ${report.status}`];
      case 'outcome':
        return [report.outcome];
      case 'hand_over':
        return [report.state];
    }
  });
}
