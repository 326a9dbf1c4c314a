/** A stopped vault's folder for the offline key commands, and the commands themselves. */
import { spawnSync } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { type TestContext } from 'node:test';
import { fileURLToPath } from 'node:url';
import { openSoftwareKeys, type SoftwareKeys } from '@cardwright/keys';

export const main = fileURLToPath(new URL('../src/main.ts', import.meta.url));

export interface Vault {
  readonly folder: string;
  readonly config: string;
  readonly open: () => Promise<SoftwareKeys>;
}

export async function makeVault(t: TestContext, more: object = {}): Promise<Vault> {
  const folder = await mkdtemp(join(tmpdir(), 'cardwright-key-commands-'));
  t.after(() => rm(folder, { recursive: true, force: true }));
  const masterKey = randomBytes(32);
  await writeFile(join(folder, 'master.key'), masterKey);
  const config = join(folder, 'config.json');
  const members = { environment: 'sandbox', dataFolder: 'data', masterKeyFile: 'master.key', ...more };
  await writeFile(config, JSON.stringify(members));
  const open = (): Promise<SoftwareKeys> =>
    openSoftwareKeys({
      folder: join(folder, 'data', 'keys'),
      masterKey,
      environment: 'test',
      isExclusive: true,
    });
  return { folder, config, open };
}

interface Answer {
  readonly status: number | null;
  readonly stdout: string;
  readonly stderr: string;
}

export const cardwright = (...args: string[]): Answer => cardwrightFed('', ...args);

/** With `input` on standard input. */
export function cardwrightFed(input: string, ...args: string[]): Answer {
  return spawnSync(process.execPath, [main, 'key', ...args], { encoding: 'utf8', input });
}
