/** `cardwright key list | generate | import | export | rotate | retire | destroy`, over the keys of a stopped vault. */
import { readFileSync } from 'node:fs';
import { type KeyBlockRefusal, type KeyInventoryEntry, type KeySpec } from '@cardwright/keys';
import { KeyCommandFault, withVaultKeys } from '../keys/key-vault.ts';

interface VaultOption {
  readonly vault?: string;
}

const dayMs = 86_400_000;
const day = (timeMs: number): string => new Date(timeMs).toISOString().slice(0, 10);

function row(entry: KeyInventoryEntry): string {
  const columns = [
    entry.name.padEnd(24),
    entry.state.padEnd(9),
    entry.usage.padEnd(13),
    entry.algorithm.padEnd(11),
    (entry.checkValue ?? '-').padEnd(21),
    entry.exportability.padEnd(6),
    day(entry.activeUntilMs).padEnd(12),
    day(entry.keepUntilMs).padEnd(12),
    `${entry.origin} (${entry.custodian})`,
  ];
  return `${columns.join(' ')}\n`;
}

const heading =
  'name                     state     usage         algorithm   check value           export active until kept until   origin (custodian)\n';

interface ListOptions extends VaultOption {
  readonly json?: boolean;
  readonly due?: number;
}

export async function listKeysCommand({ vault, json, due }: ListOptions): Promise<void> {
  await withVaultKeys(vault, (keys) => {
    const inventory = due === undefined ? keys.management.inventory() : keys.management.dueKeys(due * dayMs);
    if (due !== undefined && inventory.length > 0) process.exitCode = 1;
    if (json === true) process.stdout.write(`${JSON.stringify(inventory, null, 2)}\n`);
    else process.stdout.write(heading + inventory.map(row).join(''));
    return Promise.resolve();
  });
}

/** Usages whose keys are made here and shared with nobody in clear, with their algorithm. */
const generatedUsages = {
  ISSUER: 'RSA',
  CA: 'RSA',
  'IMK-AC': 'TDES-2KEY',
  'IMK-SMI': 'TDES-2KEY',
  'IMK-SMC': 'TDES-2KEY',
  CVK: 'TDES-2KEY',
  PVK: 'TDES-2KEY',
} as const;
export type GeneratedUsage = keyof typeof generatedUsages;
export const generatedUsageNames = Object.keys(generatedUsages) as GeneratedUsage[];

/** Makes a random key that did not exist. */
export async function generateKeyCommand(
  name: string,
  options: VaultOption & { usage: GeneratedUsage; bits: number; custodian: string },
): Promise<void> {
  await withVaultKeys(options.vault, async ({ management }) => {
    if (management.inventory().some((entry) => entry.name === name)) {
      throw new KeyCommandFault(`key ${name} exists already`);
    }
    const { usage, bits, custodian } = options;
    const algorithm = generatedUsages[usage];
    const size = algorithm === 'RSA' ? { bits, exponent: 3 } : {};
    await management.ensure(name, { algorithm, usage, ...size } as KeySpec, { custodian });
    const entry = management.inventory().find((one) => one.name === name);
    process.stdout.write(`Made ${name}, check value ${entry?.checkValue ?? '-'}\n`);
  });
}

function refuse({ reason, explanation }: KeyBlockRefusal): never {
  throw new KeyCommandFault(`refused (${reason}): ${explanation}`);
}

export async function importKeyCommand(
  file: string,
  options: VaultOption & { name: string; kbpk: string; custodian: string; acceptUnlabelled?: boolean },
): Promise<void> {
  await withVaultKeys(options.vault, async (keys) => {
    const block = readFileSync(file, 'latin1').trim();
    const imported = await keys.management.importKeyBlock(await keys.find(options.kbpk), block, {
      name: options.name,
      custodian: options.custodian,
      isLabelOptional: options.acceptUnlabelled === true,
    });
    if (!imported.ok) refuse(imported);
    const entry = keys.management.inventory().find(({ name }) => name === options.name);
    process.stdout.write(`Imported ${options.name}, check value ${entry?.checkValue ?? '-'}\n`);
  });
}

export async function exportKeyCommand(
  name: string,
  options: VaultOption & { kbpk: string; exportable?: boolean },
): Promise<void> {
  await withVaultKeys(options.vault, async (keys) => {
    const [kbpk, key] = [await keys.find(options.kbpk), await keys.find(name)];
    const made = await keys.management.exportKeyBlock(kbpk, key, options.exportable === true ? 'E' : 'N');
    if (!made.ok) refuse(made);
    process.stdout.write(`${made.block}\n`);
  });
}

export async function rotateKeyCommand(
  family: string,
  { vault, overlapDays }: VaultOption & { overlapDays: number },
): Promise<void> {
  await withVaultKeys(vault, async (keys) => {
    const handle = await keys.management.rotate(family, overlapDays * dayMs);
    process.stdout.write(`Made ${handle.id}; the one before protects for ${overlapDays} more days\n`);
  });
}

export async function retireKeyCommand(name: string, { vault }: VaultOption): Promise<void> {
  await withVaultKeys(vault, async (keys) => {
    await keys.management.retire(name);
    process.stdout.write(`${name} only verifies and decrypts from now on\n`);
  });
}

export async function destroyKeyCommand(
  name: string,
  { vault, by, reason }: VaultOption & { by: readonly string[]; reason: string },
): Promise<void> {
  await withVaultKeys(vault, async (keys) => {
    const [first = '', second = '', ...more] = by;
    if (more.length > 0) throw new KeyCommandFault('--by is given twice');
    const record = await keys.management.destroy(name, [first, second], reason);
    process.stdout.write(`${JSON.stringify(record, null, 2)}\n`);
  });
}
