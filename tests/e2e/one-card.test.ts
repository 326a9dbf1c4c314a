/** The main job, end to end with real processes: one order becomes one card and its notifications. */
import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { assertExactlyOneTruth, awaitFinished, physicalCards, startFixture } from './sandbox-fixture.ts';

interface PrintedChipReport {
  readonly tags: readonly { readonly tag: string; readonly name: string; readonly value: string }[];
  readonly verdicts: Readonly<Record<string, unknown>>;
}

for (const secureChannel of ['SCP03', 'SCP02'] as const) {
  test(`an order is produced, proven, handed over and told to the issuer (${secureChannel})`, async () => {
    await using fixture = await startFixture({ secureChannel });
    const { sandbox } = fixture;
    const card = await sandbox.issueCard({ name: 'TARO YAMADA', secondName: '山田 太郎' });
    const finished = await awaitFinished(sandbox, card);

    assert.equal(finished.issuer.status, 'SUCCESSFUL');
    assert.equal(finished.issuer.detailsStatus, 'CARD_PROD_DONE');
    assert.equal(finished.order.handOver, 'taken');
    const told = finished.issuer.notifications.map((notification) => {
      const { details } = notification as { details: { status: string } };
      return details.status;
    });
    assert.deepEqual(told, ['CARD_PROD_REQUESTED', 'CARD_PROD_READY', 'CARD_PROD_DONE']);
    assertExactlyOneTruth(fixture, finished);

    const report = finished.order.jobs.at(-1)?.outcomeEvidence?.['chipReport'] as PrintedChipReport;
    assert.ok(report.tags.length >= 30, `read back ${report.tags.length} tags`);
    for (const verdict of Object.values(report.verdicts))
      assert.equal(verdict, 'ok', JSON.stringify(report.verdicts));
    const pan = report.tags.find((entry) => entry.tag === '5A');
    assert.match(pan?.value ?? '', /^999900\*{6}\d{4}$/);

    const serial = physicalCards(fixture)[0]?.serial ?? '';
    for (const side of ['front', 'back']) {
      const picture = readFileSync(
        join(sandbox.layout.component('simulator'), 'data', 'cards', serial, `${side}.png`),
      );
      assert.deepEqual([picture.readUInt32BE(16), picture.readUInt32BE(20)], [1016, 648]);
    }
  });
}

test('three orders for one station are made one after the other, each exactly once', async () => {
  await using fixture = await startFixture();
  const { sandbox } = fixture;
  const cards = await Promise.all(
    ['A SAMPLE', 'B SAMPLE', 'C SAMPLE'].map((name) => sandbox.issueCard({ name })),
  );
  const finished = await Promise.all(cards.map((card) => awaitFinished(sandbox, card)));
  assert.deepEqual(
    finished.map(({ issuer }) => issuer.status),
    ['SUCCESSFUL', 'SUCCESSFUL', 'SUCCESSFUL'],
  );
  assert.equal(physicalCards(fixture).filter((card) => card.position === 'taken').length, 3);
});
