import assert from 'node:assert/strict';
import { randomUUID } from 'node:crypto';
import { describe, it } from 'node:test';
import { luhnCheckDigit } from '@cardwright/domain';
import { stationPaths } from '@cardwright/protocol';
import { describeOnEachEngine } from './support/engines.ts';
import { encryptCard, foreignStationId, makeCard, makePan, statusPath } from './support/server-fixture.ts';
import { type Body, inDoubt, useDispatchRig, withdrawn } from './support/dispatch-rig.ts';
import { eventually } from './support/eventually.ts';
import { assertStationError, jsonOf, produced, proofOf, spoiled } from './support/thread.ts';

describeOnEachEngine('dispatch, from report to outcome', (engine) => {
  const rig = useDispatchRig(engine);

  describe('a report', () => {
    it('is taken once by its message id', async () => {
      const job = await rig.armed();
      const messageId = randomUUID();
      const stage = { kind: 'stage', stage: 'feed', status: 'started' };
      assert.deepEqual(jsonOf(await rig.thread.report(job, stage, messageId)), {
        acknowledged: true,
        duplicate: false,
      });
      assert.deepEqual(jsonOf(await rig.thread.report(job, stage, messageId)), {
        acknowledged: true,
        duplicate: true,
      });
      const view = await rig.thread.view(job.operationId);
      assert.equal(view.timeline.filter((entry) => entry.event === 'stage.feed.started').length, 1);
    });

    it('of another epoch, an unknown job or an unarmed job is refused', async () => {
      await rig.ready();
      const job = await rig.thread.claimJob();
      const stage = { kind: 'stage', stage: 'feed', status: 'started' };
      assertStationError(await rig.thread.report(job, stage), 'NOT_LEASED', 409);
      assertStationError(await rig.thread.report(job, produced), 'NOT_LEASED', 409);
      assertStationError(await rig.thread.report({ ...job, epoch: 9 }, stage), 'STALE_EPOCH', 409);
      assertStationError(await rig.thread.report({ ...job, jobId: randomUUID() }, stage), 'UNKNOWN_JOB', 404);
    });

    it('of a stage that cannot follow is refused and changes nothing', async () => {
      const job = await rig.armed('feed', 'chip', 'print');
      assertStationError(
        await rig.thread.report(job, { kind: 'stage', stage: 'chip', status: 'started' }),
        'BAD_MESSAGE',
        400,
      );
      assertStationError(await rig.thread.report(job, produced), 'BAD_MESSAGE', 400);
      const view = await rig.thread.view(job.operationId);
      assert.equal(view.jobs[0]?.state, 'print');
    });

    it('with evidence that holds a card number is refused, and the number is kept nowhere', async () => {
      const pan = makePan();
      await rig.thread.order({ encryptedData: await encryptCard(rig.world, { ...makeCard(), pan }) });
      const job = await rig.thread.claimJob();
      await rig.thread.arm(job);
      await rig.thread.stages(job, 'feed');
      const leaks = [
        makePan(),
        Number(`99990012345678${luhnCheckDigit('99990012345678')}`),
        { a: [`track ${makePan()}`] },
        `AB${pan}CD`,
        pan.replace(/(.{4})/g, '$1 '),
      ];
      for (const leak of leaks) {
        assertStationError(await rig.thread.report(job, spoiled({ evidence: { leak } })), 'BAD_MESSAGE', 400);
      }
      const good = { at: 1_737_095_282_492, cplc: '4790D3214700123456789012', counter: '0000000000000000' };
      assert.equal((await rig.thread.report(job, spoiled({ evidence: good }))).status, 200);
    });

    it('that contradicts itself about blanks is refused (I4)', async () => {
      const job = await rig.armed('feed');
      for (const report of [
        { ...withdrawn, blanksPicked: 1 },
        { ...withdrawn, personalizationSent: true },
        spoiled({ blanksPicked: 0 }),
        { ...produced, blanksPicked: 0 },
      ]) {
        assertStationError(await rig.thread.report(job, report), 'BAD_MESSAGE', 400);
      }
    });
  });

  describe('an outcome', () => {
    it('produced ends the order well; the card is then handed over in order', async () => {
      const job = await rig.armed('feed', 'chip');
      await rig.thread.prove(job);
      await rig.thread.stages(job, 'print', 'verify');
      assertStationError(
        await rig.thread.report(job, { kind: 'hand_over', state: 'presented' }),
        'BAD_MESSAGE',
        400,
      );
      await rig.thread.report(job, produced);
      assert.equal((await rig.thread.view(job.operationId)).state, 'done');
      assertStationError(
        await rig.thread.report(job, { kind: 'hand_over', state: 'taken' }),
        'BAD_MESSAGE',
        400,
      );
      for (const state of ['presented', 'taken']) {
        assert.equal((await rig.thread.report(job, { kind: 'hand_over', state })).status, 200);
      }
      assert.equal((await rig.thread.view(job.operationId)).handOver, 'taken');
      assert.equal((await rig.thread.report(job, produced)).status, 200);
      assertStationError(await rig.thread.report(job, spoiled()), 'ORDER_ENDED', 409);
    });

    it('produced is refused until the vault has confirmed a cryptogram of this very job (I3)', async () => {
      const job = await rig.armed('feed', 'chip');
      await rig.thread.stages(job, 'print', 'verify');
      assertStationError(await rig.thread.report(job, produced), 'CARD_UNPROVEN', 409);
      const [, [path, body]] = proofOf(job.jobId);
      const evidence = { epoch: job.epoch, ...body };
      // A cryptogram of a chip that never got a script from us proves nothing.
      assertStationError(await rig.thread.post(rig.thread.station, path, evidence), 'NOT_LEASED', 409);
      assertStationError(await rig.thread.report(job, produced), 'CARD_UNPROVEN', 409);
      const view = await rig.thread.view(job.operationId);
      assert.deepEqual([view.state, view.jobs[0]?.state], ['in_production', 'verify']);
      // Other ends need no proof, and none of the refused words counts as said.
      assert.equal((await rig.thread.report(job, inDoubt)).status, 200);
      assertStationError(await rig.thread.report(job, produced), 'CARD_UNPROVEN', 409);
      assert.equal((await rig.thread.view(job.operationId)).state, 'in_doubt');
    });

    it('produced is refused after a cryptogram that the vault did not confirm, until it confirms one', async () => {
      const job = await rig.armed('feed', 'chip');
      rig.world.vault.cryptogramRefusal = 'ARQC_WRONG';
      await rig.thread.prove(job);
      await rig.thread.stages(job, 'print', 'verify');
      assertStationError(await rig.thread.report(job, produced), 'CARD_UNPROVEN', 409);
      rig.world.vault.cryptogramRefusal = undefined;
      const [, [path, body]] = proofOf(job.jobId);
      assert.equal(
        (await rig.thread.post(rig.thread.station, path, { epoch: job.epoch, ...body })).status,
        200,
      );
      assert.equal((await rig.thread.report(job, produced)).status, 200);
      assert.equal((await rig.thread.view(job.operationId)).state, 'done');
    });

    it('spoiled with an untouched chip is remade once, with a higher epoch, and fails the second time', async () => {
      const job = await rig.armed('feed');
      await rig.thread.report(job, spoiled());
      const again = await rig.thread.claimJob();
      assert.deepEqual([again.operationId, again.epoch], [job.operationId, job.epoch + 1]);
      assert.notEqual(again.jobId, job.jobId);
      assertStationError(await rig.thread.arm(job), 'NOT_LEASED', 409);
      await rig.thread.arm(again);
      await rig.thread.stages(again, 'feed');
      await rig.thread.report(again, spoiled({ fault: 'FEED_FAIL' }));
      const view = await rig.thread.view(job.operationId);
      assert.deepEqual([view.state, view.errorCode], ['production_failed', 'FEED_FAIL']);
    });

    it('spoiled after personalization began fails the order', async () => {
      const job = await rig.armed('feed', 'chip');
      await rig.thread.report(
        job,
        spoiled({ personalizationSent: true, fault: 'CHIP_FAIL', terminated: true }),
      );
      const view = await rig.thread.view(job.operationId);
      assert.deepEqual([view.state, view.errorCode, view.jobs.length], ['production_failed', 'CHIP_FAIL', 1]);
    });

    it('spoiled after the script was released fails the order, whatever the station says (I11)', async () => {
      const job = await rig.armed('feed', 'chip');
      await rig.script(job, 'AAAA');
      await rig.thread.report(job, spoiled({ personalizationSent: false }));
      assert.equal((await rig.thread.view(job.operationId)).state, 'production_failed');
    });

    it('withdrawn fails the order without a blank, also before arm', async () => {
      const job = await rig.armed('feed');
      await rig.thread.report(job, withdrawn);
      assert.equal((await rig.thread.view(job.operationId)).errorCode, 'FEED_FAIL');
      await rig.ready();
      const unarmed = await rig.thread.claimJob();
      await rig.thread.report(unarmed, { ...withdrawn, fault: 'ARTWORK_FAIL' });
      const view = await rig.thread.view(unarmed.operationId);
      assert.deepEqual([view.state, view.errorCode], ['production_failed', 'ARTWORK_FAIL']);
    });

    it('in doubt stays pending for the issuer, never times out, and frees the station', async () => {
      const { operationId, cardId } = await rig.thread.order();
      const job = await rig.thread.claimJob();
      await rig.thread.arm(job);
      await rig.thread.stages(job, 'feed', 'chip', 'print');
      await rig.thread.report(job, inDoubt);
      rig.clock.advance(7 * 24 * 3_600_000);
      assert.equal((await rig.thread.view(operationId)).state, 'in_doubt');
      assert.equal(await rig.thread.claim(), null);
      await rig.restart();
      const status = await rig.thread.get(rig.thread.issuer, statusPath(cardId));
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
        const job = await rig.armed('feed');
        if (evidence === produced) await rig.thread.prove(job);
        await rig.thread.report(job, inDoubt);
        assert.equal((await rig.thread.report(job, evidence)).status, 200);
        const view = await rig.thread.view(job.operationId);
        assert.deepEqual([view.state, view.jobs.length], [state, 1]);
      }
    });
  });

  describe('the station listener', () => {
    it('refuses a certificate that is no station on every message, and strangers before any', async () => {
      const unknown = rig.thread.server.client('station', rig.world.parties.unknownStation);
      for (const path of [stationPaths.claim, stationPaths.arm('j'), stationPaths.reports('j')]) {
        assertStationError(await unknown.request({ method: 'POST', path, json: {} }), 'STATION_UNKNOWN', 401);
      }
      assertStationError(
        await unknown.request({ method: 'GET', path: stationPaths.events }),
        'STATION_UNKNOWN',
        401,
      );
      const stranger = rig.thread.server.client('station', rig.world.parties.issuerClient);
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
        assertStationError(
          await rig.thread.post(rig.thread.station, stationPaths.claim, json),
          'BAD_MESSAGE',
          400,
        );
      }
      const form = await rig.thread.station.request({
        method: 'POST',
        path: stationPaths.claim,
        form: { bootId: 'b' },
      });
      assertStationError(form, 'BAD_MESSAGE', 400);
      assertStationError(await rig.thread.get(rig.thread.station, '/station/v1/other'), 'BAD_MESSAGE', 400);
    });

    it('rings when a job is queued, once per stream, and the newer stream of a station wins', async () => {
      const stop = new AbortController();
      const rings: string[] = [];
      let ended = false;
      const listen = async (name: string): Promise<void> => {
        const stream = await rig.thread.station.stream(stationPaths.events, { signal: stop.signal });
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
      await rig.ready();
      await eventually('a ring for the job', () => rings.filter((name) => name === 'old').length === 2);
      await listen('new');
      await eventually('the old stream ends', () => ended);
      await rig.ready();
      await eventually('rings on the new stream', () => rings.filter((name) => name === 'new').length === 2);
      stop.abort();
    });
  });

  describe('the operator listener', () => {
    it('lists orders and stations, and refuses other audiences and unknown filters', async () => {
      const operationId = await rig.ready();
      const orders = jsonOf(
        await rig.thread.get(rig.thread.operator, '/operator/v1/orders?limit=1&state=ready'),
      );
      assert.deepEqual(
        (orders['orders'] as Body[]).map((one) => one['operationId']),
        [operationId],
      );
      for (const query of ['?limit=x', '?state=lost', '?hack=1']) {
        assert.equal((await rig.thread.get(rig.thread.operator, `/operator/v1/orders${query}`)).status, 400);
      }
      await rig.thread.claimJob();
      const { stations } = jsonOf(await rig.thread.get(rig.thread.operator, '/operator/v1/stations')) as {
        stations: Body[];
      };
      const seen = new Map(stations.map((one) => [one['stationId'], one['lastSeenAt']]));
      assert.equal(seen.get('KIOSK-PS-101'), rig.clock.now());
      assert.equal(seen.get(foreignStationId), null);
      assert.equal(
        (await rig.thread.get(rig.thread.operator, `/operator/v1/orders/${randomUUID()}`)).status,
        404,
      );
      const stranger = rig.thread.server.client('operator', rig.world.parties.station);
      await assert.rejects(rig.thread.get(stranger, '/operator/v1/stations'));
    });
  });
});
