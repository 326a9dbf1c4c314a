/** The desk's fault deck against the agent: each fault ends in the outcome that its facts allow, and no other. */
import assert from 'node:assert/strict';
import { after, test } from 'node:test';
import { type FaultCode, type Outcome } from '@cardwright/domain';
import { stagesOf, StationFixture } from './station-fixture.ts';
import { randomPan, TestVault } from './test-vault.ts';

const vault = await TestVault.open();
after(() => vault.close());

interface FaultCase {
  readonly faults: readonly string[];
  readonly outcome: Outcome;
  readonly fault?: FaultCode;
  readonly personalizationSent?: boolean;
  readonly terminated?: boolean;
  /** Where the blanks end that left the feeder. */
  readonly cards: readonly string[];
  /** A stage report that must have been made. */
  readonly told?: string;
}

const spoiled = { outcome: 'spoiled', cards: ['rejected'] } as const;

const cases: readonly FaultCase[] = [
  { faults: ['chip-mute'], ...spoiled, fault: 'CHIP_FAIL', personalizationSent: false },
  { faults: ['chip-wrong-key'], ...spoiled, fault: 'CHIP_REFUSED', personalizationSent: false },
  { faults: ['chip-yanked'], ...spoiled, fault: 'CHIP_FAIL', personalizationSent: true, terminated: false },
  { faults: ['chip-refuses'], ...spoiled, fault: 'CHIP_FAIL', personalizationSent: true, terminated: true },
  { faults: ['chip-corrupt-record'], ...spoiled, fault: 'VERIFY_FAIL', personalizationSent: true },
  { faults: ['card-jam'], ...spoiled, fault: 'CARD_JAM', told: 'print failed' },
  { faults: ['feeder-empty'], outcome: 'withdrawn', fault: 'STOCK_EMPTY', cards: [], told: 'feed waiting' },
  { faults: ['feeder-empty-once'], outcome: 'produced', cards: ['taken'], told: 'feed waiting' },
  { faults: ['ribbon-out'], ...spoiled, fault: 'RIBBON_OUT', told: 'print waiting' },
  { faults: ['ribbon-out-once'], outcome: 'produced', cards: ['taken'], told: 'print waiting' },
  { faults: ['cover-open'], outcome: 'withdrawn', fault: 'COVER_OPEN', cards: [], told: 'feed waiting' },
  { faults: ['chip-mute', 'reject-full-once'], ...spoiled, fault: 'CHIP_FAIL' },
  // Data is on the chip and nobody empties the reject box: the card cannot be accounted for.
  { faults: ['chip-yanked', 'reject-full'], outcome: 'in_doubt', fault: 'CHIP_FAIL', cards: ['contact'] },
  { faults: ['printer-offline'], outcome: 'in_doubt', fault: 'OFFLINE', cards: ['print'] },
];

for (const { faults, outcome, fault, personalizationSent, terminated, cards, told } of cases) {
  test(`${faults.join(' and ')} ends ${outcome}${fault === undefined ? '' : ` with ${fault}`}`, async () => {
    await using station = await StationFixture.start({ vault, faults, agent: { operatorWaitMs: 1_500 } });
    await station.startAgent();
    const job = await station.order(randomPan());
    const report = await station.untilFinished(job, 60_000);
    const stages = stagesOf(job).join(', ');
    assert.equal(report.outcome, outcome, stages);
    assert.equal(report.fault, fault, stages);
    if (personalizationSent !== undefined) assert.equal(report.personalizationSent, personalizationSent);
    if (terminated !== undefined) assert.equal(report.terminated, terminated);
    if (told !== undefined) assert.ok(stagesOf(job).includes(told), stages);
    assert.deepEqual(
      station.physicalCards().map(({ position }) => position),
      cards,
    );
  });
}

test('a card that nobody takes is drawn back by the bezel and told as retracted', async () => {
  await using station = await StationFixture.start({ vault, takeAfterMs: null });
  await station.startAgent();
  const job = await station.order(randomPan());
  assert.equal((await station.untilFinished(job)).outcome, 'produced');
  assert.equal(job.handOver, 'retracted');
});

test('a card that the bezel leaves standing is drawn back by the agent', async () => {
  await using station = await StationFixture.start({ vault, takeAfterMs: null, agent: { takeWaitMs: 200 } });
  await station.startAgent();
  const job = await station.order(randomPan());
  assert.equal((await station.untilFinished(job)).outcome, 'produced');
  assert.equal(job.handOver, 'retracted');
  assert.equal(
    station.physicalCards().some(({ position }) => position === 'taken'),
    false,
  );
});

test('a card whose outcome the server refuses is not handed out', async () => {
  await using station = await StationFixture.start({ vault });
  let produced = false;
  station.server.refuseWith = (path) => {
    produced ||= path.endsWith('/chip/cryptogram');
    return produced && path.endsWith('/reports') ? 'STALE_EPOCH' : undefined;
  };
  await station.startAgent();
  await station.order(randomPan());
  await station.untilLogged('agent.card-withheld');
  await station.untilLogged('agent.hand-over');
  assert.deepEqual(
    station.physicalCards().map(({ position }) => position),
    ['rejected'],
  );
});
