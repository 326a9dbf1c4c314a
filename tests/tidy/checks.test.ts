/** The checks that other tools make, as tests: types, lint, format, dead code. */
import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { join } from 'node:path';
import { test } from 'node:test';

function runTool(
  packageName: string,
  bin: string,
  args: readonly string[],
): { status: number | null; output: string } {
  const folder = join('node_modules', packageName);
  const run = spawnSync(process.execPath, [join(folder, bin), ...args], {
    encoding: 'utf8',
    maxBuffer: 64 * 1024 * 1024,
  });
  return { status: run.status, output: `${run.stdout}${run.stderr}`.slice(-6000) };
}

const checks = [
  ['the types fit', 'typescript', 'bin/tsc', ['-p', 'tsconfig.json']],
  ['the linter has nothing to say', 'eslint', 'bin/eslint.js', ['.', '--max-warnings=0']],
  ['everything is formatted', 'prettier', 'bin/prettier.cjs', ['--check', '.', '--log-level', 'warn']],
  ['there is no dead code and no unused dependency', 'knip', 'bin/knip.js', ['--no-progress']],
] as const;

for (const [title, packageName, bin, args] of checks) {
  test(title, () => {
    const { status, output } = runTool(packageName, bin, args);
    assert.equal(status, 0, output);
  });
}
