import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { faultCodes } from '@cardwright/domain';
import { foldHistory, isPersonalizationSent } from '../src/journal/job-history.ts';
import { decideCardFate, decideUnreachable } from '../src/production/card-fate.ts';
import { decideCardPlace } from '../src/production/card-place.ts';
import { decideAfterFault, type FaultedStage } from '../src/production/fault-decision.ts';
import { decideNextStep } from '../src/production/next-step.ts';
import { decideAfterArmQuestion, decideAfterRestart } from '../src/production/restart-decision.ts';
import {
  allHistories,
  allReports,
  countersBefore,
  goodLife,
  historyArbitrary,
  identity,
  positions,
  reportArbitrary,
} from './history-arbitrary.ts';

const after = (rows: number) => foldHistory(identity, goodLife.slice(0, rows));
const counters = (picked: number, ejected: number, rejected: number) => ({
  picked: countersBefore.picked + picked,
  ejected: countersBefore.ejected + ejected,
  rejected: countersBefore.rejected + rejected,
});

test('a good life goes through its steps in order, and a begun step is never begun again', () => {
  const steps = goodLife.map((_, rows) => decideNextStep(after(rows)));
  assert.deepEqual(steps, [
    'arm',
    'recover',
    'feed',
    'recover',
    'chip',
    'recover',
    'recover',
    'recover',
    'print',
    'recover',
    'verify',
    'recover',
    'produce',
    'present',
    'recover',
    'await-taken',
    'close',
  ]);
});

test('no history with a given-up card ever goes on to make or present it', () => {
  const givenUp = allHistories.filter(({ steps }) => steps.reject !== 'none' || steps.terminate !== 'none');
  assert.ok(givenUp.length > 10);
  for (const history of givenUp) {
    assert.ok(['recover', 'close'].includes(decideNextStep(history)), JSON.stringify(history.steps));
  }
});

test('a place is named only by the words that leave no other', () => {
  for (const card of ['transport', 'contact', 'print'] as const) {
    assert.equal(decideCardPlace(countersBefore, { card, counters: undefined, vendor: '' }), 'inside');
  }
  const none = (now: ReturnType<typeof counters> | undefined) =>
    decideCardPlace(countersBefore, { card: 'none', counters: now, vendor: '' });
  assert.equal(none(counters(0, 0, 0)), 'not-picked');
  assert.equal(none(counters(1, 0, 1)), 'rejected');
  assert.equal(none(counters(1, 1, 1)), 'rejected');
  assert.equal(none(counters(1, 1, 0)), 'left');
  assert.equal(none(counters(1, 0, 0)), 'unknown');
  assert.equal(none(counters(2, 1, 1)), 'unknown');
  assert.equal(none(undefined), 'unknown');
  assert.equal(decideCardPlace(countersBefore, 'unreachable'), 'unreachable');
});

test('a device without counters never proves that a card left, was rejected or was not picked', () => {
  for (const card of positions) {
    const place = decideCardPlace(undefined, { card, counters: counters(1, 1, 0), vendor: '' });
    assert.ok(['inside', 'at-exit', 'unknown'].includes(place));
  }
});

test('after a restart every journal and every answer of the device has a decision that keeps the invariants', () => {
  let seen = 0;
  for (const history of allHistories) {
    for (const report of allReports) {
      const place = decideCardPlace(history.countersBefore, report);
      const decision = decideAfterRestart(history, place);
      const context = `${JSON.stringify(history.steps)} ${place} → ${decision.kind}`;
      seen += 1;
      switch (decision.kind) {
        case 'withdraw':
          assert.equal(isPersonalizationSent(history), false, context);
          assert.ok(history.steps.feed === 'none' || place === 'not-picked', context);
          break;
        case 'spoil':
          assert.ok(place === 'rejected' || !isPersonalizationSent(history), context);
          break;
        case 'doubt':
          assert.equal(isPersonalizationSent(history), true, context);
          break;
        case 'reject':
          assert.notEqual(history.steps.feed, 'none', context);
          assert.equal(history.outcome, undefined, context);
          break;
        case 'produce':
          assert.equal(history.steps.verify, 'completed', context);
          assert.equal(place, 'inside', context);
          break;
        case 'present':
        case 'await-taken':
        case 'handed-over':
        case 'draw-back':
        case 'give-up-hand-over':
          assert.equal(history.outcome, 'produced', context);
          break;
        case 'drop':
        case 'ask-server':
          assert.equal(history.steps.feed, 'none', context);
          break;
        case 'ask-again':
          assert.equal(place, 'unreachable', context);
          break;
        case 'close':
          assert.ok(history.outcome !== undefined || history.steps.close !== 'none', context);
      }
    }
  }
  assert.equal(seen, allHistories.length * allReports.length);
});

test('a card that was not verified is never produced after a restart, wherever it is', () => {
  fc.assert(
    fc.property(historyArbitrary, reportArbitrary, (history, report) => {
      fc.pre(history.steps.verify !== 'completed');
      const decision = decideAfterRestart(history, decideCardPlace(history.countersBefore, report));
      return !['produce', 'present', 'await-taken', 'handed-over'].includes(decision.kind);
    }),
    { numRuns: 2_000 },
  );
});

test('an outcome that is on record is never followed by another', () => {
  fc.assert(
    fc.property(historyArbitrary, reportArbitrary, (history, report) => {
      fc.pre(history.outcome !== undefined);
      const decision = decideAfterRestart(history, decideCardPlace(history.countersBefore, report));
      return !['withdraw', 'reject', 'spoil', 'doubt', 'produce', 'drop'].includes(decision.kind);
    }),
    { numRuns: 2_000 },
  );
});

test('the first fault on record stays the reason, whatever went wrong afterwards', () => {
  const jammed = foldHistory(identity, [
    ...goodLife.slice(0, 9),
    { step: 'print', phase: 'failed', fault: 'CARD_JAM' },
    { step: 'reject', phase: 'started', fault: 'CARD_JAM' },
    { step: 'reject', phase: 'failed', fault: 'REJECT_FULL' },
  ]);
  assert.deepEqual(decideCardFate(jammed, 'inside', 'INTERRUPTED'), { kind: 'reject', fault: 'CARD_JAM' });
});

test('a card with data that cannot be found is in doubt; a blank that cannot be found is spoiled', () => {
  const withData = after(7);
  const blank = after(5);
  assert.equal(isPersonalizationSent(withData), true);
  assert.deepEqual(decideCardFate(withData, 'left', 'INTERRUPTED'), { kind: 'doubt', fault: 'CARD_LOST' });
  assert.deepEqual(decideCardFate(blank, 'left', 'INTERRUPTED'), { kind: 'spoil', fault: 'CARD_LOST' });
  assert.deepEqual(decideUnreachable(withData), { kind: 'doubt', fault: 'OFFLINE' });
  assert.deepEqual(decideUnreachable(after(2)), { kind: 'withdraw', fault: 'OFFLINE' });
});

test('after a crash while arming, only a job that the server armed under this epoch is withdrawn', () => {
  const arming = after(1);
  const held = { jobId: identity.jobId, epoch: identity.epoch, armed: true };
  assert.equal(decideAfterRestart(arming, 'unknown').kind, 'ask-server');
  assert.equal(decideAfterArmQuestion(arming, held).kind, 'withdraw');
  assert.equal(decideAfterArmQuestion(arming, { ...held, armed: false }).kind, 'drop');
  assert.equal(decideAfterArmQuestion(arming, { ...held, epoch: 4 }).kind, 'drop');
  assert.equal(decideAfterArmQuestion(arming, { ...held, jobId: 'other' }).kind, 'drop');
  assert.equal(decideAfterArmQuestion(arming, null).kind, 'drop');
});

test('a fault is decided by its class and stage alone', () => {
  const stages: FaultedStage[] = ['feed', 'chip', 'print', 'verify', 'present', 'reject'];
  for (const code of faultCodes) {
    for (const stage of stages) {
      for (const faultClass of ['clean', 'card-inside', 'ambiguous'] as const) {
        const waiting = { code, faultClass, isWaiting: true };
        assert.equal(decideAfterFault(waiting, stage, 1).kind, 'wait');
        assert.equal(decideAfterFault(waiting, stage, 0).kind, 'cancel');
        const { kind } = decideAfterFault({ code, faultClass, isWaiting: false }, stage, 60_000);
        if (faultClass === 'ambiguous') assert.equal(kind, 'ask-device');
        else if (faultClass === 'clean') assert.equal(kind, stage === 'feed' ? 'withdraw' : 'reject');
        else assert.equal(kind, stage === 'reject' ? 'ask-device' : 'reject');
      }
    }
  }
});
