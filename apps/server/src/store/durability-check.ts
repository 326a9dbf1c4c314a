/**
 * Whether a PostgreSQL keeps what it acknowledges: asked once, at start.
 *
 * Invariant: in production a database that may forget an acknowledged commit is refused; without a synchronous
 * standby it is refused too, unless the configuration says that the loss of the one server's disk is accepted.
 */
import { type Logger } from '@cardwright/runtime';
import { type PostgresConfig } from '../config.ts';
import { connectClient } from './postgres-connection.ts';
import { storeFaultOf } from './postgres-error.ts';
import { StoreError } from './store-error.ts';

export interface DurabilitySettings {
  readonly fsync: string;
  readonly fullPageWrites: string;
  readonly synchronousCommit: string;
  readonly synchronousStandbyNames: string;
  readonly versionNumber: number;
}

const oldestVersion = 150_000;

/** What is wrong with the settings, in the words of the settings. Pure. */
export function findDurabilityFaults(settings: DurabilitySettings, needsStandby: boolean): string[] {
  const faults: string[] = [];
  if (settings.versionNumber < oldestVersion) faults.push('PostgreSQL 15 or newer is needed');
  if (settings.fsync !== 'on') faults.push('fsync must be on');
  if (settings.fullPageWrites !== 'on') faults.push('full_page_writes must be on');
  if (settings.synchronousStandbyNames === '') {
    if (settings.synchronousCommit === 'off') faults.push('synchronous_commit must not be off');
    if (needsStandby) faults.push('synchronous_standby_names is empty: a synchronous standby is required');
  } else if (!['on', 'remote_apply'].includes(settings.synchronousCommit)) {
    faults.push('synchronous_commit must be on or remote_apply, or the standby is not waited for');
  }
  return faults;
}

async function readSettings(config: PostgresConfig): Promise<DurabilitySettings> {
  const client = await connectClient(config);
  try {
    const { rows } = await client.query<DurabilitySettings>(
      `SELECT current_setting('fsync') AS "fsync", current_setting('full_page_writes') AS "fullPageWrites",
         current_setting('synchronous_commit') AS "synchronousCommit",
         current_setting('synchronous_standby_names') AS "synchronousStandbyNames",
         current_setting('server_version_num')::integer AS "versionNumber"`,
    );
    const [settings] = rows;
    if (settings === undefined) throw new StoreError('STORE_UNAVAILABLE', 'the database has no settings');
    return settings;
  } catch (error) {
    throw storeFaultOf(error);
  } finally {
    await client.end();
  }
}

/** @throws StoreError STORE_NOT_DURABLE in production, STORE_UNAVAILABLE */
export async function checkDurability(
  config: PostgresConfig,
  environment: 'sandbox' | 'production',
  logger: Logger,
): Promise<void> {
  const isProduction = environment === 'production';
  const needsStandby =
    config.synchronousStandby === 'required' || (isProduction && config.synchronousStandby !== 'optional');
  const faults = findDurabilityFaults(await readSettings(config), needsStandby);
  if (faults.length === 0) return;
  if (isProduction || config.synchronousStandby === 'required') {
    throw new StoreError(
      'STORE_NOT_DURABLE',
      `the database may forget what it acknowledged: ${faults.join('; ')}`,
    );
  }
  logger.warn('database.not-durable', { faults: faults.join('; ') });
}
