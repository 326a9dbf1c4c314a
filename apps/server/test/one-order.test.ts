import assert from 'node:assert/strict';
import { after, before, it } from 'node:test';
import { CardOperation, check, OrderView, stationPaths } from '@cardwright/protocol';
import { describeOnEachEngine } from './support/engines.ts';
import { eventually } from './support/eventually.ts';
import { createWorld, statusPath, type World } from './support/server-fixture.ts';
import { jsonOf, produced, startThread, type Thread } from './support/thread.ts';

describeOnEachEngine('one order', (engine) => {
  let world: World;
  let thread: Thread;
  before(async () => {
    world = await createWorld({ engine, oauth: true });
    thread = await startThread(world);
  });
  after(async () => {
    await thread.stop();
    await world.close();
  });

  it('goes from the issuer through the station to a produced card and its notifications', async () => {
    const { cardId, operationId } = await thread.order({ issuerRequestId: 'req-0001' });
    const job = await thread.claimJob();
    assert.deepEqual([job.operationId, job.epoch, job.armed], [operationId, 1, false]);
    assert.equal(job.payload, 'payload-for-epoch-1');

    assert.equal((await thread.arm(job)).status, 200);
    await thread.stages(job, 'feed', 'chip');
    const { epoch } = job;
    const begun = await thread.post(thread.station, stationPaths.chipBegin(job.jobId), { epoch });
    assert.equal(begun.status, 200, begun.body);
    const script = await thread.post(thread.station, stationPaths.chipScript(job.jobId), {
      epoch,
      ticket: jsonOf(begun)['ticket'],
      chip: { atr: '3BE000FF8131FE4514', cplc: 'ABCD' },
      initializeUpdateResponse: '00112233445566778899',
    });
    assert.equal(script.status, 200, script.body);
    await thread.stages(job, 'print', 'verify');
    const verdict = await thread.post(thread.station, stationPaths.cryptogram(job.jobId), {
      ...{ epoch, cdol1Data: '00', cid: '80', atc: '0001', arqc: '0011223344556677', iad: '0F' },
    });
    assert.deepEqual(jsonOf(verdict), { confirmed: true });
    assert.equal((await thread.report(job, produced)).status, 200);
    assert.equal((await thread.report(job, { kind: 'hand_over', state: 'presented' })).status, 200);
    assert.equal((await thread.report(job, { kind: 'hand_over', state: 'taken' })).status, 200);

    const view = await thread.untilState(operationId, 'done');
    assert.equal(check(OrderView, view).ok, true);
    assert.equal(view.handOver, 'taken');
    assert.match(view.maskedPan ?? '', /^999900\*{6}\d{4}$/);
    const sent = await eventually('three notifications', () =>
      world.issuer.deliveries.length >= 3 ? world.issuer.deliveries : undefined,
    );
    assert.deepEqual(
      sent.map(({ operations }) => operations.map((one) => [one.status, one.details.status])),
      [
        [['PENDING', 'CARD_PROD_REQUESTED']],
        [['PENDING', 'CARD_PROD_READY']],
        [['SUCCESSFUL', 'CARD_PROD_DONE']],
      ],
    );
    for (const { operations } of sent) assert.equal(check(CardOperation, operations[0]).ok, true);
    assert.equal(sent[0]?.operations[0]?.issuerRequestId, 'req-0001');

    const status = await thread.get(thread.issuer, statusPath(cardId));
    assert.equal(status.status, 200);
    const { operations } = jsonOf(status) as { operations: CardOperation[] };
    assert.deepEqual(operations, sent[2]?.operations);
    const events = view.timeline.map((entry) => entry.event);
    for (const event of [
      'order.requested',
      'job.armed',
      'stage.print.started',
      'chip.script-released',
      'order.done',
    ]) {
      assert.ok(events.includes(event), event);
    }
  });
});
