#!/usr/bin/env node
// Cardwright runs its TypeScript sources directly, which needs Node 24. The repository brings one along; this
// entry finds it when the system's own Node is older.
import { spawnSync } from 'node:child_process';
import { existsSync } from 'node:fs';
import { fileURLToPath } from 'node:url';

const main = fileURLToPath(new URL('../src/main.ts', import.meta.url));
if (Number(process.versions.node.split('.')[0]) >= 24) {
  await import(main);
} else {
  const bundled = fileURLToPath(new URL('../../../node_modules/.bin/node', import.meta.url));
  if (!existsSync(bundled)) {
    process.stderr.write(
      `cardwright needs Node 24 or newer; this is ${process.version}. Run npm ci first.\n`,
    );
    process.exit(78);
  }
  const run = spawnSync(bundled, [main, ...process.argv.slice(2)], { stdio: 'inherit' });
  process.exit(run.status ?? 1);
}
