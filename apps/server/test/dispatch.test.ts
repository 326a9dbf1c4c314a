import assert from 'node:assert/strict';
import { randomUUID } from 'node:crypto';
import { after, afterEach, before, beforeEach, describe, it } from 'node:test';
import { luhnCheckDigit } from '@cardwright/domain';
import { stationPaths } from '@cardwright/protocol';
import { type ClientAnswer } from '@cardwright/runtime';
import {
  createWorld,
  makeCard,
  encryptCard,
  makePan,
  foreignStationId,
  statusPath,
  type World,
} from './support/server-fixture.ts';
import { eventually } from './support/eventually.ts';
import {
  assertStationError,
  type ClaimedJob,
  jsonOf,
  produced,
  proofOf,
  spoiled,
  startThread,
  type Thread,
} from './support/thread.ts';
import { createVirtualClock, type VirtualClock } from './support/virtual-clock.ts';

type Body = Record<string, unknown>;

const times = { leaseMs: 60_000, payloadLifeMs: 300_000 };
const withdrawn: Body = {
  ...produced,
  outcome: 'withdrawn',
  fault: 'FEED_FAIL',
  personalizationSent: false,
  blanksPicked: 0,
};
const inDoubt: Body = { ...produced, outcome: 'in_doubt', fault: 'OUTCOME_UNKNOWN' };

describe('dispatch', () => {
  let world: World;
  let clock: VirtualClock;
  let thread: Thread;
  before(async () => {
    world = await createWorld({ waitLimitMs: 600_000 });
  });
  beforeEach(async () => {
    clock = createVirtualClock(Date.now());
    thread = await startThread(world, { clock, times });
  });
  afterEach(async () => {
    world.vault.isUp = true;
    world.vault.scriptRefusal = undefined;
    world.vault.cryptogramRefusal = undefined;
    world.vault.refusal = undefined;
    // The next test finds an empty queue.
    await thread.drain();
    await thread.stop();
  });
  after(async () => {
    await world.close();
  });
  const ready = async (changes: Body = {}): Promise<string> => {
    const { operationId } = await thread.order(changes);
    await thread.untilState(operationId, 'ready');
    return operationId;
  };
  const armed = async (...stages: string[]): Promise<ClaimedJob> => {
    await ready();
    const job = await thread.claimJob();
    assert.equal((await thread.arm(job)).status, 200);
    await thread.stages(job, ...stages);
    return job;
  };
  const script = (
    job: ClaimedJob,
    cplc: string | null,
    keyData = '00112233445566778899',
  ): Promise<ClientAnswer> =>
    thread.post(thread.station, stationPaths.chipScript(job.jobId), {
      epoch: job.epoch,
      ticket: 'a-ticket',
      chip: { atr: '3B00', cplc },
      initializeUpdateResponse: `${keyData}AABB`,
    });

  describe('claim', () => {
    it('gives nothing when the queue is empty and the oldest job otherwise', async () => {
      assert.equal(await thread.claim(), null);
      const first = await ready();
      clock.advance(5);
      await ready();
      assert.equal((await thread.claimJob()).operationId, first);
    });

    it('gives the same job, epoch and a longer lease when the station asks again', async () => {
      await ready();
      const first = await thread.claimJob();
      clock.advance(50_000);
      const second = await thread.claimJob();
      assert.deepEqual([second.jobId, second.epoch], [first.jobId, first.epoch]);
      assert.equal(second.leaseExpiresAt, first.leaseExpiresAt + 50_000);
      clock.advance(30_000);
      assert.equal((await thread.arm(second)).status, 200);
    });

    it("never shows another station's job", async () => {
      await ready();
      assert.equal(await thread.claim(thread.secondStation), null);
      const job = await thread.claimJob();
      assertStationError(await thread.arm(job, thread.secondStation), 'UNKNOWN_JOB', 404);
    });

    it('holds a second order back until the station is done with the first', async () => {
      const job = await armed('feed');
      const second = await ready();
      assert.equal((await thread.claimJob()).jobId, job.jobId);
      await thread.prove(job);
      await thread.stages(job, 'chip', 'print', 'verify');
      await thread.report(job, produced);
      assert.equal((await thread.claimJob()).operationId, second);
    });

    it('shows an armed job again without a payload', async () => {
      const job = await armed();
      const again = await thread.claimJob();
      assert.deepEqual(
        [again.jobId, again.epoch, again.armed, again.payload],
        [job.jobId, job.epoch, true, undefined],
      );
    });

    it('keeps the lease when the vault is away, for the next claim', async () => {
      await ready();
      world.vault.isUp = false;
      const answer = await thread.post(thread.station, stationPaths.claim, {
        bootId: 'b',
        agentVersion: '1',
      });
      assertStationError(answer, 'VAULT_UNAVAILABLE', 503);
      world.vault.isUp = true;
      assert.equal((await thread.claimJob()).epoch, 1);
    });
  });

  describe('a vault that refuses for good', () => {
    const planInvalid = { status: 400, code: 'PLAN_INVALID' } as const;

    it('ends the order whose plan it cannot open, and the queue goes on', async () => {
      const operationId = await ready();
      world.vault.refusal = planInvalid;
      assert.equal(await thread.claim(), null);
      const view = await thread.view(operationId);
      assert.deepEqual(
        [view.state, view.errorCode, view.jobs.map((job) => job.state)],
        ['production_failed', 'PAYLOAD_FAIL', ['withdrawn']],
      );
      world.vault.refusal = undefined;
      const next = await ready();
      assert.equal((await thread.claimJob()).operationId, next);
    });

    it("leaves the order alone when the refusal is about the station's key", async () => {
      const operationId = await ready();
      world.vault.refusal = { status: 400, code: 'STATION_KEY_INVALID' };
      const claim = { bootId: 'b', agentVersion: '1' };
      assertStationError(await thread.post(thread.station, stationPaths.claim, claim), 'VAULT_REFUSED', 422);
      world.vault.refusal = undefined;
      assert.equal((await thread.claimJob()).operationId, operationId);
    });

    it('is final for the station at the chip; what only keeps it from answering is not', async () => {
      const job = await armed('feed', 'chip');
      const [[scriptPath, scriptBody], [cryptogramPath, evidence]] = proofOf(job.jobId);
      const { epoch } = job;
      const calls: [string, Body][] = [
        [stationPaths.chipBegin(job.jobId), { epoch }],
        [scriptPath, { epoch, ...scriptBody }],
      ];
      const assertAll = async (
        code: 'VAULT_REFUSED' | 'VAULT_UNAVAILABLE',
        status: number,
      ): Promise<void> => {
        for (const [path, body] of calls) {
          assertStationError(await thread.post(thread.station, path, body), code, status);
        }
      };
      world.vault.refusal = planInvalid;
      await assertAll('VAULT_REFUSED', 422);
      for (const status of [401, 403, 404, 429, 500, 503] as const) {
        world.vault.refusal = { status, code: 'PLAN_INVALID' };
        await assertAll('VAULT_UNAVAILABLE', 503);
      }
      world.vault.refusal = undefined;
      await thread.prove(job);
      calls.splice(0, 2, [cryptogramPath, { epoch, ...evidence }]);
      world.vault.refusal = planInvalid;
      await assertAll('VAULT_REFUSED', 422);
    });
  });

  describe('a lease', () => {
    it('that ends before arm puts the job back, and the next lease has a higher epoch', async () => {
      const operationId = await ready();
      const first = await thread.claimJob();
      clock.advance(times.leaseMs + 1);
      await eventually(
        'the job is queued again',
        async () => (await thread.view(operationId)).jobs[0]?.state === 'queued',
      );
      const second = await thread.claimJob();
      assert.deepEqual([second.jobId, second.epoch], [first.jobId, first.epoch + 1]);
      assertStationError(await thread.arm(first), 'STALE_EPOCH', 409);
      assert.equal((await thread.arm(second)).status, 200);
    });

    it('that has ended does not arm, whether or not it was swept', async () => {
      await ready();
      const job = await thread.claimJob();
      clock.advance(times.leaseMs);
      assertStationError(await thread.arm(job), 'NOT_LEASED', 409);
    });

    it('never ends an armed job', async () => {
      const job = await armed('feed');
      clock.advance(times.leaseMs * 100);
      const view = await thread.view(job.operationId);
      assert.deepEqual([view.state, view.jobs[0]?.state], ['in_production', 'feeding']);
      assert.equal((await thread.claimJob()).epoch, job.epoch);
    });
  });

  describe('the waiting limit', () => {
    it('fails an order that no station took, with STATION_TIMEOUT', async () => {
      const { operationId, cardId } = await thread.order();
      await thread.untilState(operationId, 'ready');
      clock.advance(600_001);
      const view = await thread.untilState(operationId, 'production_failed');
      assert.deepEqual([view.errorCode, view.jobs[0]?.state], ['STATION_TIMEOUT', 'withdrawn']);
      assert.equal(await thread.claim(), null);
      assert.ok(cardId);
    });

    it('takes a leased job away too, and its arm is refused', async () => {
      const operationId = await ready();
      clock.advance(590_000);
      const job = await thread.claimJob();
      clock.advance(10_001);
      await thread.untilState(operationId, 'production_failed');
      assertStationError(await thread.arm(job), 'ORDER_ENDED', 409);
    });

    it('never ends an order once it was armed, not even while it waits for its remake', async () => {
      const job = await armed('feed');
      await thread.report(job, spoiled());
      clock.advance(3_600_000);
      const view = await thread.view(job.operationId);
      assert.deepEqual([view.state, view.jobs.map((one) => one.state)], ['ready', ['spoiled', 'queued']]);
    });
  });

  describe('arm', () => {
    it('may be asked again by the same station and epoch', async () => {
      const job = await armed();
      assert.equal((await thread.arm(job)).status, 200);
      const view = await thread.view(job.operationId);
      assert.equal(view.timeline.filter((entry) => entry.event === 'job.armed').length, 1);
    });

    it('is refused for a job that is not leased, another epoch and an unknown job', async () => {
      await ready();
      const job = await thread.claimJob();
      assertStationError(await thread.arm({ ...job, epoch: job.epoch + 1 }), 'STALE_EPOCH', 409);
      assertStationError(await thread.arm({ ...job, jobId: randomUUID() }), 'UNKNOWN_JOB', 404);
      for (const bad of [{}, { epoch: 0 }, { epoch: '1' }, { epoch: 1, extra: 1 }, []]) {
        const answer = await thread.post(thread.station, stationPaths.arm(job.jobId), bad);
        assertStationError(answer, 'BAD_MESSAGE', 400);
      }
    });

    it('wins or loses against the waiting limit, never both', async () => {
      await ready();
      clock.advance(599_000);
      const job = await thread.claimJob();
      clock.advance(1_001);
      const answer = await thread.arm(job);
      const view = await eventually('a decision', async () => {
        const now = await thread.view(job.operationId);
        return now.state === 'ready' ? undefined : now;
      });
      assert.equal(
        view.state === 'in_production',
        answer.status === 200,
        `${view.state} ${String(answer.status)}`,
      );
    });
  });

  describe('the chip', () => {
    it('gets nothing before arm or with another epoch', async () => {
      await ready();
      const job = await thread.claimJob();
      const begin = (epoch: number) =>
        thread.post(thread.station, stationPaths.chipBegin(job.jobId), { epoch });
      assertStationError(await begin(job.epoch), 'NOT_LEASED', 409);
      assertStationError(await script(job, 'AA'), 'NOT_LEASED', 409);
      await thread.arm(job);
      assertStationError(await begin(job.epoch + 1), 'STALE_EPOCH', 409);
      assert.equal((await begin(job.epoch)).status, 200);
    });

    it('may ask again for its script, and no other chip gets it (I11)', async () => {
      const job = await armed('feed', 'chip');
      assert.equal((await script(job, 'AAAA')).status, 200);
      assert.equal((await script(job, 'AAAA')).status, 200);
      assertStationError(await script(job, 'BBBB'), 'SCRIPT_ALREADY_RELEASED', 409);
      assertStationError(await script(job, null), 'SCRIPT_ALREADY_RELEASED', 409);
    });

    it('without production data is known by its key diversification data', async () => {
      const job = await armed('feed', 'chip');
      assert.equal((await script(job, null, '00000000000000000001')).status, 200);
      assertStationError(await script(job, null, '00000000000000000002'), 'SCRIPT_ALREADY_RELEASED', 409);
      assert.equal((await script(job, null, '00000000000000000001')).status, 200);
    });

    it('is on record before the script leaves, also when many ask at once', async () => {
      const job = await armed('feed', 'chip');
      const answers = await Promise.all(Array.from({ length: 8 }, (_, at) => script(job, `0${String(at)}`)));
      assert.equal(answers.filter((answer) => answer.status === 200).length, 1);
      for (const answer of answers.filter((one) => one.status !== 200)) {
        assertStationError(answer, 'SCRIPT_ALREADY_RELEASED', 409);
      }
    });

    it('that the vault refuses is not put on record', async () => {
      const job = await armed('feed', 'chip');
      world.vault.scriptRefusal = 'CARD_CRYPTOGRAM_INVALID';
      assertStationError(await script(job, 'AAAA'), 'CHIP_REFUSED', 422);
      world.vault.scriptRefusal = undefined;
      assert.equal((await script(job, 'BBBB')).status, 200);
    });

    it('gets no script after its stage', async () => {
      const job = await armed('feed', 'chip', 'print');
      assertStationError(await script(job, 'AAAA'), 'NOT_LEASED', 409);
    });
  });

  describe('a report', () => {
    it('is taken once by its message id', async () => {
      const job = await armed();
      const messageId = randomUUID();
      const stage = { kind: 'stage', stage: 'feed', status: 'started' };
      assert.deepEqual(jsonOf(await thread.report(job, stage, messageId)), {
        acknowledged: true,
        duplicate: false,
      });
      assert.deepEqual(jsonOf(await thread.report(job, stage, messageId)), {
        acknowledged: true,
        duplicate: true,
      });
      const view = await thread.view(job.operationId);
      assert.equal(view.timeline.filter((entry) => entry.event === 'stage.feed.started').length, 1);
    });

    it('of another epoch, an unknown job or an unarmed job is refused', async () => {
      await ready();
      const job = await thread.claimJob();
      const stage = { kind: 'stage', stage: 'feed', status: 'started' };
      assertStationError(await thread.report(job, stage), 'NOT_LEASED', 409);
      assertStationError(await thread.report(job, produced), 'NOT_LEASED', 409);
      assertStationError(await thread.report({ ...job, epoch: 9 }, stage), 'STALE_EPOCH', 409);
      assertStationError(await thread.report({ ...job, jobId: randomUUID() }, stage), 'UNKNOWN_JOB', 404);
    });

    it('of a stage that cannot follow is refused and changes nothing', async () => {
      const job = await armed('feed', 'chip', 'print');
      assertStationError(
        await thread.report(job, { kind: 'stage', stage: 'chip', status: 'started' }),
        'BAD_MESSAGE',
        400,
      );
      assertStationError(await thread.report(job, produced), 'BAD_MESSAGE', 400);
      const view = await thread.view(job.operationId);
      assert.equal(view.jobs[0]?.state, 'print');
    });

    it('with evidence that holds a card number is refused, and the number is kept nowhere', async () => {
      const pan = makePan();
      await thread.order({ encryptedData: await encryptCard(world, { ...makeCard(), pan }) });
      const job = await thread.claimJob();
      await thread.arm(job);
      await thread.stages(job, 'feed');
      const leaks = [
        makePan(),
        Number(`99990012345678${luhnCheckDigit('99990012345678')}`),
        { a: [`track ${makePan()}`] },
        `AB${pan}CD`,
        pan.replace(/(.{4})/g, '$1 '),
      ];
      for (const leak of leaks) {
        assertStationError(await thread.report(job, spoiled({ evidence: { leak } })), 'BAD_MESSAGE', 400);
      }
      const good = { at: 1_737_095_282_492, cplc: '4790D3214700123456789012', counter: '0000000000000000' };
      assert.equal((await thread.report(job, spoiled({ evidence: good }))).status, 200);
    });

    it('that contradicts itself about blanks is refused (I4)', async () => {
      const job = await armed('feed');
      for (const report of [
        { ...withdrawn, blanksPicked: 1 },
        { ...withdrawn, personalizationSent: true },
        spoiled({ blanksPicked: 0 }),
        { ...produced, blanksPicked: 0 },
      ]) {
        assertStationError(await thread.report(job, report), 'BAD_MESSAGE', 400);
      }
    });
  });

  describe('an outcome', () => {
    it('produced ends the order well; the card is then handed over in order', async () => {
      const job = await armed('feed', 'chip');
      await thread.prove(job);
      await thread.stages(job, 'print', 'verify');
      assertStationError(
        await thread.report(job, { kind: 'hand_over', state: 'presented' }),
        'BAD_MESSAGE',
        400,
      );
      await thread.report(job, produced);
      assert.equal((await thread.view(job.operationId)).state, 'done');
      assertStationError(await thread.report(job, { kind: 'hand_over', state: 'taken' }), 'BAD_MESSAGE', 400);
      for (const state of ['presented', 'taken']) {
        assert.equal((await thread.report(job, { kind: 'hand_over', state })).status, 200);
      }
      assert.equal((await thread.view(job.operationId)).handOver, 'taken');
      assert.equal((await thread.report(job, produced)).status, 200);
      assertStationError(await thread.report(job, spoiled()), 'ORDER_ENDED', 409);
    });

    it('produced is refused until the vault has confirmed a cryptogram of this very job (I3)', async () => {
      const job = await armed('feed', 'chip');
      await thread.stages(job, 'print', 'verify');
      assertStationError(await thread.report(job, produced), 'CARD_UNPROVEN', 409);
      const [, [path, body]] = proofOf(job.jobId);
      const evidence = { epoch: job.epoch, ...body };
      // A cryptogram of a chip that never got a script from us proves nothing.
      assertStationError(await thread.post(thread.station, path, evidence), 'NOT_LEASED', 409);
      assertStationError(await thread.report(job, produced), 'CARD_UNPROVEN', 409);
      const view = await thread.view(job.operationId);
      assert.deepEqual([view.state, view.jobs[0]?.state], ['in_production', 'verify']);
      // Other ends need no proof, and none of the refused words counts as said.
      assert.equal((await thread.report(job, inDoubt)).status, 200);
      assertStationError(await thread.report(job, produced), 'CARD_UNPROVEN', 409);
      assert.equal((await thread.view(job.operationId)).state, 'in_doubt');
    });

    it('produced is refused after a cryptogram that the vault did not confirm, until it confirms one', async () => {
      const job = await armed('feed', 'chip');
      world.vault.cryptogramRefusal = 'ARQC_WRONG';
      await thread.prove(job);
      await thread.stages(job, 'print', 'verify');
      assertStationError(await thread.report(job, produced), 'CARD_UNPROVEN', 409);
      world.vault.cryptogramRefusal = undefined;
      const [, [path, body]] = proofOf(job.jobId);
      assert.equal((await thread.post(thread.station, path, { epoch: job.epoch, ...body })).status, 200);
      assert.equal((await thread.report(job, produced)).status, 200);
      assert.equal((await thread.view(job.operationId)).state, 'done');
    });

    it('spoiled with an untouched chip is remade once, with a higher epoch, and fails the second time', async () => {
      const job = await armed('feed');
      await thread.report(job, spoiled());
      const again = await thread.claimJob();
      assert.deepEqual([again.operationId, again.epoch], [job.operationId, job.epoch + 1]);
      assert.notEqual(again.jobId, job.jobId);
      assertStationError(await thread.arm(job), 'NOT_LEASED', 409);
      await thread.arm(again);
      await thread.stages(again, 'feed');
      await thread.report(again, spoiled({ fault: 'FEED_FAIL' }));
      const view = await thread.view(job.operationId);
      assert.deepEqual([view.state, view.errorCode], ['production_failed', 'FEED_FAIL']);
    });

    it('spoiled after personalization began fails the order', async () => {
      const job = await armed('feed', 'chip');
      await thread.report(job, spoiled({ personalizationSent: true, fault: 'CHIP_FAIL', terminated: true }));
      const view = await thread.view(job.operationId);
      assert.deepEqual([view.state, view.errorCode, view.jobs.length], ['production_failed', 'CHIP_FAIL', 1]);
    });

    it('spoiled after the script was released fails the order, whatever the station says (I11)', async () => {
      const job = await armed('feed', 'chip');
      await script(job, 'AAAA');
      await thread.report(job, spoiled({ personalizationSent: false }));
      assert.equal((await thread.view(job.operationId)).state, 'production_failed');
    });

    it('withdrawn fails the order without a blank, also before arm', async () => {
      const job = await armed('feed');
      await thread.report(job, withdrawn);
      assert.equal((await thread.view(job.operationId)).errorCode, 'FEED_FAIL');
      await ready();
      const unarmed = await thread.claimJob();
      await thread.report(unarmed, { ...withdrawn, fault: 'ARTWORK_FAIL' });
      const view = await thread.view(unarmed.operationId);
      assert.deepEqual([view.state, view.errorCode], ['production_failed', 'ARTWORK_FAIL']);
    });

    it('in doubt stays pending for the issuer, never times out, and frees the station', async () => {
      const { operationId, cardId } = await thread.order();
      const job = await thread.claimJob();
      await thread.arm(job);
      await thread.stages(job, 'feed', 'chip', 'print');
      await thread.report(job, inDoubt);
      clock.advance(7 * 24 * 3_600_000);
      assert.equal((await thread.view(operationId)).state, 'in_doubt');
      assert.equal(await thread.claim(), null);
      await thread.stop();
      thread = await startThread(world, { clock, times });
      const status = await thread.get(thread.issuer, statusPath(cardId));
      const [operation] = jsonOf(status)['operations'] as Body[];
      assert.deepEqual(
        [operation?.['status'], (operation?.['details'] as Body)['status']],
        ['PENDING', 'CARD_PROD_READY'],
      );
    });

    it('in doubt that is cleared by evidence ends the order and is never remade', async () => {
      for (const [evidence, state] of [
        [produced, 'done'],
        [spoiled(), 'production_failed'],
        [withdrawn, 'production_failed'],
      ] as const) {
        const job = await armed('feed');
        if (evidence === produced) await thread.prove(job);
        await thread.report(job, inDoubt);
        assert.equal((await thread.report(job, evidence)).status, 200);
        const view = await thread.view(job.operationId);
        assert.deepEqual([view.state, view.jobs.length], [state, 1]);
      }
    });
  });

  describe('the station listener', () => {
    it('refuses a certificate that is no station on every message, and strangers before any', async () => {
      const unknown = thread.server.client('station', world.parties.unknownStation);
      for (const path of [stationPaths.claim, stationPaths.arm('j'), stationPaths.reports('j')]) {
        assertStationError(await unknown.request({ method: 'POST', path, json: {} }), 'STATION_UNKNOWN', 401);
      }
      assertStationError(
        await unknown.request({ method: 'GET', path: stationPaths.events }),
        'STATION_UNKNOWN',
        401,
      );
      const stranger = thread.server.client('station', world.parties.issuerClient);
      await assert.rejects(stranger.request({ method: 'POST', path: stationPaths.claim, json: {} }));
    });

    it('refuses messages that are not as agreed', async () => {
      for (const json of [
        {},
        { bootId: 'b' },
        { bootId: 'b', agentVersion: 1 },
        { bootId: '', agentVersion: '' },
        null,
      ]) {
        assertStationError(await thread.post(thread.station, stationPaths.claim, json), 'BAD_MESSAGE', 400);
      }
      const form = await thread.station.request({
        method: 'POST',
        path: stationPaths.claim,
        form: { bootId: 'b' },
      });
      assertStationError(form, 'BAD_MESSAGE', 400);
      assertStationError(await thread.get(thread.station, '/station/v1/other'), 'BAD_MESSAGE', 400);
    });

    it('rings when a job is queued, once per stream, and the newer stream of a station wins', async () => {
      const stop = new AbortController();
      const rings: string[] = [];
      let ended = false;
      const listen = async (name: string): Promise<void> => {
        const stream = await thread.station.stream(stationPaths.events, { signal: stop.signal });
        void (async () => {
          try {
            for await (const chunk of stream) {
              const text = Buffer.from(chunk).toString('utf8');
              rings.push(
                ...text
                  .split('\n')
                  .filter((line) => line === 'event: doorbell')
                  .map(() => name),
              );
            }
            ended = name === 'old' || ended;
          } catch {
            // The test ends the stream itself.
          }
        })();
      };
      await listen('old');
      await eventually('the first ring', () => rings.length === 1);
      await ready();
      await eventually('a ring for the job', () => rings.filter((name) => name === 'old').length === 2);
      await listen('new');
      await eventually('the old stream ends', () => ended);
      await ready();
      await eventually('rings on the new stream', () => rings.filter((name) => name === 'new').length === 2);
      stop.abort();
    });
  });

  describe('the operator listener', () => {
    it('lists orders and stations, and refuses other audiences and unknown filters', async () => {
      const operationId = await ready();
      const orders = jsonOf(await thread.get(thread.operator, '/operator/v1/orders?limit=1&state=ready'));
      assert.deepEqual(
        (orders['orders'] as Body[]).map((one) => one['operationId']),
        [operationId],
      );
      for (const query of ['?limit=x', '?state=lost', '?hack=1']) {
        assert.equal((await thread.get(thread.operator, `/operator/v1/orders${query}`)).status, 400);
      }
      await thread.claimJob();
      const { stations } = jsonOf(await thread.get(thread.operator, '/operator/v1/stations')) as {
        stations: Body[];
      };
      const seen = new Map(stations.map((one) => [one['stationId'], one['lastSeenAt']]));
      assert.equal(seen.get('KIOSK-PS-101'), clock.now());
      assert.equal(seen.get(foreignStationId), null);
      assert.equal((await thread.get(thread.operator, `/operator/v1/orders/${randomUUID()}`)).status, 404);
      const stranger = thread.server.client('operator', world.parties.station);
      await assert.rejects(thread.get(stranger, '/operator/v1/stations'));
    });
  });
});
