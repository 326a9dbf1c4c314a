/** Starts the station agent: `node apps/agent/src/main.ts --config FILE`. */
import { configFileArgument, runProcess } from '@cardwright/runtime';
import { agentVersion, startAgent } from './agent.ts';
import { readAgentConfig } from './config.ts';

await runProcess('agent', async (lifecycle) => {
  const config = readAgentConfig(configFileArgument());
  const agent = await startAgent(config, lifecycle.logger);
  lifecycle.onShutdown('agent', () => agent.stop());
  // Not awaited: a failure becomes an unhandled rejection, which ends the process loudly.
  void agent.ended;
  lifecycle.logger.event('agent.ready', { stationId: config.stationId, version: agentVersion });
});
