/**
 * Work that is due, as rows: added and completed in the transaction of the state it belongs to, claimed with a
 * lease by whoever is free.
 *
 * Invariant: work may run twice (a lease can outlive its holder's patience, never its row), so each kind of work
 * looks at the state again before it changes anything.
 */
import { sql } from 'kysely';
import { type Transaction } from '../store/store.ts';
import { type WorkKind } from '../store/tables.ts';

export interface DueWork {
  readonly kind: WorkKind;
  readonly subjectId: string;
  /** How often it was tried before, 0 at first. */
  readonly attempts: number;
}

const unleased = { lease_until: null, lease_owner: null } as const;

/** Adds work, or gives existing work a new time. */
export async function scheduleWork(
  tx: Transaction,
  kind: WorkKind,
  subjectId: string,
  dueAtMs: number,
): Promise<void> {
  await tx.db
    .insertInto('due_work')
    .values({ kind, subject_id: subjectId, due_at: dueAtMs, ...unleased, attempts: 0 })
    .onConflict((conflict) =>
      conflict.columns(['kind', 'subject_id']).doUpdateSet({ due_at: dueAtMs, ...unleased }),
    )
    .execute();
}

/** Removes work that is done or no longer wanted. */
export async function completeWork(tx: Transaction, kind: WorkKind, subjectId: string): Promise<void> {
  await tx.db.deleteFrom('due_work').where('kind', '=', kind).where('subject_id', '=', subjectId).execute();
}

/** Gives work back, to be tried again at `dueAtMs`. */
export async function postponeWork(tx: Transaction, work: DueWork, dueAtMs: number): Promise<void> {
  await tx.db
    .updateTable('due_work')
    .set({ due_at: dueAtMs, ...unleased, attempts: work.attempts + 1 })
    .where('kind', '=', work.kind)
    .where('subject_id', '=', work.subjectId)
    .execute();
}

/**
 * Claims at most `limit` pieces of one kind of work until `leaseUntilMs`. Nodes that look at the same time get
 * different pieces and do not wait for each other.
 */
export async function claimWork(
  tx: Transaction,
  kind: WorkKind,
  limit: number,
  nowMs: number,
  leaseUntilMs: number,
): Promise<DueWork[]> {
  const free = await tx
    .lockedOrSkipped(
      tx.db
        .selectFrom('due_work')
        .select('subject_id')
        .where('kind', '=', kind)
        .where('due_at', '<=', nowMs)
        .where((or) => or.or([or('lease_until', 'is', null), or('lease_until', '<=', nowMs)]))
        .orderBy('due_at')
        .limit(limit),
    )
    .execute();
  if (free.length === 0) return [];
  const rows = await tx.db
    .updateTable('due_work')
    .set({ lease_until: leaseUntilMs, lease_owner: tx.nodeId })
    .where('kind', '=', kind)
    .where(
      'subject_id',
      'in',
      free.map((row) => row.subject_id),
    )
    .returning(['kind', 'subject_id', 'attempts'])
    .execute();
  return rows.map((row) => ({ kind: row.kind, subjectId: row.subject_id, attempts: row.attempts }));
}

/** When the next piece of one of `kinds` can be claimed, or undefined when there is none. */
export async function nextDueAtMs(tx: Transaction, kinds: readonly WorkKind[]): Promise<number | undefined> {
  const row = await tx.db
    .selectFrom('due_work')
    .select(
      sql<number | null>`min(case when lease_until is null then due_at else lease_until end)`.as('next'),
    )
    .where('kind', 'in', kinds)
    .executeTakeFirst();
  return row?.next ?? undefined;
}
