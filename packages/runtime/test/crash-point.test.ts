import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { existsSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, test } from 'node:test';

const folder = mkdtempSync(join(tmpdir(), 'cardwright-crash-'));
after(() => {
  rmSync(folder, { recursive: true });
});
const script = `
  import { crashPoint } from '@cardwright/runtime';
  for (let pass = 1; pass <= 3; pass++) { process.stdout.write(String(pass)); crashPoint('test.here'); }
  process.stdout.write('end');
`;

function run(environment: Record<string, string>): { signal: NodeJS.Signals | null; stdout: string } {
  const { signal, stdout } = spawnSync(process.execPath, ['--input-type=module-typescript', '-e', script], {
    encoding: 'utf8',
    env: { ...process.env, ...environment },
  });
  return { signal, stdout };
}

test('without the variable a crash point does nothing', () => {
  assert.deepEqual(run({}), { signal: null, stdout: '123end' });
});

test('the named point kills at the asked pass, and other points do not', () => {
  assert.deepEqual(run({ CARDWRIGHT_CRASH_AT: 'test.here' }), { signal: 'SIGKILL', stdout: '1' });
  assert.deepEqual(run({ CARDWRIGHT_CRASH_AT: 'test.here:2' }), { signal: 'SIGKILL', stdout: '12' });
  assert.deepEqual(run({ CARDWRIGHT_CRASH_AT: 'test.there' }), { signal: null, stdout: '123end' });
});

test('with a once file the process dies the first time only', () => {
  const once = join(folder, 'once');
  const environment = { CARDWRIGHT_CRASH_AT: 'test.here', CARDWRIGHT_CRASH_ONCE: once };
  assert.equal(run(environment).signal, 'SIGKILL');
  assert.ok(existsSync(once));
  assert.deepEqual(run(environment), { signal: null, stdout: '123end' });
});
