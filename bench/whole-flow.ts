/** The whole system with real processes: order to agent, order to done, by the server's own clock. */
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { freePorts } from '../apps/cli/src/sandbox/free-ports.ts';
import { startSandbox } from '../apps/cli/src/sandbox/sandbox.ts';
import { type Measurement, summarize } from './measurement.ts';

export async function benchWholeFlow(count: number): Promise<Measurement[]> {
  const parent = mkdtempSync(join(tmpdir(), 'cardwright-bench-'));
  const sandbox = await startSandbox({
    folder: join(parent, 'data'),
    ports: await freePorts(),
    secureChannel: 'SCP03',
    timing: 'fast',
    faults: [],
    takeAfterMs: 0,
  });
  const samples: Record<'toAgent' | 'toDone' | 'toTold', number[]> = { toAgent: [], toDone: [], toTold: [] };
  try {
    for (let run = 0; run < count; run++) {
      const { operationId } = await sandbox.issueCard({ name: 'BENCH SAMPLE' });
      const order = await sandbox.until('the card to be taken and told', async () => {
        const view = await sandbox.orderView(operationId);
        const told = view.timeline.filter((entry) => entry.event === 'notification.delivered').length;
        return view.handOver === 'taken' && told === 3 ? view : undefined;
      });
      const timeOf = (event: string): number => {
        const at = order.timeline.findLast((entry) => entry.event === event)?.at;
        if (at === undefined) throw new Error(`the timeline has no ${event}`);
        return at;
      };
      samples.toAgent.push(timeOf('job.leased') - timeOf('order.requested'));
      samples.toDone.push(timeOf('order.done') - timeOf('order.requested'));
      samples.toTold.push(timeOf('notification.delivered') - timeOf('order.done'));
    }
  } finally {
    await sandbox.stop();
    rmSync(parent, { recursive: true, force: true });
  }
  return [
    summarize('order accepted → job at the agent', samples.toAgent),
    summarize('order accepted → done (simulated mechanics, fast)', samples.toDone),
    summarize('done → issuer has the notification', samples.toTold),
  ];
}
