/** `node apps/simulator/src/main.ts --config FILE`, or `--list-faults` for the fault deck as JSON. */
import { configFileArgument, readConfig, runProcess } from '@cardwright/runtime';
import { simulatorConfigSchema } from './config.ts';
import { listFaults } from './fault-deck.ts';
import { startSimulator } from './simulator.ts';

if (process.argv.includes('--list-faults')) {
  process.stdout.write(`${JSON.stringify(listFaults(), null, 2)}\n`);
} else {
  await runProcess('simulator', async (lifecycle) => {
    const { logger } = lifecycle;
    const config = readConfig(simulatorConfigSchema, configFileArgument());
    const simulator = await startSimulator(config, {
      onBug: (error) => {
        logger.fault('simulator.bug', error);
      },
    });
    lifecycle.onShutdown('simulator', () => simulator.close());
    logger.event('simulator.ready', {
      evolisHost: config.evolis.host,
      evolisPort: simulator.evolisPort,
      vpcdHost: config.vpcd.host,
      vpcdPort: config.vpcd.port,
      device: simulator.device,
      faults: config.faults.join(',') || null,
    });
  });
}
