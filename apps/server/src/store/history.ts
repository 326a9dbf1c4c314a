/**
 * The history of an order: every change of state and every event worth knowing, in one sequence per order.
 *
 * Invariants: a change of state is written in the same transaction as the state itself, once (I9); `data` holds
 * facts and codes, never card data (I7).
 */
import { type Machine } from './tables.ts';
import { type Transaction } from './store.ts';

export type HistoryData = Readonly<Record<string, unknown>>;

export interface EventEntry {
  readonly operationId: string;
  /** epoch milliseconds */
  readonly at: number;
  /** Dotted and constant: `stage.chip.completed`. */
  readonly event: string;
  readonly jobId?: string;
  readonly data?: HistoryData;
}

export interface ChangeEntry extends EventEntry {
  readonly machine: Machine;
  readonly subjectId: string;
  /** The state left and its change number; undefined for the first state of a machine. */
  readonly from: { readonly state: string; readonly number: number } | undefined;
  readonly to: string;
}

async function nextSequence(tx: Transaction, operationId: string): Promise<number> {
  const row = await tx.db
    .selectFrom('history')
    .select((eb) => eb.fn.max('sequence').as('last'))
    .where('operation_id', '=', operationId)
    .executeTakeFirst();
  return (row?.last ?? 0) + 1;
}

/** Writes something that happened and changed no state. */
export async function recordEvent(tx: Transaction, entry: EventEntry): Promise<void> {
  await tx.db
    .insertInto('history')
    .values({
      operation_id: entry.operationId,
      sequence: await nextSequence(tx, entry.operationId),
      at: entry.at,
      event: entry.event,
      job_id: entry.jobId ?? null,
      machine: null,
      subject_id: null,
      change_number: null,
      prior_number: null,
      born_as: null,
      from_state: null,
      to_state: null,
      data: JSON.stringify(entry.data ?? {}),
    })
    .execute();
}

/** Writes a change of state and returns its number, which the row of the subject must then carry. */
export async function recordChange(tx: Transaction, entry: ChangeEntry): Promise<number> {
  const number = (entry.from?.number ?? 0) + 1;
  await tx.db
    .insertInto('history')
    .values({
      operation_id: entry.operationId,
      sequence: await nextSequence(tx, entry.operationId),
      at: entry.at,
      event: entry.event,
      job_id: entry.jobId ?? null,
      machine: entry.machine,
      subject_id: entry.subjectId,
      change_number: number,
      prior_number: entry.from?.number ?? null,
      born_as: entry.from === undefined ? entry.to : null,
      from_state: entry.from?.state ?? null,
      to_state: entry.to,
      data: JSON.stringify(entry.data ?? {}),
    })
    .execute();
  return number;
}
