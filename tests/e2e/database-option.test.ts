/** `--database` on the command line: the sandbox on a given PostgreSQL, and no word that shows its password. */
import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { fileURLToPath } from 'node:url';
import { startPostgresCluster } from '@cardwright/testkit';

const main = fileURLToPath(new URL('../../apps/cli/src/main.ts', import.meta.url));

test('a demo makes its card on the given PostgreSQL, in a schema of its own', async () => {
  const folder = mkdtempSync(join(tmpdir(), 'cardwright-database-'));
  const cluster = await startPostgresCluster();
  try {
    const demo = spawnSync(process.execPath, [main, 'demo', '--json', '--database', cluster.url], {
      encoding: 'utf8',
      env: { ...process.env, CARDWRIGHT_DATA: folder },
      timeout: 180_000,
    });
    assert.equal(demo.status, 0, demo.stderr);
    assert.equal((JSON.parse(demo.stdout) as { status: string }).status, 'SUCCESSFUL');
    assert.equal(`${demo.stdout}${demo.stderr}`.includes(cluster.password), false);
    const [schema] = cluster.sql("SELECT nspname FROM pg_namespace WHERE nspname LIKE 'cardwright%'");
    assert.deepEqual(cluster.sql(`SELECT state FROM ${schema ?? ''}.orders`), ['done']);
  } finally {
    await cluster.close();
    rmSync(folder, { recursive: true, force: true });
  }
});

test('an address that is none is refused without being shown', () => {
  const refused = spawnSync(
    process.execPath,
    [main, 'start', '--database', 'mysql://someone:not-to-be-shown@host/name'],
    { encoding: 'utf8' },
  );
  assert.equal(refused.status, 2);
  assert.match(refused.stderr, /--database is an address/);
  assert.equal(refused.stderr.includes('not-to-be-shown'), false);
});
