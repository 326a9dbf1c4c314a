import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import {
  canMove,
  d1StatusOf,
  handOverStates,
  handOverTransitions,
  IllegalTransitionError,
  isNotified,
  isTerminal,
  jobStates,
  jobTransitions,
  move,
  notificationStates,
  notificationTransitions,
  orderStates,
  orderTransitions,
  type TransitionTable,
  transitionPairs,
} from '../src/index.ts';

const machines: readonly (readonly [string, readonly string[], TransitionTable<string>, string])[] = [
  ['order', orderStates, orderTransitions, 'requested'],
  ['job', jobStates, jobTransitions, 'queued'],
  ['hand-over', handOverStates, handOverTransitions, 'none'],
  ['notification', notificationStates, notificationTransitions, 'pending'],
];

for (const [name, states, table, first] of machines) {
  test(`the ${name} table is total and names only its own states`, () => {
    assert.deepEqual(Object.keys(table).sort(), [...states].sort());
    for (const [, to] of transitionPairs(table)) assert.ok(states.includes(to));
  });

  test(`every ${name} state can be reached from ${first}, and an end can be reached from every state`, () => {
    const reach = (from: string): Set<string> => {
      const seen = new Set([from]);
      const open = [from];
      for (let at = open.pop(); at !== undefined; at = open.pop()) {
        for (const next of table[at] ?? []) {
          if (seen.has(next)) continue;
          seen.add(next);
          open.push(next);
        }
      }
      return seen;
    };
    assert.deepEqual([...reach(first)].sort(), [...states].sort());
    for (const state of states) assert.ok([...reach(state)].some((reached) => isTerminal(table, reached)));
  });

  test(`a random walk of the ${name} machine takes legal moves only and refuses every other`, () => {
    const anyState = fc.constantFrom(...states);
    fc.assert(
      fc.property(anyState, anyState, (from, to) => {
        if (canMove(table, from, to)) assert.equal(move(name, table, from, to), to);
        else assert.throws(() => move(name, table, from, to), IllegalTransitionError);
      }),
      { numRuns: 500 },
    );
  });
}

test('an armed job can end in every way but never goes back to a queue', () => {
  for (const state of ['armed', 'feeding', 'chip', 'stripe', 'print', 'verify'] as const) {
    assert.equal(canMove(jobTransitions, state, 'queued'), false);
    assert.equal(canMove(jobTransitions, state, 'leased'), false);
    assert.equal(canMove(jobTransitions, state, 'in_doubt'), true);
  }
});

test('terminal order states read SUCCESSFUL or FAILED on the D1 wire, all others PENDING', () => {
  for (const state of orderStates) {
    assert.equal(d1StatusOf[state].status === 'PENDING', !isTerminal(orderTransitions, state), state);
  }
});

test('the issuer is told when what D1 shows changes, and not when a remake goes back to ready', () => {
  assert.equal(isNotified(undefined, 'requested'), true);
  assert.equal(isNotified('requested', 'ready'), true);
  assert.equal(isNotified('ready', 'in_production'), false);
  assert.equal(isNotified('in_production', 'ready'), false);
  assert.equal(isNotified('in_production', 'in_doubt'), false);
  assert.equal(isNotified('in_doubt', 'done'), true);
});
