/**
 * Puts the vault together: keys, certificates, pool of ICC keys, listener; and takes it apart in reverse order.
 *
 * Invariant: the listener opens only after every key and certificate proved usable.
 */
import { mkdir } from 'node:fs/promises';
import { join } from 'node:path';
import { productProfiles } from '@cardwright/dataprep';
import { type KeyAdapterStatus, openIccKeyPool } from '@cardwright/keys';
import { type Lifecycle, type Logger, mtlsServerOptions, systemClock } from '@cardwright/runtime';
import { readVaultConfig } from './config.ts';
import { KeyLifeWatch } from './key-life-watch.ts';
import { openKeyFamily } from './key-family.ts';
import { openIssuerCertificates } from './issuer-certificate-store.ts';
import { monthOf, readSchemeCas } from './scheme-trust.ts';
import { missingKeyOperations, openVaultKeys } from './vault-keys.ts';
import { createVaultServer } from './vault-server.ts';
import { VaultService } from './vault-service.ts';

/** Every modulus length that a product's chips have, once. */
function iccKeySizes(targetSize: number): { bits: number; targetSize: number }[] {
  const lengths = new Set(productProfiles.map(({ iccKeyBits }) => iccKeyBits));
  return Array.from(lengths, (bits) => ({ bits, targetSize }));
}

/** Starts everything. Returns the origin that the vault listens on. */
export async function startVault(
  configFile: string,
  { logger, onShutdown }: Pick<Lifecycle, 'logger' | 'onShutdown'>,
): Promise<string> {
  const config = readVaultConfig(configFile);
  await mkdir(config.dataFolder, { recursive: true, mode: 0o700 });
  const keys = await openVaultKeys({ config, configFile, products: productProfiles, logger });
  onShutdown('keys', () => keys.close());
  const keyStatus = await keys.status();
  reportKeys(logger, keyStatus);
  requireOperations(keyStatus);
  const { management } = keys;
  const warningDays = config.keyWarningDays ?? 90;
  const keyLives = new KeyLifeWatch({ management, clock: systemClock, logger, warningDays });
  keyLives.start();
  onShutdown('key-life-watch', () => {
    keyLives.stop();
  });

  const certificateFolder = join(config.dataFolder, 'certificates');
  const certificates = await openIssuerCertificates(
    keys,
    certificateFolder,
    productProfiles,
    config.testPanPrefixes,
    {
      cas: readSchemeCas(config, configFile),
      todayYYMM: monthOf(systemClock.now()),
      onExpired: (issuerKey, issuerNumber) => {
        logger.warn('vault.issuer-certificate-expired', { issuerKey, issuerNumber });
      },
    },
  );
  const iccKeys = openIccKeyPool({
    keys,
    sealKey: (await openKeyFamily(keys, 'seal')).current,
    file: join(config.dataFolder, 'icc-keys.sqlite'),
    sizes: iccKeySizes(config.iccKeyPoolSize),
    exponent: 3,
    onEmpty: (bits) => {
      logger.event('vault.icc-key-pool-empty', { bits });
    },
    onFault: (fault) => {
      logger.fault('vault.icc-key-pool-fault', fault);
    },
  });
  onShutdown('icc-key-pool', () => iccKeys.close());

  const { issuerIds, testPanPrefixes, pinBlockFormats, listener, tls } = config;
  const service = await VaultService.create({
    keys,
    iccKeys,
    keyLives,
    certificates,
    products: productProfiles,
    issuerIds,
    testPanPrefixes,
    emvDataIssuerIds: config.emvDataIssuerIds ?? [],
    pinBlockFormats,
    now: () => systemClock.now(),
  });
  const app = createVaultServer({
    tls: mtlsServerOptions({ ...tls, clientCaFile: listener.clientCaFile }),
    allowedClientThumbprints: config.allowedClientThumbprints,
    service,
    logger,
  });
  onShutdown('listener', () => app.close());
  const origin = await app.listen({ host: listener.host, port: listener.port });
  logger.event('vault.listening', {
    origin,
    environment: config.environment,
    keyAdapter: keys.adapter,
    iccKeysReady: iccKeys.size(),
  });
  return origin;
}

/** What protects the keys, and what does not stay inside it: one line per refused operation. */
function reportKeys(logger: Logger, { adapter, token, operations }: KeyAdapterStatus): void {
  const seen = operations.filter(({ result, keyBytes }) => result === 'passed' && keyBytes === 'host');
  logger.event('vault.keys-opened', {
    adapter,
    tokenModel: token?.model ?? null,
    tokenFirmware: token?.firmwareVersion ?? null,
    tokenLibrary: token?.library ?? null,
    operationsPassed: operations.filter(({ result }) => result === 'passed').length,
    keyBytesInHost:
      seen.length === operations.length ? 'all' : seen.map(({ operation }) => operation).join(' '),
  });
  for (const { operation, result, note } of operations) {
    if (result === 'refused') logger.warn('vault.key-operation-refused', { operation, reason: note ?? null });
  }
}

/** @throws Error naming every operation that the products need and the adapter does not give */
function requireOperations(status: KeyAdapterStatus): void {
  const missing = missingKeyOperations(status, productProfiles);
  if (missing.length === 0) return;
  const reasons = status.operations
    .filter(({ operation }) => missing.includes(operation))
    .map(({ operation, keyBytes, note = 'refused' }) =>
      keyBytes === 'host' ? `${operation}: ${note}; see keys.allowHostKeyBytes` : `${operation}: ${note}`,
    );
  throw new Error(`the key adapter refuses what is needed: ${reasons.join(' | ')}`);
}
