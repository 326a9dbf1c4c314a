/** `cardwright card issue`: orders a card through the reference issuer of the running system and waits. */
import { setTimeout as pause } from 'node:timers/promises';
import { startPorts } from '../sandbox/layout.ts';
import { askIssuer, issueCardThrough, type IssuerCardView } from '../sandbox/sandbox.ts';
import { failWhenNotRunning } from './running-system.ts';

export interface IssueOptions {
  readonly name: string;
  readonly secondName?: string;
  readonly product?: string;
  readonly station?: string;
  readonly json?: true;
}

const waitLimitMs = 20 * 60_000;

export async function issueCardCommand(options: IssueOptions): Promise<void> {
  const origin = `http://127.0.0.1:${String(startPorts.issuerApp)}`;
  const request = {
    name: options.name,
    ...(options.secondName === undefined ? {} : { secondName: options.secondName }),
    ...(options.product === undefined ? {} : { productId: options.product }),
    ...(options.station === undefined ? {} : { persoStation: options.station }),
  };
  const card = await failWhenNotRunning(issueCardThrough(origin, request));
  if (options.json !== true) process.stdout.write(`ordered ${card.cardId} (operation ${card.operationId})\n`);
  const deadline = Date.now() + waitLimitMs;
  let seen = '';
  for (;;) {
    const view = (await failWhenNotRunning(askIssuer(origin, `/api/cards/${card.cardId}`))) as IssuerCardView;
    if (options.json !== true && view.detailsStatus !== seen) {
      seen = view.detailsStatus;
      process.stdout.write(
        `${view.detailsStatus}${view.errorCode === undefined ? '' : ` ${view.errorCode}`}\n`,
      );
    }
    if (view.status === 'SUCCESSFUL' || view.status === 'FAILED') {
      if (options.json === true) process.stdout.write(`${JSON.stringify(view)}\n`);
      process.exitCode = view.status === 'SUCCESSFUL' ? 0 : 1;
      return;
    }
    if (Date.now() > deadline) {
      process.stderr.write('Still not finished; the order goes on without this command.\n');
      process.exitCode = 1;
      return;
    }
    await pause(200);
  }
}
