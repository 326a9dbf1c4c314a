/**
 * The vault's long-lived keys: opened, or made at first start.
 *
 * Invariants: an existing key is never replaced; the only keys that are not random are the sandbox's card keys,
 * which are the published ones that simulated blanks carry and exist in the sandbox environment only; production
 * finds its master keys in the token, or does not start.
 */
import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { readFile } from 'node:fs/promises';
import { pinKeyName, type ProductProfile } from '@cardwright/dataprep';
import {
  type KeyAdapterStatus,
  type KeyOperationName,
  type KeyStore,
  openConfiguredPkcs11Keys,
  openSoftwareKeys,
  type Pkcs11KeyConfig,
} from '@cardwright/keys';
import { ConfigError, type Logger, wipe } from '@cardwright/runtime';
import { type VaultConfig } from './config.ts';
import { issuerCertificateFile } from './issuer-certificate-store.ts';
import { recipientFamily } from './recipient-keys.ts';
import { missingProductKeys, type NamedKey, productKeys } from './product-keys.ts';

/** EX_TEMPFAIL: the supervisor starts the vault again, and requests are repeated. */
export const keyModuleLostExitCode = 75;

/** Keys that nobody else shares: random in every environment. */
const ownKeys: readonly NamedKey[] = [
  ['seal/1', { algorithm: 'AES-256', usage: 'SEAL' }],
  ['token/1', { algorithm: 'HMAC-SHA256', usage: 'TOKEN' }],
];

export interface VaultKeysOptions {
  readonly config: VaultConfig;
  /** Named in errors. */
  readonly configFile: string;
  readonly products: readonly ProductProfile[];
  readonly logger: Logger;
}

/**
 * Opens the keys and makes what is missing. Safe to interrupt at any point.
 * @throws ConfigError when a file cannot be used or production lacks a key; KeyError KEY_STORE when the store cannot
 */
export async function openVaultKeys(options: VaultKeysOptions): Promise<KeyStore> {
  const { config, products } = options;
  const { keys: choice } = config;
  const store =
    choice?.adapter === 'pkcs11' ? await openTokenKeys(options, choice) : await openFolderKeys(options);
  try {
    const isProduction = config.environment === 'production';
    if (isProduction) await requireMasterKeys(store, options);
    const agreed = isProduction ? [] : [...productKeys(products), ...config.issuerIds.map(pinKey)];
    const destroyed = destroyedKeys(store);
    for (const [name, spec] of [...agreed, ...ownKeys, ...config.issuerIds.map(recipientKey)]) {
      if (!destroyed.has(name)) await store.ensure(name, spec);
    }
    return store;
  } catch (error) {
    await store.close();
    throw error;
  }
}

const recipientKey = (issuerId: string): NamedKey => [
  `${recipientFamily(issuerId)}/1`,
  { algorithm: 'EC-P256', usage: 'JWE-RECIPIENT' },
];
const pinKey = (issuerId: string): NamedKey => [
  pinKeyName(issuerId, '1'),
  { algorithm: 'AES-256', usage: 'PIN' },
];

/** A destroyed key stays destroyed: what still names it is refused, the vault starts all the same. */
function destroyedKeys({ management }: KeyStore): ReadonlySet<string> {
  return new Set(management.inventory().flatMap(({ name, state }) => (state === 'destroyed' ? [name] : [])));
}

/** Keys that stand for an agreement with others come from a ceremony or a key block, never from a first start. */
async function requireMasterKeys(
  store: KeyStore,
  { config, configFile, products }: VaultKeysOptions,
): Promise<void> {
  const held = new Set((await store.list()).map(({ handle }) => handle.id));
  const missing = missingProductKeys(products, held, config.testPanPrefixes, (issuerKey, prefix) =>
    existsSync(join(config.dataFolder, 'certificates', issuerCertificateFile(issuerKey, prefix))),
  );
  if (missing.length === 0) return;
  throw new ConfigError(
    configFile,
    missing.map((name) => `keys: production needs key ${name} in the token before the vault starts`),
  );
}

async function readSecretFile(file: string, member: string, configFile: string): Promise<Buffer> {
  return readFile(file).catch((error: unknown) => {
    const code = (error as { code?: string }).code ?? 'unreadable';
    throw new ConfigError(configFile, [`${member}: cannot be read (${code})`]);
  });
}

async function openFolderKeys({ config, configFile }: VaultKeysOptions): Promise<KeyStore> {
  const masterKey = await readSecretFile(config.masterKeyFile ?? '', 'masterKeyFile', configFile);
  if (masterKey.length !== 32) throw new ConfigError(configFile, ['masterKeyFile: holds no 32 bytes']);
  try {
    return await openSoftwareKeys({
      folder: join(config.dataFolder, 'keys'),
      masterKey,
      environment: 'test',
      // The offline key commands and a second vault are kept out while this one runs.
      isExclusive: true,
    });
  } finally {
    wipe(masterKey);
  }
}

async function openTokenKeys(
  { config, configFile, logger }: VaultKeysOptions,
  choice: Pkcs11KeyConfig,
): Promise<KeyStore> {
  const lastWords = {
    level: 50,
    component: 'vault',
    event: 'vault.key-module-hangs',
    function: '{function}',
  };
  return openConfiguredPkcs11Keys(choice, {
    pinFileBytes: await readSecretFile(choice.pinFile, 'keys.pinFile', configFile),
    environment: config.environment === 'production' ? 'production' : 'test',
    registerFile: join(config.dataFolder, 'keys', 'register.sqlite'),
    // The offline key commands and a second vault are kept out while this one runs.
    isExclusive: true,
    exitCode: keyModuleLostExitCode,
    lastWords: JSON.stringify(lastWords),
    onTokenLost: (error) => {
      logger.fault('vault.token-lost', error, { answer: error.message });
      process.exit(keyModuleLostExitCode);
    },
  });
}

/** Operations of the port that these products need; of two secure channels, one is enough. */
export function missingKeyOperations(
  status: KeyAdapterStatus,
  products: readonly ProductProfile[],
): KeyOperationName[] {
  const refused = new Set(
    status.operations.filter(({ result }) => result === 'refused').map(({ operation }) => operation),
  );
  const lacking = (operations: readonly KeyOperationName[]): KeyOperationName[] =>
    operations.filter((operation) => refused.has(operation));
  const channels = products.flatMap(({ secureChannels }) => {
    const lacks = secureChannels.map(({ protocol }) => lacking(channelOperations[protocol]));
    return lacks.some((lack) => lack.length === 0) ? [] : lacks.flat();
  });
  const pins = products.flatMap((product) => lacking(pinOperations(product)));
  return [...new Set([...lacking(preparationOperations), ...pins, ...channels])];
}

const preparationOperations: readonly KeyOperationName[] = [
  'hmac',
  'kcv',
  'cvv',
  'retailMac',
  'deriveTdesEcb',
  'generateRsa/3',
  'rsaPublic',
  'rsaRawSign',
  'wrapRsaForCard',
  'seal',
  'unseal',
  'sealRsa',
  'unsealRsa',
  'openJwe',
  'ecPublicJwk',
];
function pinOperations({ pin, stripe }: ProductProfile): KeyOperationName[] {
  const encodesPvv = [stripe?.track1, stripe?.track2].some((pattern) => pattern?.split('|').includes('pvv'));
  return [
    ...(pin !== undefined || encodesPvv ? (['checkPinBlock'] as const) : []),
    ...(pin !== undefined ? (['wrapPinForCard'] as const) : []),
    ...(encodesPvv ? (['pvv'] as const) : []),
  ];
}

const channelOperations: Readonly<Record<'SCP02' | 'SCP03', readonly KeyOperationName[]>> = {
  SCP02: ['tdesCbcEncrypt', 'desFirstHalfEncrypt', 'deriveTdesCbc', 'wrapForCard/TDES-ECB'],
  SCP03: ['aesCmac', 'aesEcbEncrypt', 'aesCbcEncrypt', 'deriveAesCmac', 'wrapForCard/AES-CBC'],
};
