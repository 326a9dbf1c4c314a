/** A process that writes into a journal until it is killed; each line on stdout says what was durable before it. */
import { writeSync } from 'node:fs';
import { Journal } from '../src/journal/journal.ts';

const [dataFolder = '', bootId = ''] = process.argv.slice(2);
let id = 0;
const journal = Journal.open({
  dataFolder,
  bootId,
  agentVersion: 'test',
  now: () => Date.now(),
  newId: () => `${bootId}-${(id += 1)}`,
});
writeSync(1, 'open\n');
for (let job = 1; ; job++) {
  const reference = { jobId: `${bootId}-job-${job}`, epoch: 1 };
  journal.admit({ ...reference, operationId: 'op', productId: 'product' });
  journal.write(reference, { step: 'arm', phase: 'completed' });
  journal.write(
    reference,
    { step: 'feed', phase: 'started', counters: { picked: job, ejected: 0, rejected: 0 } },
    [{ kind: 'stage', stage: 'feed', status: 'started' }],
  );
  writeSync(1, `${reference.jobId}\n`);
}
