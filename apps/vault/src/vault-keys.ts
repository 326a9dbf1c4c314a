/**
 * The vault's long-lived keys: opened, or made at first start.
 *
 * Invariants: an existing key is never replaced; the only keys that are not random are the sandbox's card keys,
 * which are the published ones that simulated blanks carry and exist in the sandbox environment only.
 */
import { join } from 'node:path';
import { readFile } from 'node:fs/promises';
import { pinKeyName } from '@cardwright/dataprep';
import { type KeySpec, openSoftwareKeys, type SoftwareKeys } from '@cardwright/keys';
import { ConfigError, wipe } from '@cardwright/runtime';
import { type VaultConfig } from './config.ts';

/** GlobalPlatform's published default card key. */
const publishedCardKey = Uint8Array.from({ length: 16 }, (_, i) => 0x40 + i);

type MasterKeyUsage = 'IMK-AC' | 'IMK-SMI' | 'IMK-SMC' | 'CVK' | 'PVK';
const tdes = (usage: MasterKeyUsage): KeySpec => ({ algorithm: 'TDES-2KEY', usage });

const namedKeys: readonly (readonly [name: string, spec: KeySpec])[] = [
  ['imk-ac/1', tdes('IMK-AC')],
  ['imk-smi/1', tdes('IMK-SMI')],
  ['imk-smc/1', tdes('IMK-SMC')],
  ['cvk/1', tdes('CVK')],
  ['pvk/1', tdes('PVK')],
  ['kmc-scp02/1', { algorithm: 'TDES-2KEY', usage: 'KMC', value: publishedCardKey }],
  ['kmc-scp03/1', { algorithm: 'AES-128', usage: 'KMC', value: publishedCardKey }],
  ['ca/1', { algorithm: 'RSA', usage: 'CA', bits: 1408, exponent: 3 }],
  ['issuer/1', { algorithm: 'RSA', usage: 'ISSUER', bits: 1408, exponent: 3 }],
  // The second sandbox product shares nothing with the first but the blanks' card keys.
  ['imk-ac/2', tdes('IMK-AC')],
  ['imk-smi/2', tdes('IMK-SMI')],
  ['imk-smc/2', tdes('IMK-SMC')],
  ['cvk/2', tdes('CVK')],
  ['pvk/2', tdes('PVK')],
  ['ca/2', { algorithm: 'RSA', usage: 'CA', bits: 1408, exponent: 3 }],
  ['issuer/2', { algorithm: 'RSA', usage: 'ISSUER', bits: 1408, exponent: 3 }],
  ['seal/1', { algorithm: 'AES-256', usage: 'SEAL' }],
  ['token/1', { algorithm: 'HMAC-SHA256', usage: 'TOKEN' }],
];

/** Name of the key that an issuer encrypts to. */
export const recipientKeyName = (issuerId: string): string => `jwe/${issuerId}/1`;

/**
 * Opens the key folder and makes what is missing. Safe to interrupt at any point.
 * @throws ConfigError when the master key file cannot be used; KeyError KEY_STORE when the folder cannot
 */
export async function openVaultKeys(config: VaultConfig, configFile: string): Promise<SoftwareKeys> {
  const masterKey = await readFile(config.masterKeyFile).catch((error: unknown) => {
    const code = (error as { code?: string }).code ?? 'unreadable';
    throw new ConfigError(configFile, [`masterKeyFile: cannot be read (${code})`]);
  });
  if (masterKey.length !== 32) throw new ConfigError(configFile, ['masterKeyFile: holds no 32 bytes']);
  try {
    const keys = await openSoftwareKeys({
      folder: join(config.dataFolder, 'keys'),
      masterKey,
      environment: 'test',
      // The offline key commands and a second vault are kept out while this one runs.
      isExclusive: true,
    });
    // A destroyed key stays destroyed: what still names it is refused, the vault starts all the same.
    const destroyed = new Set(
      keys.inventory().flatMap(({ name, state }) => (state === 'destroyed' ? [name] : [])),
    );
    const ofIssuers = config.issuerIds.flatMap((issuerId) => [
      [recipientKeyName(issuerId), { algorithm: 'EC-P256', usage: 'JWE-RECIPIENT' }] as const,
      [pinKeyName(issuerId, '1'), { algorithm: 'AES-256', usage: 'PIN' }] as const,
    ]);
    for (const [name, spec] of [...namedKeys, ...ofIssuers]) {
      if (!destroyed.has(name)) await keys.ensure(name, spec);
    }
    return keys;
  } finally {
    wipe(masterKey);
  }
}
