/**
 * Runs the tests with Node's own runner, whose summary is the last thing printed.
 *
 * `npm test` runs everything; `npm test -- packages/emv tests/e2e` only what lies below the given folders. Finding no test
 * file at all is a failure: a run that saw nothing has proven nothing.
 */
import { spawnSync } from 'node:child_process';
import { globSync } from 'node:fs';

const wanted = process.argv.slice(2).map((path) => path.replace(/\/$/, ''));
const everything = globSync([
  'packages/*/test/**/*.test.ts',
  'apps/*/test/**/*.test.ts',
  'tests/**/*.test.ts',
]);
const files = everything
  .filter(
    (file) => wanted.length === 0 || wanted.some((path) => file === path || file.startsWith(`${path}/`)),
  )
  .sort();

if (files.length === 0) {
  process.stderr.write(`no test file below ${wanted.join(', ') || 'the repository'}\n`);
  process.exit(1);
}
const run = spawnSync(
  process.execPath,
  ['--test', '--test-reporter=spec', '--test-concurrency=2', '--test-timeout=600000', ...files],
  { stdio: 'inherit' },
);
process.exit(run.status ?? 1);
