/** Starts the vault: `node apps/vault/src/main.ts --config FILE`. */
import { configFileArgument, runProcess } from '@cardwright/runtime';
import { startVault } from './vault-process.ts';

await runProcess('vault', async (lifecycle) => {
  await startVault(configFileArgument(), lifecycle);
});
