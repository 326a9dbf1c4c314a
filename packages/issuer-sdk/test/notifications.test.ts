/** What an issuer makes of notifications that repeat, come late or say something new. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import {
  applyOperation,
  type CardOperation,
  createNotificationMemory,
  createNotificationReceiver,
  isFinalStatus,
  issuerRequestIdOf,
  notificationKey,
  type OrderState,
} from '../src/index.ts';

const steps = [
  ['PENDING', 'CARD_PROD_REQUESTED'],
  ['PENDING', 'CARD_PROD_READY'],
  ['SUCCESSFUL', 'CARD_PROD_DONE'],
] as const;

function operation(status: string, detailsStatus?: string, operationId = 'op-1'): CardOperation {
  return {
    operationId,
    operation: 'PRODUCE',
    status,
    startTime: '2025-01-17T06:28:02.492Z',
    cardId: 'card-1',
    ...(detailsStatus === undefined ? {} : { details: { status: detailsStatus } }),
  };
}

const fold = (list: readonly CardOperation[]): OrderState | undefined =>
  list.reduce<OrderState | undefined>(applyOperation, undefined);

test('notifications in any order and number lead to the final state', () => {
  const sent = steps.map(([status, details]) => operation(status, details));
  const arrival = fc
    .array(fc.integer({ min: 0, max: 2 }), { maxLength: 8 })
    .chain((extra) =>
      fc
        .shuffledSubarray([0, 1, 2, ...extra.map((_, at) => 3 + at)], { minLength: 3 + extra.length })
        .map((order) => order.map((at) => (at < 3 ? at : (extra[at - 3] ?? 0)))),
    );
  fc.assert(
    fc.property(arrival, (order) => {
      const state = fold(order.flatMap((at) => sent[at] ?? []));
      assert.equal(state?.status, 'SUCCESSFUL');
      assert.equal(state.detailsStatus, 'CARD_PROD_DONE');
    }),
  );
});

test('a final state is never overwritten, whatever comes after it', () => {
  const anyOperation = fc.record({
    status: fc.constantFrom('PENDING', 'SUCCESSFUL', 'FAILED', 'NEW'),
    details: fc.string(),
  });
  fc.assert(
    fc.property(fc.constantFrom('SUCCESSFUL', 'FAILED'), fc.array(anyOperation), (final, later) => {
      const state = applyOperation(undefined, operation(final, 'X'));
      const end = later.reduce(
        (known, { status, details }) => applyOperation(known, operation(status, details)),
        state,
      );
      assert.equal(end, state);
    }),
  );
});

test('a late earlier step does not undo a later one', () => {
  const ready = fold([operation('PENDING', 'CARD_PROD_READY'), operation('PENDING', 'CARD_PROD_REQUESTED')]);
  assert.equal(ready?.detailsStatus, 'CARD_PROD_READY');
});

test('statuses of the future are kept and count as not final', () => {
  const state = fold([operation('PENDING', 'CARD_PROD_READY'), operation('PAUSED', 'CARD_PROD_ONGOING')]);
  assert.deepEqual([state?.status, state?.detailsStatus], ['PAUSED', 'CARD_PROD_ONGOING']);
  assert.ok(!isFinalStatus('PAUSED'));
  assert.equal(fold([operation('PENDING')])?.detailsStatus, '');
});

test('a message of another operation changes nothing', () => {
  const state = applyOperation(undefined, operation('PENDING', 'CARD_PROD_READY'));
  assert.equal(applyOperation(state, operation('FAILED', 'X', 'op-2')), state);
});

test('repetitions are dropped by operation, status and production status together', async () => {
  const seen: string[] = [];
  const receiver = createNotificationReceiver({
    onOperation: (item) => void seen.push(notificationKey(item)),
  });
  const [requested, ready] = [
    operation('PENDING', 'CARD_PROD_REQUESTED'),
    operation('PENDING', 'CARD_PROD_READY'),
  ];
  assert.deepEqual(await receiver.receive({ operations: [requested, ready, requested] }), {
    accepted: true,
    handled: 2,
    repeated: 1,
  });
  assert.deepEqual(await receiver.receive({ operations: [ready] }), {
    accepted: true,
    handled: 0,
    repeated: 1,
  });
  assert.equal(seen.length, 2);
});

test('two deliveries of one fact at the same time count once', async () => {
  let handled = 0;
  const receiver = createNotificationReceiver({
    onOperation: async () => {
      await new Promise((resolve) => setImmediate(resolve));
      handled += 1;
    },
  });
  const body = { operations: [operation('PENDING', 'CARD_PROD_READY')] };
  await Promise.all([receiver.receive(body), receiver.receive(body)]);
  assert.equal(handled, 1);
});

test('a fact whose handling failed is handled again when it is sent again', async () => {
  let attempts = 0;
  const receiver = createNotificationReceiver({
    onOperation: () => {
      attempts += 1;
      if (attempts === 1) throw new Error('disk full');
    },
  });
  const body = { operations: [operation('SUCCESSFUL', 'CARD_PROD_DONE')] };
  await assert.rejects(receiver.receive(body), /disk full/);
  assert.deepEqual(await receiver.receive(body), { accepted: true, handled: 1, repeated: 0 });
});

test('a malformed call is refused as a whole, names the place, and nothing of it is handled', async () => {
  let handled = 0;
  const receiver = createNotificationReceiver({ onOperation: () => void (handled += 1) });
  const { startTime: _, ...broken } = operation('PENDING', 'X');
  for (const [body, field] of [
    [undefined, 'operations'],
    [{ operations: {} }, 'operations'],
    [{ operations: [null] }, 'operations[0]'],
    [{ operations: [operation('PENDING', 'X'), broken] }, 'operations[1].startTime'],
  ]) {
    assert.deepEqual(await receiver.receive(body), { accepted: false, field });
  }
  assert.equal(handled, 0);
});

test('the memory keeps the newest facts', () => {
  const memory = createNotificationMemory(2);
  for (const key of ['a', 'b', 'c']) void memory.add(key);
  assert.deepEqual(
    ['a', 'b', 'c'].map((key) => memory.has(key)),
    [false, true, true],
  );
});

test('the request id is found at the top and inside the details', () => {
  const base = operation('PENDING');
  assert.equal(issuerRequestIdOf({ ...base, issuerRequestId: 'r' }), 'r');
  assert.equal(issuerRequestIdOf({ ...base, details: { status: 'X', issuerRequestId: 'r' } }), 'r');
  assert.equal(issuerRequestIdOf(base), undefined);
});
