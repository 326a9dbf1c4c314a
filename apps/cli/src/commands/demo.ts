/**
 * `cardwright demo`: the whole flow for one card in a fresh folder, printed as it happens.
 *
 * Everything shown comes from the running system: the operator API's timeline, the issuer's own view, and the
 * simulated desk's ledger. Nothing is assumed.
 */
import { mkdirSync } from 'node:fs';
import { dirname, relative } from 'node:path';
import { type OrderView } from '@cardwright/protocol';
import { demoFolder } from '../sandbox/data-folder.ts';
import { collectDemoFiles, type DemoFiles } from './demo-files.ts';
import { createDescriber } from './demo-timeline.ts';
import { listFaults } from './fault-list.ts';
import { sandboxFacts } from '../sandbox/layout.ts';
import { freePorts } from '../sandbox/free-ports.ts';
import { type IssuerCardView, type Sandbox, startSandbox } from '../sandbox/sandbox.ts';

export interface DemoOptions {
  readonly name: string;
  readonly json?: true;
  readonly fault?: string;
  readonly listFaults?: true;
  readonly secureChannel: 'SCP02' | 'SCP03';
  /** Address of a PostgreSQL. */
  readonly database?: string;
}

const cardLimitMs = 120_000;

export async function demoCommand(options: DemoOptions): Promise<void> {
  const faults = await listFaults();
  if (options.listFaults === true) {
    for (const fault of faults) process.stdout.write(`${fault.name.padEnd(24)} ${fault.description}\n`);
    return;
  }
  if (options.fault !== undefined && !faults.some((fault) => fault.name === options.fault)) {
    process.stderr.write(
      `There is no fault ${options.fault}. Faults: ${faults.map((f) => f.name).join(', ')}\n`,
    );
    process.exitCode = 2;
    return;
  }
  const startedAt = Date.now();
  const say = options.json === true ? () => undefined : speaker(startedAt);
  const folder = demoFolder(new Date());
  mkdirSync(dirname(folder), { recursive: true });
  say('start', 'vault, server, simulated printer and chip, agent, issuer');
  const sandbox = await startSandbox(
    {
      folder,
      ports: await freePorts(),
      secureChannel: options.secureChannel,
      timing: 'fast',
      faults: options.fault === undefined ? [] : [options.fault],
      takeAfterMs: 300,
      // Long enough to see the station wait for an operator, short enough for a demo.
      operatorWaitMs: 8_000,
      ...(options.database === undefined ? {} : { databaseUrl: options.database }),
    },
    {
      onRestart: (name, signal) => {
        say('restart', `${name} stopped (${signal}) and is started again`);
      },
    },
  );
  try {
    await makeOneCard(sandbox, options, say);
  } finally {
    await sandbox.stop();
  }
}

type Say = (step: string, text: string) => void;

function speaker(startedAt: number): Say {
  return (step, text) => {
    const seconds = ((Date.now() - startedAt) / 1000).toFixed(3).padStart(7);
    process.stdout.write(`${seconds} s  ${step.padEnd(10)} ${text}\n`);
  };
}

function isFinished(order: OrderView, issuer: IssuerCardView): boolean {
  // Doubt ends only by inspection; the issuer rightly sees PENDING until then.
  if (order.state === 'in_doubt') return true;
  if (issuer.status !== 'SUCCESSFUL' && issuer.status !== 'FAILED') return false;
  return order.state !== 'done' || order.handOver === 'taken' || order.handOver === 'retracted';
}

async function makeOneCard(sandbox: Sandbox, options: DemoOptions, say: Say): Promise<void> {
  say('1 apply', `the customer asks for a card for ${options.name}`);
  const { cardId, operationId } = await sandbox.issueCard({
    name: options.name,
    persoStation: sandboxFacts.stationId,
  });
  const describe = createDescriber();
  let told = 0;
  const finished = await sandbox.until(
    'the card to be finished',
    async () => {
      const order = await sandbox.orderView(operationId);
      for (const entry of order.timeline.filter((event) => event.sequence > told)) {
        told = entry.sequence;
        const line = describe(entry);
        if (line !== undefined) say(line.step, line.text);
      }
      const issuer = await sandbox.issuerView(cardId);
      return isFinished(order, issuer) ? { order, issuer } : undefined;
    },
    cardLimitMs,
  );
  const files = collectDemoFiles(sandbox.layout, finished.order);
  report(options, { cardId, operationId, ...finished, files });
  process.exitCode = finished.issuer.status === 'SUCCESSFUL' ? 0 : 1;
}

const headlines: Readonly<Partial<Record<OrderView['state'], string>>> = {
  done: 'PRODUCED',
  in_doubt: 'IN DOUBT',
};

interface DemoResult {
  readonly cardId: string;
  readonly operationId: string;
  readonly order: OrderView;
  readonly issuer: IssuerCardView;
  readonly files: DemoFiles;
}

function report(options: DemoOptions, result: DemoResult): void {
  const { cardId, operationId, issuer, order, files } = result;
  if (options.json === true) {
    const { status, detailsStatus, notifications, errorCode } = issuer;
    const answer = { cardId, operationId, status, detailsStatus, errorCode, notifications, files };
    process.stdout.write(`${JSON.stringify(answer)}\n`);
    return;
  }
  const code = issuer.errorCode === undefined ? '' : ` (${issuer.errorCode})`;
  const headline = headlines[order.state] ?? 'NOT PRODUCED';
  process.stdout.write(`\n${headline}  ${issuer.detailsStatus}${code}\n`);
  for (const [name, file] of Object.entries(files) as [string, string | null][]) {
    process.stdout.write(
      `  ${name.padEnd(11)} ${file === null ? '(none)' : relative(process.cwd(), file)}\n`,
    );
  }
}
