/**
 * `npm run bench`: medians and 95th percentiles with the machine printed. Timed tests prove nothing here; these
 * figures are for comparing within one run. `--json` prints one object.
 */
import { openKeyFixture } from '../packages/dataprep/test/key-fixture.ts';
import { benchKeyAdapters } from './key-adapters.ts';
import { machine, type Measurement } from './measurement.ts';
import { benchPlanPreparation } from './plan-preparation.ts';
import { benchScriptPlayback } from './script-playback.ts';
import { benchWholeFlow } from './whole-flow.ts';

const isJson = process.argv.includes('--json');
const countArgument = process.argv.indexOf('--count');
const count = countArgument === -1 ? 20 : Number(process.argv[countArgument + 1]);
if (!Number.isInteger(count) || count < 1) {
  process.stderr.write('--count takes a whole number from 1\n');
  process.exit(2);
}

const fixture = await openKeyFixture();
const results: Measurement[] = [];
try {
  results.push(...(await benchPlanPreparation(fixture, count)));
  results.push(...(await benchScriptPlayback(fixture, count)));
} finally {
  await fixture.close();
}
results.push(...(await benchWholeFlow(count)));
const rates = await benchKeyAdapters(count);

if (isJson) {
  process.stdout.write(`${JSON.stringify({ machine: machine(), results, rates })}\n`);
} else {
  process.stdout.write(`${machine()}\n\n`);
  for (const { name, count: runs, median, p95 } of results) {
    process.stdout.write(
      `${name.padEnd(52)} median ${median.toFixed(2).padStart(8)} ms   p95 ${p95.toFixed(2).padStart(8)} ms   n=${runs}\n`,
    );
  }
  process.stdout.write('\n');
  for (const { name, count: runs, median, raw, rawMedian, ratio } of rates) {
    process.stdout.write(
      `${name.padEnd(40)} median ${median.toFixed(1).padStart(9)} /s   ${raw.padEnd(11)} ${rawMedian.toFixed(1).padStart(9)} /s   ratio ${ratio.toFixed(2)}   n=${runs}\n`,
    );
  }
}
