/** Opens the server's store: database, lock, newest schema. */
import { type Clock } from '@cardwright/runtime';
import { migrate } from './migration.ts';
import { openSqliteDatabase } from './sqlite-connection.ts';
import { createStore, type Store } from './store.ts';

/** @throws StoreError STORE_IN_USE, STORE_MIGRATION_CHANGED, STORE_TOO_NEW */
export function openStore(dataFolder: string, clock: Clock): Store {
  const connection = openSqliteDatabase(dataFolder);
  migrate(connection.raw, clock.now());
  return createStore(connection);
}
