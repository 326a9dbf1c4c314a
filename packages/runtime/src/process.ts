/**
 * The life of a process: start, one orderly shutdown in reverse order of set-up, and a loud end on a bug.
 *
 * Invariant: an unhandled error ends the process with code 70; nothing goes on in an unknown state. Durable
 * state makes the end harmless.
 */
import { ConfigError } from './config.ts';
import { createLogger, type Logger } from './logger.ts';

export interface Lifecycle {
  readonly logger: Logger;
  /** Registers a step of the shutdown; steps run last first. */
  onShutdown(name: string, action: () => void | Promise<void>): void;
  /** Aborted when the shutdown begins. */
  readonly stopping: AbortSignal;
}

const shutdownLimitMs = 10_000;

/** Runs `start` and keeps the process until SIGINT or SIGTERM. */
export async function runProcess(
  component: string,
  start: (lifecycle: Lifecycle) => Promise<void>,
): Promise<void> {
  const logger = createLogger(component);
  const steps: { name: string; action: () => void | Promise<void> }[] = [];
  const stop = new AbortController();

  const shutDown = async (signal: string): Promise<void> => {
    if (stop.signal.aborted) return;
    logger.event(`${component}.stopping`, { signal });
    stop.abort(new Error('stopping'));
    const limit = setTimeout(() => process.exit(71), shutdownLimitMs);
    for (const step of steps.reverse()) {
      try {
        await step.action();
      } catch (error) {
        logger.fault(`${component}.shutdown-step-failed`, error, { step: step.name });
      }
    }
    clearTimeout(limit);
    process.exit(0);
  };
  for (const signal of ['SIGINT', 'SIGTERM'] as const) {
    process.on(signal, () => void shutDown(signal));
  }
  for (const kind of ['uncaughtException', 'unhandledRejection'] as const) {
    process.on(kind, (error: unknown) => {
      logger.fault(`${component}.bug`, error, { kind });
      process.exit(70);
    });
  }
  try {
    await start({
      logger,
      stopping: stop.signal,
      onShutdown: (name, action) => {
        steps.push({ name, action });
      },
    });
  } catch (error) {
    if (error instanceof ConfigError) {
      process.stderr.write(`${error.message}\n`);
      process.exit(78);
    }
    logger.fault(`${component}.start-failed`, error);
    const message = error instanceof Error ? error.message : String(error);
    process.stderr.write(`${component} cannot start: ${message}\n`);
    process.exit(1);
  }
}
