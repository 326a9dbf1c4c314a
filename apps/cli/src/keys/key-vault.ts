/**
 * Opens the keys of a stopped vault for the offline key commands: its folder, or its PKCS#11 token.
 *
 * Invariant: the register of keys is held exclusively, so that no vault runs at the same time and none starts
 * meanwhile; master key and PIN are wiped as soon as the keys are open.
 */
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import {
  KeyError,
  type KeyStore,
  openConfiguredPkcs11Keys,
  openSoftwareKeys,
  Pkcs11Error,
  Pkcs11KeyConfig,
} from '@cardwright/keys';
import { check } from '@cardwright/protocol';
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

type KeyPlace =
  | { readonly adapter: 'software'; readonly masterKeyFile: string }
  | { readonly adapter: 'pkcs11'; readonly token: Pkcs11KeyConfig };

function readKeyPlace(file: string, config: unknown): KeyPlace {
  const { keys } = config as { readonly keys?: { readonly adapter?: unknown } };
  if (keys?.adapter !== 'pkcs11') {
    return { adapter: 'software', masterKeyFile: resolveFrom(file, textMember(config, 'masterKeyFile')) };
  }
  const checked = check(Pkcs11KeyConfig, keys);
  if (!checked.ok) throw new KeyCommandFault(`the vault's configuration is wrong at keys.${checked.field}`);
  const { pinFile } = checked.value;
  return { adapter: 'pkcs11', token: { ...checked.value, pinFile: resolveFrom(file, pinFile) } };
}

/** What the offline commands need of the vault's configuration; paths are absolute. */
export interface VaultPlace {
  readonly configFile: string;
  readonly dataFolder: string;
  readonly keys: KeyPlace;
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
    keys: readKeyPlace(file, config),
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

async function openVaultKeys({ dataFolder, keys, environment }: VaultPlace): Promise<KeyStore> {
  const folder = join(dataFolder, 'keys');
  if (keys.adapter === 'pkcs11') {
    return openConfiguredPkcs11Keys(keys.token, {
      pinFileBytes: readOrFault(keys.token.pinFile),
      environment,
      registerFile: join(folder, 'register.sqlite'),
      isExclusive: true,
      exitCode: 75,
      lastWords: 'the PKCS#11 module did not come back from {function}',
    });
  }
  const masterKey = readOrFault(keys.masterKeyFile);
  try {
    return await openSoftwareKeys({ folder, masterKey, environment, isExclusive: true });
  } finally {
    masterKey.fill(0);
  }
}

/** Runs a command over the vault's keys; a refusal is told on stderr and ends with exit code 1. */
export async function withVaultKeys(
  configFile: string | undefined,
  work: (keys: KeyStore, place: VaultPlace) => Promise<void>,
): Promise<void> {
  await tellFaults(async () => {
    const place = readVaultPlace(configFile);
    const keys = await openVaultKeys(place);
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
    const isToBeTold = [KeyCommandFault, KeyError, Pkcs11Error].some((kind) => error instanceof kind);
    if (!isToBeTold || !(error instanceof Error)) throw error;
    process.stderr.write(`${error.message}\n`);
    process.exitCode = 1;
  }
}
