import assert from 'node:assert/strict';
import { randomUUID } from 'node:crypto';
import { describe, it } from 'node:test';
import { stationPaths } from '@cardwright/protocol';
import { describeOnEachEngine } from './support/engines.ts';
import { type Body, times, useDispatchRig } from './support/dispatch-rig.ts';
import { eventually } from './support/eventually.ts';
import { assertStationError, produced, proofOf, spoiled } from './support/thread.ts';

describeOnEachEngine('dispatch', (engine) => {
  const rig = useDispatchRig(engine);

  describe('claim', () => {
    it('gives nothing when the queue is empty and the oldest job otherwise', async () => {
      assert.equal(await rig.thread.claim(), null);
      const first = await rig.ready();
      rig.clock.advance(5);
      await rig.ready();
      assert.equal((await rig.thread.claimJob()).operationId, first);
    });

    it('gives the same job, epoch and a longer lease when the station asks again', async () => {
      await rig.ready();
      const first = await rig.thread.claimJob();
      rig.clock.advance(50_000);
      const second = await rig.thread.claimJob();
      assert.deepEqual([second.jobId, second.epoch], [first.jobId, first.epoch]);
      assert.equal(second.leaseExpiresAt, first.leaseExpiresAt + 50_000);
      rig.clock.advance(30_000);
      assert.equal((await rig.thread.arm(second)).status, 200);
    });

    it("never shows another station's job", async () => {
      await rig.ready();
      assert.equal(await rig.thread.claim(rig.thread.secondStation), null);
      const job = await rig.thread.claimJob();
      assertStationError(await rig.thread.arm(job, rig.thread.secondStation), 'UNKNOWN_JOB', 404);
    });

    it('holds a second order back until the station is done with the first', async () => {
      const job = await rig.armed('feed');
      const second = await rig.ready();
      assert.equal((await rig.thread.claimJob()).jobId, job.jobId);
      await rig.thread.prove(job);
      await rig.thread.stages(job, 'chip', 'print', 'verify');
      await rig.thread.report(job, produced);
      assert.equal((await rig.thread.claimJob()).operationId, second);
    });

    it('shows an armed job again without a payload', async () => {
      const job = await rig.armed();
      const again = await rig.thread.claimJob();
      assert.deepEqual(
        [again.jobId, again.epoch, again.armed, again.payload],
        [job.jobId, job.epoch, true, undefined],
      );
    });

    it('keeps the lease when the vault is away, for the next claim', async () => {
      await rig.ready();
      rig.world.vault.isUp = false;
      const answer = await rig.thread.post(rig.thread.station, stationPaths.claim, {
        bootId: 'b',
        agentVersion: '1',
      });
      assertStationError(answer, 'VAULT_UNAVAILABLE', 503);
      rig.world.vault.isUp = true;
      assert.equal((await rig.thread.claimJob()).epoch, 1);
    });
  });

  describe('a vault that refuses for good', () => {
    const planInvalid = { status: 400, code: 'PLAN_INVALID' } as const;

    it('ends the order whose plan it cannot open, and the queue goes on', async () => {
      const operationId = await rig.ready();
      rig.world.vault.refusal = planInvalid;
      assert.equal(await rig.thread.claim(), null);
      const view = await rig.thread.view(operationId);
      assert.deepEqual(
        [view.state, view.errorCode, view.jobs.map((job) => job.state)],
        ['production_failed', 'PAYLOAD_FAIL', ['withdrawn']],
      );
      rig.world.vault.refusal = undefined;
      const next = await rig.ready();
      assert.equal((await rig.thread.claimJob()).operationId, next);
    });

    it("leaves the order alone when the refusal is about the station's key", async () => {
      const operationId = await rig.ready();
      rig.world.vault.refusal = { status: 400, code: 'STATION_KEY_INVALID' };
      const claim = { bootId: 'b', agentVersion: '1' };
      assertStationError(
        await rig.thread.post(rig.thread.station, stationPaths.claim, claim),
        'VAULT_REFUSED',
        422,
      );
      rig.world.vault.refusal = undefined;
      assert.equal((await rig.thread.claimJob()).operationId, operationId);
    });

    it('is final for the station at the chip; what only keeps it from answering is not', async () => {
      const job = await rig.armed('feed', 'chip');
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
          assertStationError(await rig.thread.post(rig.thread.station, path, body), code, status);
        }
      };
      rig.world.vault.refusal = planInvalid;
      await assertAll('VAULT_REFUSED', 422);
      for (const status of [401, 403, 404, 429, 500, 503] as const) {
        rig.world.vault.refusal = { status, code: 'PLAN_INVALID' };
        await assertAll('VAULT_UNAVAILABLE', 503);
      }
      rig.world.vault.refusal = undefined;
      await rig.thread.prove(job);
      calls.splice(0, 2, [cryptogramPath, { epoch, ...evidence }]);
      rig.world.vault.refusal = planInvalid;
      await assertAll('VAULT_REFUSED', 422);
    });
  });

  describe('a lease', () => {
    it('that ends before arm puts the job back, and the next lease has a higher epoch', async () => {
      const operationId = await rig.ready();
      const first = await rig.thread.claimJob();
      rig.clock.advance(times.leaseMs + 1);
      await eventually(
        'the job is queued again',
        async () => (await rig.thread.view(operationId)).jobs[0]?.state === 'queued',
      );
      const second = await rig.thread.claimJob();
      assert.deepEqual([second.jobId, second.epoch], [first.jobId, first.epoch + 1]);
      assertStationError(await rig.thread.arm(first), 'STALE_EPOCH', 409);
      assert.equal((await rig.thread.arm(second)).status, 200);
    });

    it('that has ended does not arm, whether or not it was swept', async () => {
      await rig.ready();
      const job = await rig.thread.claimJob();
      rig.clock.advance(times.leaseMs);
      assertStationError(await rig.thread.arm(job), 'NOT_LEASED', 409);
    });

    it('never ends an armed job', async () => {
      const job = await rig.armed('feed');
      rig.clock.advance(times.leaseMs * 100);
      const view = await rig.thread.view(job.operationId);
      assert.deepEqual([view.state, view.jobs[0]?.state], ['in_production', 'feeding']);
      assert.equal((await rig.thread.claimJob()).epoch, job.epoch);
    });
  });

  describe('the waiting limit', () => {
    it('fails an order that no station took, with STATION_TIMEOUT', async () => {
      const { operationId, cardId } = await rig.thread.order();
      await rig.thread.untilState(operationId, 'ready');
      rig.clock.advance(600_001);
      const view = await rig.thread.untilState(operationId, 'production_failed');
      assert.deepEqual([view.errorCode, view.jobs[0]?.state], ['STATION_TIMEOUT', 'withdrawn']);
      assert.equal(await rig.thread.claim(), null);
      assert.ok(cardId);
    });

    it('takes a leased job away too, and its arm is refused', async () => {
      const operationId = await rig.ready();
      rig.clock.advance(590_000);
      const job = await rig.thread.claimJob();
      rig.clock.advance(10_001);
      await rig.thread.untilState(operationId, 'production_failed');
      assertStationError(await rig.thread.arm(job), 'ORDER_ENDED', 409);
    });

    it('never ends an order once it was armed, not even while it waits for its remake', async () => {
      const job = await rig.armed('feed');
      await rig.thread.report(job, spoiled());
      rig.clock.advance(3_600_000);
      const view = await rig.thread.view(job.operationId);
      assert.deepEqual([view.state, view.jobs.map((one) => one.state)], ['ready', ['spoiled', 'queued']]);
    });
  });

  describe('arm', () => {
    it('may be asked again by the same station and epoch', async () => {
      const job = await rig.armed();
      assert.equal((await rig.thread.arm(job)).status, 200);
      const view = await rig.thread.view(job.operationId);
      assert.equal(view.timeline.filter((entry) => entry.event === 'job.armed').length, 1);
    });

    it('is refused for a job that is not leased, another epoch and an unknown job', async () => {
      await rig.ready();
      const job = await rig.thread.claimJob();
      assertStationError(await rig.thread.arm({ ...job, epoch: job.epoch + 1 }), 'STALE_EPOCH', 409);
      assertStationError(await rig.thread.arm({ ...job, jobId: randomUUID() }), 'UNKNOWN_JOB', 404);
      for (const bad of [{}, { epoch: 0 }, { epoch: '1' }, { epoch: 1, extra: 1 }, []]) {
        const answer = await rig.thread.post(rig.thread.station, stationPaths.arm(job.jobId), bad);
        assertStationError(answer, 'BAD_MESSAGE', 400);
      }
    });

    it('wins or loses against the waiting limit, never both', async () => {
      await rig.ready();
      rig.clock.advance(599_000);
      const job = await rig.thread.claimJob();
      rig.clock.advance(1_001);
      const answer = await rig.thread.arm(job);
      const view = await eventually('a decision', async () => {
        const now = await rig.thread.view(job.operationId);
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
      await rig.ready();
      const job = await rig.thread.claimJob();
      const begin = (epoch: number) =>
        rig.thread.post(rig.thread.station, stationPaths.chipBegin(job.jobId), { epoch });
      assertStationError(await begin(job.epoch), 'NOT_LEASED', 409);
      assertStationError(await rig.script(job, 'AA'), 'NOT_LEASED', 409);
      await rig.thread.arm(job);
      assertStationError(await begin(job.epoch + 1), 'STALE_EPOCH', 409);
      assert.equal((await begin(job.epoch)).status, 200);
    });

    it('may ask again for its script, and no other chip gets it (I11)', async () => {
      const job = await rig.armed('feed', 'chip');
      assert.equal((await rig.script(job, 'AAAA')).status, 200);
      assert.equal((await rig.script(job, 'AAAA')).status, 200);
      assertStationError(await rig.script(job, 'BBBB'), 'SCRIPT_ALREADY_RELEASED', 409);
      assertStationError(await rig.script(job, null), 'SCRIPT_ALREADY_RELEASED', 409);
    });

    it('without production data is known by its key diversification data', async () => {
      const job = await rig.armed('feed', 'chip');
      assert.equal((await rig.script(job, null, '00000000000000000001')).status, 200);
      assertStationError(await rig.script(job, null, '00000000000000000002'), 'SCRIPT_ALREADY_RELEASED', 409);
      assert.equal((await rig.script(job, null, '00000000000000000001')).status, 200);
    });

    it('is on record before the script leaves, also when many ask at once', async () => {
      const job = await rig.armed('feed', 'chip');
      const answers = await Promise.all(
        Array.from({ length: 8 }, (_, at) => rig.script(job, `0${String(at)}`)),
      );
      assert.equal(answers.filter((answer) => answer.status === 200).length, 1);
      for (const answer of answers.filter((one) => one.status !== 200)) {
        assertStationError(answer, 'SCRIPT_ALREADY_RELEASED', 409);
      }
    });

    it('that the vault refuses is not put on record', async () => {
      const job = await rig.armed('feed', 'chip');
      rig.world.vault.scriptRefusal = 'CARD_CRYPTOGRAM_INVALID';
      assertStationError(await rig.script(job, 'AAAA'), 'CHIP_REFUSED', 422);
      rig.world.vault.scriptRefusal = undefined;
      assert.equal((await rig.script(job, 'BBBB')).status, 200);
    });

    it('gets no script after its stage', async () => {
      const job = await rig.armed('feed', 'chip', 'print');
      assertStationError(await rig.script(job, 'AAAA'), 'NOT_LEASED', 409);
    });
  });
});
