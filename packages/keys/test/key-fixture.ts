/** Opens software keys in a folder of their own and removes it when the test ends. */
import { randomBytes } from 'node:crypto';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { type TestContext } from 'node:test';
import { openSoftwareKeys, type SoftwareKeys, type SoftwareKeysOptions } from '../src/index.ts';

export async function temporaryFolder(test: TestContext): Promise<string> {
  const folder = await mkdtemp(join(tmpdir(), 'cardwright-keys-'));
  test.after(() => rm(folder, { recursive: true, force: true }));
  return folder;
}

export interface KeyFixture {
  readonly keys: SoftwareKeys;
  readonly options: SoftwareKeysOptions;
}

export async function openTestKeys(
  test: TestContext,
  overrides: Partial<SoftwareKeysOptions> = {},
): Promise<KeyFixture> {
  const options: SoftwareKeysOptions = {
    folder: await temporaryFolder(test),
    masterKey: randomBytes(32),
    environment: 'test',
    ...overrides,
  };
  const keys = await openSoftwareKeys(options);
  test.after(() => keys.close());
  return { keys, options };
}
