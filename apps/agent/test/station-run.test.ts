/** The agent as a process, against a real HTTPS server and the real simulated desk. */
import assert from 'node:assert/strict';
import { readFileSync, writeFileSync } from 'node:fs';
import { after, test } from 'node:test';
import { type ChipReport } from '../src/verification/chip-report.ts';
import { stagesOf, StationFixture } from './station-fixture.ts';
import { makeTestCa } from './test-pki.ts';
import { randomPan, TestVault } from './test-vault.ts';

const vault = await TestVault.open();
after(() => vault.close());

const goodLife = [
  'feed started',
  'feed completed',
  'chip started',
  'chip completed',
  'print started',
  'print completed',
  'verify started',
  'verify completed',
  'produced',
  'presented',
  'taken',
];

for (const secureChannel of ['SCP03', 'SCP02'] as const) {
  test(`a card is made, proven and handed over, and every stage is reported in order (${secureChannel})`, async () => {
    await using station = await StationFixture.start({ vault, secureChannel });
    await station.startAgent();
    const pan = randomPan();
    const job = await station.order(pan, 'HANAKO SUZUKI');
    const outcome = await station.untilFinished(job);
    assert.deepEqual(stagesOf(job), goodLife);
    assert.equal(outcome.outcome, 'produced');
    assert.equal(outcome.blanksPicked, 1);
    assert.equal(outcome.personalizationSent, true);
    const report = outcome.evidence['chipReport'] as ChipReport;
    for (const verdict of Object.values(report.verdicts)) assert.equal(verdict, 'ok');
    assert.deepEqual(
      station.physicalCards().map(({ position }) => position),
      ['taken'],
    );
    assert.equal(JSON.stringify(job.reports).includes(pan), false);
    assert.equal(await station.stopAgent(), 0);
    assert.equal(station.log.includes(pan), false);
    const journal = readFileSync(station.journalFile);
    for (const secret of [pan, 'HANAKO', 'SUZUKI']) {
      assert.equal(journal.includes(secret), false);
      assert.equal(journal.includes(Buffer.from(secret).toString('hex')), false);
    }
    assert.equal(journal.includes(Buffer.from(pan, 'hex')), false);
  });
}

test('jobs are made one after the other, each with its own card', async () => {
  await using station = await StationFixture.start({ vault });
  await station.startAgent();
  const jobs = [await station.order(randomPan()), await station.order(randomPan())];
  for (const job of jobs) {
    assert.equal((await station.untilFinished(job)).outcome, 'produced');
    assert.deepEqual(stagesOf(job), goodLife);
  }
  const cards = station.physicalCards();
  assert.deepEqual(
    cards.map(({ position }) => position),
    ['taken', 'taken'],
  );
  assert.equal(new Set(cards.map(({ serial }) => serial)).size, 2);
});

test('every second answer gets lost and nothing changes: every call is repeated and the card is made once', async () => {
  await using station = await StationFixture.start({ vault });
  station.server.loseAnswers = /arm|chip|reports/;
  await station.startAgent();
  const job = await station.order(randomPan());
  assert.equal((await station.untilFinished(job, 60_000)).outcome, 'produced');
  assert.deepEqual(stagesOf(job), goodLife);
  assert.equal(station.physicalCards().length, 1);
});

interface Refusal {
  readonly title: string;
  readonly payload: Readonly<Record<string, unknown>>;
  readonly fault: string;
}
const refusals: readonly Refusal[] = [
  { title: 'expired', payload: { expiresAt: 1 }, fault: 'PAYLOAD_FAIL' },
  { title: 'for another station', payload: { stationId: 'KIOSK-PS-999' }, fault: 'PAYLOAD_FAIL' },
  { title: 'for another epoch', payload: { epoch: 7 }, fault: 'PAYLOAD_FAIL' },
  { title: 'with an unknown design', payload: { design: 'no-such-design' }, fault: 'ARTWORK_FAIL' },
  {
    title: 'with a character that no font has',
    payload: { print: { name: '\u{10FFFD}', pan: '**** 1234', expiry: '12/30', customLines: [] } },
    fault: 'ARTWORK_FAIL',
  },
];
for (const { title, payload, fault } of refusals) {
  test(`a payload ${title} is withdrawn before arm and costs no blank`, async () => {
    await using station = await StationFixture.start({ vault });
    await station.startAgent();
    const job = station.server.addJob(await vault.plan(randomPan()), payload);
    const outcome = await station.untilFinished(job);
    assert.equal(outcome.outcome, 'withdrawn');
    assert.equal(outcome.fault, fault);
    assert.equal(outcome.blanksPicked, 0);
    assert.deepEqual(stagesOf(job), ['withdrawn']);
    assert.equal(
      station.server.asked.some((path) => path.endsWith('/arm')),
      false,
    );
    assert.deepEqual(station.physicalCards(), []);
  });
}

test('a server that the configured CA did not certify is never spoken to', async () => {
  await using station = await StationFixture.start({ vault });
  const other = await makeTestCa(station.folder, 'other');
  const config = JSON.parse(readFileSync(station.agentConfigFile, 'utf8')) as { server: { caFile: string } };
  writeFileSync(
    station.agentConfigFile,
    JSON.stringify({ ...config, server: { ...config.server, caFile: other.caFile } }),
  );
  await station.startAgent();
  await station.order(randomPan());
  await station.untilLogged('agent.server-unavailable');
  assert.deepEqual(station.server.asked, []);
});

test('a second agent on the same data folder does not start', async () => {
  await using station = await StationFixture.start({ vault });
  await station.startAgent();
  await assert.rejects(station.startAgent(), /JOURNAL_IN_USE|EADDRINUSE|another agent/);
});
