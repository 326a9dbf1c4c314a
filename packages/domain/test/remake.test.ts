import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { decideAfterOutcome, defaultRemakePolicy, type JobOutcome } from '../src/index.ts';

const spoiled = (facts: { personalizationSent: boolean; terminated: boolean }): JobOutcome => ({
  outcome: 'spoiled',
  fault: 'CHIP_FAIL',
  ...facts,
});

test('a spoiled card whose chip never received personalization data is remade once', () => {
  const job = spoiled({ personalizationSent: false, terminated: false });
  assert.deepEqual(decideAfterOutcome(job, 0, defaultRemakePolicy), { next: 'ready', remake: true });
  assert.deepEqual(decideAfterOutcome(job, 1, defaultRemakePolicy), {
    next: 'production_failed',
    fault: 'CHIP_FAIL',
  });
});

test('a spoiled card that received data is remade only where the product trusts a confirmed termination', () => {
  const policy = { maxRemakes: 1, remakeAfterTerminate: true };
  const terminated = spoiled({ personalizationSent: true, terminated: true });
  const alive = spoiled({ personalizationSent: true, terminated: false });
  assert.equal(decideAfterOutcome(terminated, 0, defaultRemakePolicy).next, 'production_failed');
  assert.equal(decideAfterOutcome(terminated, 0, policy).next, 'ready');
  assert.equal(decideAfterOutcome(alive, 0, policy).next, 'production_failed');
});

test('a job that was interrupted before a blank moved is tried again once, any other withdrawal ends the order', () => {
  const interrupted: JobOutcome = { outcome: 'withdrawn', fault: 'INTERRUPTED' };
  assert.equal(decideAfterOutcome(interrupted, 0, defaultRemakePolicy).next, 'ready');
  assert.equal(decideAfterOutcome(interrupted, 1, defaultRemakePolicy).next, 'production_failed');
  const empty: JobOutcome = { outcome: 'withdrawn', fault: 'STOCK_EMPTY' };
  assert.equal(decideAfterOutcome(empty, 0, defaultRemakePolicy).next, 'production_failed');
});

test('doubt stays doubt, and nothing but a good card makes an order done', () => {
  const outcome = fc.oneof(
    fc.constant<JobOutcome>({ outcome: 'produced' }),
    fc.constant<JobOutcome>({ outcome: 'in_doubt', fault: 'OUTCOME_UNKNOWN' }),
    fc
      .constantFrom('STOCK_EMPTY', 'INTERRUPTED')
      .map((fault): JobOutcome => ({ outcome: 'withdrawn', fault })),
    fc.record({ personalizationSent: fc.boolean(), terminated: fc.boolean() }).map(spoiled),
  );
  const policy = fc.record({ maxRemakes: fc.nat(3), remakeAfterTerminate: fc.boolean() });
  fc.assert(
    fc.property(outcome, fc.nat(5), policy, (job, remakes, rules) => {
      const decision = decideAfterOutcome(job, remakes, rules);
      assert.equal(decision.next === 'done', job.outcome === 'produced');
      assert.equal(decision.next === 'in_doubt', job.outcome === 'in_doubt');
      if (decision.next === 'ready') {
        assert.ok(remakes < rules.maxRemakes);
        if (job.outcome === 'spoiled') {
          assert.ok(!job.personalizationSent || (rules.remakeAfterTerminate && job.terminated));
        } else {
          assert.ok(job.outcome === 'withdrawn' && job.fault === 'INTERRUPTED');
        }
      }
    }),
  );
});
