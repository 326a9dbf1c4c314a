/** Forgets used assertions that could no longer pass anyway. */
import { type Clock } from '@cardwright/runtime';
import { scheduleWork } from '../due-work/due-work.ts';
import { type WorkHandler } from '../due-work/work-loop.ts';
import { type Store } from '../store/store.ts';

const purgeEveryMs = 60 * 60 * 1_000;
const subject = 'used_assertions';

/** Makes sure that the purge is among the due work. */
export async function schedulePurge(store: Store, clock: Clock): Promise<void> {
  await store.transaction((tx) => scheduleWork(tx, 'purge', subject, clock.now()));
}

export function createAssertionPurge(store: Store, clock: Clock): WorkHandler {
  return {
    kind: 'purge',
    maxConcurrent: 1,
    leaseMs: 60_000,
    run: async () => {
      const now = clock.now();
      await store.transaction(async (tx) => {
        await tx.db.deleteFrom('used_assertions').where('expires_at', '<', now).execute();
      });
      return { retryAtMs: now + purgeEveryMs };
    },
  };
}
