/** The fault deck, end to end: each fault ends as it should, and the issuer is told the truth. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { listFaults } from '../../apps/cli/src/commands/fault-list.ts';
import { assertExactlyOneTruth, awaitFinished, physicalCards, startFixture } from './sandbox-fixture.ts';

interface Expected {
  readonly fault: string;
  readonly status: 'SUCCESSFUL' | 'FAILED';
  readonly errorCode?: string;
  /** Blanks that left the feeder. */
  readonly picked: number;
}

const expected: readonly Expected[] = [
  // The chip never took data, so the first spoiled card is remade; the second ends the order.
  { fault: 'chip-mute', status: 'FAILED', errorCode: 'CHIP_FAIL', picked: 2 },
  { fault: 'chip-mute-once', status: 'SUCCESSFUL', picked: 2 },
  // Data was sent: no second card.
  { fault: 'chip-yanked', status: 'FAILED', errorCode: 'CHIP_FAIL', picked: 1 },
  { fault: 'chip-wrong-key', status: 'FAILED', errorCode: 'CHIP_REFUSED', picked: 2 },
  { fault: 'chip-corrupt-record', status: 'FAILED', errorCode: 'VERIFY_FAIL', picked: 1 },
  { fault: 'card-jam', status: 'FAILED', errorCode: 'CARD_JAM', picked: 1 },
  { fault: 'feeder-empty-once', status: 'SUCCESSFUL', picked: 1 },
  { fault: 'ribbon-out-once', status: 'SUCCESSFUL', picked: 1 },
];

for (const { fault, status, errorCode, picked } of expected) {
  test(`${fault} ends ${status}${errorCode === undefined ? '' : ` with ${errorCode}`} after ${picked} blank(s)`, async () => {
    await using fixture = await startFixture({ faults: [fault] });
    const finished = await awaitFinished(
      fixture.sandbox,
      await fixture.sandbox.issueCard({ name: 'TARO YAMADA' }),
      90_000,
    );
    assert.equal(finished.issuer.status, status, finished.issuer.errorCode);
    assert.equal(finished.issuer.errorCode, errorCode);
    assert.equal(physicalCards(fixture).length, picked);
    assertExactlyOneTruth(fixture, finished);
  });
}

test('a card that nobody takes is drawn back, and the issuer is still told that it was made', async () => {
  await using fixture = await startFixture({ faults: ['not-taken'] });
  const finished = await awaitFinished(
    fixture.sandbox,
    await fixture.sandbox.issueCard({ name: 'TARO YAMADA' }),
  );
  assert.equal(finished.issuer.status, 'SUCCESSFUL');
  assert.equal(finished.order.handOver, 'retracted');
  assert.deepEqual(
    physicalCards(fixture).map((card) => card.position),
    ['retracted'],
  );
});

test('the simulator lists every fault that is tested here', async () => {
  const names = (await listFaults()).map((fault) => fault.name);
  for (const { fault } of expected) assert.ok(names.includes(fault), fault);
});
