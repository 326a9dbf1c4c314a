/**
 * Runs the sandbox's processes: starts each when the one before is ready, restarts what dies, stops all.
 *
 * Invariants: a process that dies is started again after a growing pause, because durable state makes that
 * safe; a process that dies before it was ever ready is not (its configuration or a port is wrong).
 */
import { type ChildProcess, spawn } from 'node:child_process';
import { createWriteStream, mkdirSync, type WriteStream } from 'node:fs';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { fileURLToPath } from 'node:url';
import { type ComponentName, type SandboxLayout } from './layout.ts';

const readyEvents: Readonly<Record<ComponentName, string>> = {
  vault: 'vault.listening',
  server: 'server.listening',
  simulator: 'simulator.ready',
  agent: 'agent.ready',
  issuer: 'issuer.ready',
};
const startLimitMs = 45_000;
const stopLimitMs = 5_000;
const maxRestartPauseMs = 2_000;

/** Raised when a process cannot be brought up; the message carries what it said last. */
export class ComponentStartError extends Error {
  override readonly name = 'ComponentStartError';
  readonly code = 'COMPONENT_START_FAILED';
}

export interface SupervisorOptions {
  readonly layout: SandboxLayout;
  /** Extra environment per component, for crash points. */
  readonly environment?: Partial<Record<ComponentName, Readonly<Record<string, string>>>>;
  readonly onRestart?: (name: ComponentName, signal: string) => void;
}

interface Component {
  readonly name: ComponentName;
  process: ChildProcess;
  readonly log: WriteStream;
  restarts: number;
  lastLines: string[];
}

export interface Supervisor {
  /** Starts a component and resolves when it says that it is ready. @throws ComponentStartError */
  start(name: ComponentName): Promise<void>;
  /** kill -9; resolves when the process is gone. The supervisor starts it again. */
  kill(name: ComponentName): Promise<void>;
  /** Resolves when the component is ready again after a restart. */
  awaitRestart(name: ComponentName, limitMs?: number): Promise<void>;
  restartsOf(name: ComponentName): number;
  pidOf(name: ComponentName): number | undefined;
  stop(): Promise<void>;
}

/** Makes a supervisor for one sandbox folder. Logs go to `<component>/<component>.log`. */
export function createSupervisor(options: SupervisorOptions): Supervisor {
  const components = new Map<ComponentName, Component>();
  const readyWaiters = new Map<ComponentName, Set<() => void>>();
  const startOrder: ComponentName[] = [];
  let isStopping = false;

  const launch = (name: ComponentName, log: WriteStream, restarts: number): Component => {
    const main = fileURLToPath(new URL(`../../../${name}/src/main.ts`, import.meta.url));
    const child = spawn(process.execPath, [main, '--config', options.layout.configFile(name)], {
      stdio: ['ignore', 'pipe', 'pipe'],
      env: { ...process.env, ...options.environment?.[name] },
    });
    const component: Component = { name, process: child, log, restarts, lastLines: [] };
    for (const stream of [child.stdout, child.stderr]) {
      createInterface({ input: stream }).on('line', (line) => {
        log.write(`${line}\n`);
        component.lastLines = [...component.lastLines.slice(-9), line];
        if (line.includes(`"${readyEvents[name]}"`))
          for (const ready of readyWaiters.get(name) ?? []) ready();
      });
    }
    child.once('exit', (code, signal) => {
      onExit(component, code, signal);
    });
    components.set(name, component);
    return component;
  };

  const wasReady = new Set<ComponentName>();
  const onExit = (component: Component, code: number | null, signal: NodeJS.Signals | null): void => {
    if (isStopping || components.get(component.name) !== component || !wasReady.has(component.name)) return;
    options.onRestart?.(component.name, signal ?? `exit code ${String(code)}`);
    const pauseMs = Math.min(maxRestartPauseMs, 50 * 2 ** component.restarts);
    setTimeout(() => {
      if (!isStopping) launch(component.name, component.log, component.restarts + 1);
    }, pauseMs);
  };

  const awaitReady = (name: ComponentName, limitMs: number): Promise<void> =>
    new Promise((resolve, reject) => {
      const waiters = readyWaiters.get(name) ?? new Set();
      readyWaiters.set(name, waiters);
      const finish = (error?: Error): void => {
        waiters.delete(ready);
        clearTimeout(limit);
        components.get(name)?.process.off('exit', onEarlyExit);
        if (error === undefined) resolve();
        else reject(error);
      };
      const ready = (): void => {
        wasReady.add(name);
        finish();
      };
      const onEarlyExit = (): void => {
        if (wasReady.has(name)) return;
        const said = components.get(name)?.lastLines.join('\n') ?? '';
        finish(new ComponentStartError(`${name} stopped before it was ready:\n${said}`));
      };
      const limit = setTimeout(() => {
        const said = components.get(name)?.lastLines.join('\n') ?? '';
        finish(new ComponentStartError(`${name} was not ready in ${String(limitMs)} ms:\n${said}`));
      }, limitMs);
      waiters.add(ready);
      components.get(name)?.process.once('exit', onEarlyExit);
    });

  const stopOne = (component: Component): Promise<void> =>
    new Promise((resolve) => {
      if (component.process.exitCode !== null || component.process.signalCode !== null) {
        resolve();
        return;
      }
      const limit = setTimeout(() => component.process.kill('SIGKILL'), stopLimitMs);
      component.process.once('exit', () => {
        clearTimeout(limit);
        resolve();
      });
      component.process.kill('SIGTERM');
    });

  return {
    start: async (name) => {
      const folder = options.layout.component(name);
      mkdirSync(folder, { recursive: true });
      const log = createWriteStream(join(folder, `${name}.log`), { flags: 'a' });
      startOrder.push(name);
      launch(name, log, 0);
      await awaitReady(name, startLimitMs);
    },
    kill: (name) =>
      new Promise((resolve) => {
        const component = components.get(name);
        if (component === undefined) {
          resolve();
          return;
        }
        component.process.once('exit', () => {
          resolve();
        });
        component.process.kill('SIGKILL');
      }),
    awaitRestart: (name, limitMs = startLimitMs) => awaitReady(name, limitMs),
    restartsOf: (name) => components.get(name)?.restarts ?? 0,
    pidOf: (name) => components.get(name)?.process.pid,
    stop: async () => {
      isStopping = true;
      for (const name of startOrder.toReversed()) {
        const component = components.get(name);
        if (component === undefined) continue;
        await stopOne(component);
        component.log.end();
      }
    },
  };
}
