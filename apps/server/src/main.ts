/** Starts the server: `node apps/server/src/main.ts --config FILE`. */
import { configFileArgument, runProcess, systemClock } from '@cardwright/runtime';
import { createServerApp } from './app.ts';
import { readServerConfig } from './config.ts';

await runProcess('server', async (lifecycle) => {
  const { logger } = lifecycle;
  const config = readServerConfig(configFileArgument());
  const app = await createServerApp(config, { clock: systemClock, logger, random: Math.random });
  lifecycle.onShutdown('server', () => app.stop());
  const { issuer, station, operator } = await app.start();
  logger.event('server.listening', {
    environment: config.environment,
    issuerPort: issuer.port,
    stationPort: station.port,
    operatorPort: operator.port,
  });
});
