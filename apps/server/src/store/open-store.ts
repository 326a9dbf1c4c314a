/** Opens the server's store: the configured engine, its lock or its nodes, the newest schema. */
import { type Clock, type Logger } from '@cardwright/runtime';
import { type DatabaseConfig } from '../config.ts';
import { checkDurability } from './durability-check.ts';
import { migrate } from './migration.ts';
import { migratePostgres } from './postgres-migration.ts';
import { joinPostgresNodes } from './postgres-node.ts';
import { createPostgresStore } from './postgres-store.ts';
import { openSqliteDatabase } from './sqlite-connection.ts';
import { createSqliteStore } from './sqlite-store.ts';
import { type Store } from './store.ts';

/** Opens the embedded engine. @throws StoreError STORE_IN_USE, STORE_MIGRATION_CHANGED, STORE_TOO_NEW */
export function openSqliteStore(dataFolder: string, clock: Clock): Store {
  const connection = openSqliteDatabase(dataFolder);
  migrate(connection.raw, clock.now());
  return createSqliteStore(connection);
}

export interface StoreSettings {
  /** Absent: the embedded engine. */
  readonly database?: DatabaseConfig;
  readonly environment: 'sandbox' | 'production';
  /** Where the embedded engine keeps its file. */
  readonly dataFolder: string;
}

/**
 * Opens the configured engine.
 * @throws StoreError STORE_IN_USE, STORE_MIGRATION_CHANGED, STORE_TOO_NEW, STORE_NOT_DURABLE, STORE_UNAVAILABLE
 */
export async function openStore(
  settings: StoreSettings,
  parts: { readonly clock: Clock; readonly logger: Logger },
): Promise<Store> {
  const { database } = settings;
  if (database?.engine !== 'postgresql') return openSqliteStore(settings.dataFolder, parts.clock);
  await checkDurability(database, settings.environment, parts.logger);
  await migratePostgres(database, parts.clock.now());
  return createPostgresStore(database, await joinPostgresNodes(database, parts));
}
