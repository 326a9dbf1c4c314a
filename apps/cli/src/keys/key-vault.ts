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

/** What the offline commands need of the vault's configuration; paths are absolute. */
export interface VaultPlace {
  readonly configFile: string;
  readonly dataFolder: string;
  readonly masterKeyFile: string;
  readonly environment: 'test' | 'production';
  /** Files of the CA keys of payment systems that the vault trusts. */
  readonly schemeCaFiles: readonly string[];
}

/** `configFile`: the vault's; that of the system which `npm start` runs by default. @throws KeyCommandFault */
export function readVaultPlace(configFile: string | undefined): VaultPlace {
  const file = configFile ?? sandboxLayout(startFolder(), startPorts).configFile('vault');
  const config = readJsonOrFault(file);
  const schemeCas = (config as { schemeCas?: unknown } | null)?.schemeCas;
  return {
    configFile: file,
    dataFolder: resolveFrom(file, textMember(config, 'dataFolder')),
    masterKeyFile: resolveFrom(file, textMember(config, 'masterKeyFile')),
    environment: textMember(config, 'environment') === 'production' ? 'production' : 'test',
    schemeCaFiles: (Array.isArray(schemeCas) ? schemeCas : []).map((ca: unknown) =>
      resolveFrom(file, textMember(ca, 'keyFile')),
    ),
  };
}

/** @throws KeyCommandFault naming the file */
export function readJsonOrFault(file: string): unknown {
  const text = readOrFault(file).toString('utf8');
  try {
    return JSON.parse(text) as unknown;
  } catch {
    throw new KeyCommandFault(`${file} is not JSON`);
  }
}

async function openVaultFolder({
  dataFolder,
  masterKeyFile,
  environment,
}: VaultPlace): Promise<SoftwareKeys> {
  const masterKey = readOrFault(masterKeyFile);
  try {
    return await openSoftwareKeys({
      folder: join(dataFolder, 'keys'),
      masterKey,
      environment,
      isExclusive: true,
    });
  } finally {
    masterKey.fill(0);
  }
}

/** Runs a command over the vault's keys; a refusal is told on stderr and ends with exit code 1. */
export async function withVaultKeys(
  configFile: string | undefined,
  work: (keys: SoftwareKeys, place: VaultPlace) => Promise<void>,
): Promise<void> {
  await tellFaults(async () => {
    const place = readVaultPlace(configFile);
    const keys = await openVaultFolder(place);
    try {
      await work(keys, place);
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
