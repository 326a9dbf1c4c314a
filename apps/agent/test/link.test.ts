import assert from 'node:assert/strict';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, test, type TestContext } from 'node:test';
import { createLogger, createMtlsClient, newId, systemClock } from '@cardwright/runtime';
import fc from 'fast-check';
import { Journal } from '../src/journal/journal.ts';
import { backOffMs } from '../src/link/back-off.ts';
import { listenToDoorbell } from '../src/link/doorbell.ts';
import { startReportSender } from '../src/link/report-sender.ts';
import { stationFailure, StationRefusal } from '../src/link/station-error.ts';
import { createStationLink, type StationLink } from '../src/link/station-link.ts';
import { StationServer } from './station-server.ts';
import { makePayloadKey, makeTestCa } from './test-pki.ts';
import { randomPan, TestVault } from './test-vault.ts';

const vault = await TestVault.open();
after(() => vault.close());
const logger = createLogger('test', { level: 'silent' });

interface LinkFixture {
  readonly server: StationServer;
  readonly link: StationLink;
  readonly folder: string;
  readonly signal: AbortSignal;
}

async function startLink(context: TestContext): Promise<LinkFixture> {
  const folder = mkdtempSync(join(tmpdir(), 'cardwright-link-'));
  const ca = await makeTestCa(folder);
  const server = new StationServer({
    tls: await ca.issue('server', 'server'),
    clientCaFile: ca.caFile,
    stationId: 'station-1',
    payloadKey: (await makePayloadKey(folder)).jwk,
    vault,
  });
  const origin = `https://127.0.0.1:${await server.listen()}`;
  const client = createMtlsClient({ origin, caFile: ca.caFile, ...(await ca.issue('station', 'client')) });
  const stop = new AbortController();
  context.after(async () => {
    stop.abort();
    await client.close();
    await server.close();
    rmSync(folder, { recursive: true, force: true });
  });
  return { server, link: createStationLink(client), folder, signal: stop.signal };
}

test('reports arrive in order and once each, although every second answer is lost', async (context) => {
  const { server, link, folder, signal } = await startLink(context);
  const job = server.addJob(await vault.plan(randomPan()));
  const claimed = await link.claim({ bootId: 'boot', agentVersion: 'test' });
  assert.equal(claimed?.jobId, job.jobId);
  await link.arm(job.jobId, job.epoch);
  const journal = Journal.open({
    dataFolder: folder,
    bootId: 'boot',
    agentVersion: 'test',
    now: () => Date.now(),
    newId,
  });
  journal.admit({ jobId: job.jobId, epoch: job.epoch, operationId: 'op-1', productId: 'DEBIT_STD' });
  for (let n = 0; n < 6; n++) {
    journal.queueReport(job, { kind: 'stage', stage: 'feed', status: n === 0 ? 'started' : 'waiting' });
  }
  server.loseAnswers = /reports/;
  const sender = startReportSender({ journal, link, clock: systemClock, random: () => 0.01, logger, signal });
  assert.equal(await sender.whenDelivered(30_000), true);
  assert.deepEqual(
    job.reports.map(({ report }) => (report.kind === 'stage' ? report.status : '')),
    ['started', 'waiting', 'waiting', 'waiting', 'waiting', 'waiting'],
  );
  assert.equal(server.asked.filter((path) => path.endsWith('/reports')).length, 12);
  assert.equal(journal.oldestReport(), undefined);
  journal.close();
});

test('a report that the server refuses for good is kept as refused and does not stop those after it', async (context) => {
  const { server, link, folder, signal } = await startLink(context);
  const job = server.addJob(await vault.plan(randomPan()));
  await link.claim({ bootId: 'boot', agentVersion: 'test' });
  await link.arm(job.jobId, job.epoch);
  const journal = Journal.open({
    dataFolder: folder,
    bootId: 'boot',
    agentVersion: 'test',
    now: () => Date.now(),
    newId,
  });
  const stale = { jobId: job.jobId, epoch: job.epoch + 1 };
  for (const reference of [stale, job]) {
    journal.admit({ ...reference, jobId: job.jobId, operationId: 'op-1', productId: 'DEBIT_STD' });
    journal.queueReport(reference, { kind: 'stage', stage: 'feed', status: 'started' });
  }
  const sender = startReportSender({
    journal,
    link,
    clock: systemClock,
    random: Math.random,
    logger,
    signal,
  });
  assert.equal(await sender.whenDelivered(30_000), true);
  assert.equal(journal.refusalOf(stale), 'STALE_EPOCH');
  assert.equal(journal.refusalOf(job), undefined);
  assert.equal(job.reports.length, 1);
  journal.close();
});

test('the doorbell rings, comes back after the server went away, and ends with the agent', async (context) => {
  const { server, link, signal } = await startLink(context);
  const stop = new AbortController();
  let rings = 0;
  const heard = listenToDoorbell({
    link,
    clock: systemClock,
    random: () => 0.01,
    logger,
    signal: AbortSignal.any([signal, stop.signal]),
    onRing: () => {
      rings += 1;
    },
  });
  await server.until('the first stream', () => server.openBells === 1);
  server.hangUp();
  await server.until(
    'the second stream',
    () => server.asked.filter((path) => path.endsWith('/events')).length === 2,
  );
  stop.abort();
  await heard;
  assert.ok(rings >= 1);
});

test('an answer that is not what the protocol says counts as lost, not as a refusal', async (context) => {
  const { server, link } = await startLink(context);
  server.answerWith = '{"job":{"jobId":"job-1"}}';
  await assert.rejects(link.claim({ bootId: 'boot', agentVersion: 'test' }), {
    name: 'LinkFault',
    code: 'UNREADABLE',
  });
});

test('a failure is final only when the protocol or its status says so', () => {
  assert.ok(stationFailure(409, 'STALE_EPOCH') instanceof StationRefusal);
  assert.ok(stationFailure(422, 'CHIP_REFUSED') instanceof StationRefusal);
  assert.ok(stationFailure(418, 'NEVER_HEARD') instanceof StationRefusal);
  for (const [status, code] of [
    [401, 'STATION_UNKNOWN'],
    [503, 'VAULT_UNAVAILABLE'],
    [500, undefined],
    [429, undefined],
    [403, undefined],
  ] as const) {
    assert.equal(stationFailure(status, code).name, 'LinkFault', String(status));
  }
});

test('a pause is never longer than its bound, and the bound doubles up to the cap', () => {
  fc.assert(
    fc.property(
      fc.nat({ max: 10_000 }),
      fc.nat({ max: 60_000 }),
      fc.nat({ max: 2_000 }),
      fc.double({ min: 0, max: 0.999_999, noNaN: true }),
      (baseMs, capMs, attempt, random) => {
        const pause = backOffMs({ baseMs, capMs }, attempt, random);
        assert.ok(pause >= 0 && pause <= Math.min(capMs, baseMs * 2 ** Math.min(attempt, 30)));
      },
    ),
  );
  assert.equal(backOffMs({ baseMs: 100, capMs: 10_000 }, 3, 0.5), 400);
});
