/**
 * A transition table: for each state, the states that may follow it.
 *
 * Invariants: a table is total over its states; a state with no followers is terminal. The database holds
 * the same tables (db/migrations) and a test compares them, so neither can drift alone.
 */
export type TransitionTable<S extends string> = Readonly<Record<S, readonly S[]>>;

/** True when `from → to` is a legal move. Staying in a state is not a move. */
export function canMove<S extends string>(table: TransitionTable<S>, from: S, to: S): boolean {
  return table[from].includes(to);
}

/** True when nothing follows `state`. */
export function isTerminal<S extends string>(table: TransitionTable<S>, state: S): boolean {
  return table[state].length === 0;
}

/** Raised when code attempts a move that the table forbids: always a bug, never a user error. */
export class IllegalTransitionError extends Error {
  override readonly name = 'IllegalTransitionError';
  readonly code = 'ILLEGAL_TRANSITION';
  readonly machine: string;
  readonly from: string;
  readonly to: string;

  constructor(machine: string, from: string, to: string) {
    super(`${machine} cannot move from ${from} to ${to}`);
    this.machine = machine;
    this.from = from;
    this.to = to;
  }
}

/** Asserts that `from → to` is legal and returns `to`. @throws IllegalTransitionError */
export function move<S extends string>(machine: string, table: TransitionTable<S>, from: S, to: S): S {
  if (!canMove(table, from, to)) throw new IllegalTransitionError(machine, from, to);
  return to;
}

/** Every legal pair of a table, in table order; used to compare it with the database's copy. */
export function transitionPairs<S extends string>(table: TransitionTable<S>): (readonly [S, S])[] {
  return (Object.keys(table) as S[]).flatMap((from) => table[from].map((to) => [from, to] as const));
}
