/**
 * kill -9 of the agent at every crash point, and a restart: the job ends, once, with what is physically true.
 */
import assert from 'node:assert/strict';
import { after, test } from 'node:test';
import { type Outcome } from '@cardwright/domain';
import { stagesOf, StationFixture } from './station-fixture.ts';
import { randomPan, TestVault } from './test-vault.ts';

const vault = await TestVault.open();
after(() => vault.close());

interface CrashCase {
  readonly point: string;
  readonly outcome: Outcome;
  readonly personalizationSent: boolean;
  /** Where the blanks that left the feeder are afterwards. */
  readonly cards: readonly string[];
}

const spoiledBlank = { outcome: 'spoiled', personalizationSent: false, cards: ['rejected'] } as const;
const spoiledCard = { outcome: 'spoiled', personalizationSent: true, cards: ['rejected'] } as const;
const produced = { outcome: 'produced', personalizationSent: true, cards: ['taken'] } as const;
const withdrawn = { outcome: 'withdrawn', personalizationSent: false, cards: [] } as const;

const cases: readonly CrashCase[] = [
  { point: 'agent.before-arm', ...produced },
  { point: 'agent.after-arm', ...withdrawn },
  { point: 'agent.feed.started', ...withdrawn },
  { point: 'agent.feed.done', ...spoiledBlank },
  { point: 'agent.chip.started', ...spoiledBlank },
  { point: 'agent.chip.mid-script', ...spoiledCard },
  { point: 'agent.chip.done', ...spoiledCard },
  { point: 'agent.print.started', ...spoiledCard },
  { point: 'agent.print.done', ...spoiledCard },
  { point: 'agent.verify.done', ...produced },
  { point: 'agent.outcome.journalled', ...produced },
  { point: 'agent.present.started', ...produced },
];

for (const { point, outcome, personalizationSent, cards } of cases) {
  test(`killed at ${point}, the job ends ${outcome} after the restart`, async () => {
    await using station = await StationFixture.start({ vault });
    await station.startAgent({ CARDWRIGHT_CRASH_AT: point });
    const job = await station.order(randomPan());
    assert.equal(await station.agentExit(), 'SIGKILL');
    await station.startAgent();
    const told = await station.untilFinished(job);
    assert.equal(told.outcome, outcome);
    assert.equal(told.personalizationSent, personalizationSent);
    assert.equal(told.blanksPicked, cards.length);
    if (outcome === 'spoiled') assert.equal(told.fault, 'INTERRUPTED');
    if (outcome === 'produced') assert.ok('chipReport' in told.evidence, 'the proof outlives the crash');
    assert.equal(stagesOf(job).filter((stage) => stage === outcome).length, 1);
    assert.deepEqual(
      station.physicalCards().map(({ position }) => position),
      cards,
    );
    if (outcome === 'produced') return;
    // The station works on: the next order is made by the same agent.
    const next = await station.order(randomPan());
    assert.equal((await station.untilFinished(next)).outcome, 'produced');
  });
}

test('an agent whose journal is lost reports an armed job as in doubt and never makes a second card', async () => {
  await using station = await StationFixture.start({ vault });
  await station.startAgent({ CARDWRIGHT_CRASH_AT: 'agent.feed.done' });
  const job = await station.order(randomPan());
  assert.equal(await station.agentExit(), 'SIGKILL');
  station.loseJournal();
  await station.startAgent();
  const told = await station.untilFinished(job);
  assert.equal(told.outcome, 'in_doubt');
  assert.equal(told.fault, 'OUTCOME_UNKNOWN');
  // A card that no job owns is inside: nothing else is begun until somebody has taken it out.
  const next = await station.order(randomPan());
  await station.untilLogged('agent.device-not-free');
  assert.notEqual(next.state, 'armed');
  assert.deepEqual(
    station.physicalCards().map(({ position }) => position),
    ['contact'],
  );
});

test('reports that were never acknowledged are told after the restart, in order and under the same ids', async () => {
  await using station = await StationFixture.start({ vault });
  const ids: string[] = [];
  station.server.refuseWith = (path) => (path.endsWith('/reports') ? 'VAULT_UNAVAILABLE' : undefined);
  await station.startAgent({ CARDWRIGHT_CRASH_AT: 'agent.present.started' });
  const job = await station.order(randomPan());
  assert.equal(await station.agentExit(), 'SIGKILL');
  assert.equal(job.reports.length, 0);
  station.server.refuseWith = undefined;
  await station.startAgent();
  await station.untilFinished(job);
  for (const { messageId } of job.reports) ids.push(messageId);
  assert.equal(new Set(ids).size, ids.length);
  assert.deepEqual(stagesOf(job).slice(0, 9), [
    'feed started',
    'feed completed',
    'chip started',
    'chip completed',
    'print started',
    'print completed',
    'verify started',
    'verify completed',
    'produced',
  ]);
});
