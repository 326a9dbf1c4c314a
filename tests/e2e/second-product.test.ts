/** A product of another chip layout, made by the same system from data files alone. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { assertExactlyOneTruth, awaitFinished, startFixture } from './sandbox-fixture.ts';

interface ReportedChip {
  readonly application: string;
  readonly tags: readonly { readonly tag: string; readonly value: string }[];
  readonly verdicts: Readonly<Record<string, string>>;
}

test('an order for DEBIT_VSDC is produced, proven by its own CVN 18 cryptogram, and handed over', async () => {
  await using fixture = await startFixture();
  const { sandbox } = fixture;
  const card = await sandbox.issueCard({ name: 'TARO YAMADA', productId: 'DEBIT_VSDC' });
  const finished = await awaitFinished(sandbox, card);
  assert.equal(finished.issuer.status, 'SUCCESSFUL');
  assert.equal(finished.order.productId, 'DEBIT_VSDC');
  assert.equal(finished.order.handOver, 'taken');
  assertExactlyOneTruth(fixture, finished);

  const report = finished.order.jobs.at(-1)?.outcomeEvidence?.['chipReport'] as ReportedChip;
  assert.equal(report.application, 'F0434152440002');
  for (const verdict of Object.values(report.verdicts)) assert.equal(verdict, 'ok');
  const valueOf = (tag: string): string | undefined => report.tags.find((entry) => entry.tag === tag)?.value;
  assert.match(valueOf('9F10')?.replaceAll(' ', '') ?? '', /^06011203/);
  assert.equal(valueOf('8F'), '02');
});
