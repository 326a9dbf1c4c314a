/** Starts the reference issuer: `node apps/issuer/src/main.ts --config FILE`. */
import { parseArgs } from 'node:util';
import { IssuerConfigError, readIssuerConfig } from './config.ts';
import { createEventLog } from './event-log.ts';
import { startIssuer } from './issuer.ts';

const log = createEventLog();

for (const kind of ['uncaughtException', 'unhandledRejection'] as const) {
  process.on(kind, (error: unknown) => {
    log.fault('issuer.bug', error, { kind });
    // The store is durable; going on in an unknown state is worse than starting again.
    process.exit(70);
  });
}

try {
  const { values } = parseArgs({ options: { config: { type: 'string' } } });
  if (values.config === undefined) throw new IssuerConfigError(['start with --config FILE']);
  const issuer = await startIssuer(readIssuerConfig(values.config), log);
  const stop = (signal: string): void => {
    log.event('issuer.stopping', { signal });
    void issuer.close().then(() => process.exit(0));
  };
  process.once('SIGTERM', stop);
  process.once('SIGINT', stop);
  log.event('issuer.ready', { apiPort: issuer.apiPort, notificationPort: issuer.notificationPort });
} catch (error) {
  if (error instanceof IssuerConfigError) {
    process.stderr.write(`${error.message}\n`);
    process.exit(78);
  }
  log.fault('issuer.start-failed', error);
  process.stderr.write(`issuer cannot start: ${error instanceof Error ? error.message : 'unknown fault'}\n`);
  process.exit(1);
}
