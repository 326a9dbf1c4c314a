/** `cardwright order show`: what the running system knows of an order, as JSON. */
import { startFolder } from '../sandbox/data-folder.ts';
import { sandboxLayout, startPorts } from '../sandbox/layout.ts';
import { operatorClient, readOrderView } from '../sandbox/sandbox.ts';
import { failWhenNotRunning } from './running-system.ts';

export async function showOrderCommand(operationId: string): Promise<void> {
  const client = operatorClient(sandboxLayout(startFolder(), startPorts));
  try {
    const view = await failWhenNotRunning(readOrderView(client, operationId));
    process.stdout.write(`${JSON.stringify(view, null, 2)}\n`);
  } finally {
    await client.close();
  }
}
