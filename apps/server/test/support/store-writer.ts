/** A process that writes to a store without end and prints what was acknowledged, to be killed in the middle. */
import { systemClock } from '@cardwright/runtime';
import { scheduleWork } from '../../src/due-work/due-work.ts';
import { openSqliteStore } from '../../src/store/open-store.ts';
import { type Store } from '../../src/store/store.ts';

function open(folder: string): Store {
  try {
    return openSqliteStore(folder, systemClock);
  } catch (error) {
    process.exit((error as { code?: unknown }).code === 'STORE_IN_USE' ? 3 : 1);
  }
}

const store = open(process.argv[2] ?? '');

async function writeForEver(name: string): Promise<void> {
  for (let at = 0; ; at++) {
    const id = `${name}-${String(at)}`;
    await store.transaction((tx) => scheduleWork(tx, 'notify', id, 0));
    process.stdout.write(`${id}\n`);
  }
}

await Promise.all(['a', 'b', 'c', 'd', 'e', 'f', 'g', 'h'].map(writeForEver));
