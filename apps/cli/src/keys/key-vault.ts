/**
 * Opens the keys of a stopped vault for the offline key commands.
 *
 * Invariant: the folder is held exclusively, so that no vault runs at the same time and none starts meanwhile; the
 * master key is wiped as soon as the keys are open.
 */
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { KeyError, openSoftwareKeys, type SoftwareKeys } from '@cardwright/keys';
import { resolveFrom } from '@cardwright/runtime';
import { startFolder } from '../sandbox/data-folder.ts';
import { sandboxLayout, startPorts } from '../sandbox/layout.ts';

/** A command that cannot go on: the text says why, without a secret. */
export class KeyCommandFault extends Error {
  override readonly name = 'KeyCommandFault';
}

function textMember(config: unknown, name: string): string {
  const value = (config as Readonly<Record<string, unknown>> | null)?.[name];
  if (typeof value !== 'string') throw new KeyCommandFault(`the vault's configuration lacks ${name}`);
  return value;
}

function readOrFault(file: string): Buffer {
  try {
    return readFileSync(file);
  } catch (error) {
    throw new KeyCommandFault(
      `${file} cannot be read (${(error as { code?: string }).code ?? 'unreadable'})`,
    );
  }
}

/** `configFile`: the vault's; that of the system which `npm start` runs by default. */
async function openVaultFolder(configFile: string | undefined): Promise<SoftwareKeys> {
  const file = configFile ?? sandboxLayout(startFolder(), startPorts).configFile('vault');
  const text = readOrFault(file).toString('utf8');
  let config: unknown;
  try {
    config = JSON.parse(text);
  } catch {
    throw new KeyCommandFault(`${file} is not JSON`);
  }
  const masterKey = readOrFault(resolveFrom(file, textMember(config, 'masterKeyFile')));
  try {
    return await openSoftwareKeys({
      folder: join(resolveFrom(file, textMember(config, 'dataFolder')), 'keys'),
      masterKey,
      environment: textMember(config, 'environment') === 'production' ? 'production' : 'test',
      isExclusive: true,
    });
  } finally {
    masterKey.fill(0);
  }
}

/** Runs a command over the vault's keys; a refusal is told on stderr and ends with exit code 1. */
export async function withVaultKeys(
  configFile: string | undefined,
  work: (keys: SoftwareKeys) => Promise<void>,
): Promise<void> {
  await tellFaults(async () => {
    const keys = await openVaultFolder(configFile);
    try {
      await work(keys);
    } finally {
      await keys.close();
    }
  });
}

/** Tells what a person can do something about in one line; everything else stays an error. */
export async function tellFaults(work: () => Promise<void> | void): Promise<void> {
  try {
    await work();
  } catch (error) {
    if (!(error instanceof KeyCommandFault) && !(error instanceof KeyError)) throw error;
    process.stderr.write(`${error.message}\n`);
    process.exitCode = 1;
  }
}
