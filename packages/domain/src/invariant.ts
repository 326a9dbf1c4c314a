/**
 * The numbered invariants of the dispatch protocol. They are asserted in code, in tests and in the simulation
 * by these names; a broken one is a bug and stops the process that saw it.
 */
export const invariants = {
  I1: 'No double production: at most one good card per order',
  I2: 'No silent loss: every accepted order ends, or is visibly in doubt',
  I3: 'Truth: SUCCESSFUL if and only if exactly one good card exists',
  I4: 'Stock conservation: picked = good + spoiled + in doubt',
  I5: 'Fencing: no message is accepted with an old epoch; epochs only grow',
  I6: 'Write-ahead: the journal is durable before matter moves',
  I7: 'Data placement: each data class exists only where its policy allows',
  I8: 'Two persons for the listed actions',
  I9: 'Every state change has exactly one audit record',
  I10: 'Revocation: nothing is accepted from a revoked station',
  I11: 'One set of card data is loaded into at most one chip',
  I12: 'Tokens, codes and approvals are used at most once',
} as const;
export type InvariantId = keyof typeof invariants;

export class InvariantError extends Error {
  override readonly name = 'InvariantError';
  readonly code = 'INVARIANT_BROKEN';
  readonly invariant: InvariantId;

  constructor(invariant: InvariantId, detail: string) {
    super(`${invariant} (${invariants[invariant]}): ${detail}`);
    this.invariant = invariant;
  }
}

/** Asserts an invariant by its number. `detail` must hold no card data. @throws InvariantError */
export function invariant(holds: boolean, id: InvariantId, detail: string): asserts holds {
  if (!holds) throw new InvariantError(id, detail);
}
