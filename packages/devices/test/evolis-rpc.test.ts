/** The client against services that misbehave: over real sockets, each with one fixed answer. */
import assert from 'node:assert/strict';
import { once } from 'node:events';
import { type AddressInfo, type Socket, createServer } from 'node:net';
import { test } from 'node:test';
import fc from 'fast-check';
import { systemClock } from '@cardwright/runtime';
import { EvolisRpcError, type EvolisRpcFailure, callEvolis } from '../src/evolis/evolis-rpc.ts';

interface Service {
  readonly port: number;
  [Symbol.asyncDispose](): Promise<void>;
}

/** @param answer gets the whole request once the client has half-closed */
async function startService(answer: (socket: Socket, request: string) => void): Promise<Service> {
  const sockets = new Set<Socket>();
  const server = createServer({ allowHalfOpen: true }, (socket) => {
    sockets.add(socket);
    socket.on('error', () => undefined);
    let request = '';
    socket.on('data', (chunk: Buffer) => {
      request += chunk.toString('utf8');
    });
    socket.once('end', () => {
      answer(socket, request);
    });
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  return {
    port: (server.address() as AddressInfo).port,
    [Symbol.asyncDispose]: async () => {
      for (const socket of sockets) socket.destroy();
      server.close();
      await once(server, 'close');
    },
  };
}

function call(port: number, timeoutMs = 2_000): Promise<string> {
  return callEvolis({ host: '127.0.0.1', port }, systemClock, {
    method: 'SUPERVISION.GetState',
    params: { device: 'any' },
    timeoutMs,
  });
}

function idOf(request: string): string {
  return (JSON.parse(request) as { id: string }).id;
}

async function assertFailure(call: Promise<string>, failure: EvolisRpcFailure): Promise<void> {
  await assert.rejects(call, (error) => {
    assert.ok(error instanceof EvolisRpcError);
    assert.equal(error.failure, failure, error.message);
    return true;
  });
}

const answers: readonly [string, (id: string) => string, EvolisRpcFailure][] = [
  ['an answer that is not JSON', () => 'ready!', 'malformed'],
  ['an answer cut off in the middle', (id) => `{"jsonrpc":"2.0","id":"${id}","resu`, 'malformed'],
  ['an answer that is a list', () => '[]', 'malformed'],
  ['an answer of another JSON-RPC', (id) => `{"id":"${id}","result":"OK"}`, 'malformed'],
  ['an answer to another request', () => '{"jsonrpc":"2.0","id":"x","result":"OK"}', 'malformed'],
  ['an answer without result', (id) => `{"jsonrpc":"2.0","id":"${id}"}`, 'malformed'],
  ['a result that is not text', (id) => `{"jsonrpc":"2.0","id":"${id}","result":{}}`, 'malformed'],
  [
    'result and error at once',
    (id) => `{"jsonrpc":"2.0","id":"${id}","result":"OK","error":{"code":1,"message":"no"}}`,
    'malformed',
  ],
  ['an error without code', (id) => `{"jsonrpc":"2.0","id":"${id}","error":{"message":"no"}}`, 'malformed'],
  ['an error', (id) => `{"jsonrpc":"2.0","id":"${id}","error":{"code":-60,"message":"no"}}`, 'refused'],
  ['an answer without end', () => 'x'.repeat(100_000), 'malformed'],
  ['no answer at all', () => '', 'lost'],
];

for (const [title, answer, failure] of answers) {
  test(`${title} is ${failure}`, async () => {
    await using service = await startService((socket, request) => {
      socket.end(answer(idOf(request)));
    });
    await assertFailure(call(service.port), failure);
  });
}

test('an answer in many small pieces is one answer', async () => {
  await using service = await startService((socket, request) => {
    const text = `{"jsonrpc":"2.0","id":"${idOf(request)}","result":"READY,PRINTER_READY"}`;
    for (const letter of text) socket.write(letter);
    socket.end();
  });
  assert.equal(await call(service.port), 'READY,PRINTER_READY');
});

test('a service that never answers runs into the time limit', async () => {
  await using service = await startService(() => undefined);
  await assertFailure(call(service.port, 100), 'timeout');
});

test('a service that answers but never closes runs into the time limit', async () => {
  await using service = await startService((socket, request) => {
    socket.write(`{"jsonrpc":"2.0","id":"${idOf(request)}","result":"OK"}`);
  });
  await assertFailure(call(service.port, 100), 'timeout');
});

test('a connection that breaks after the request was sent is lost, not unreachable', async () => {
  await using service = await startService((socket) => {
    socket.resetAndDestroy();
  });
  await assertFailure(call(service.port), 'lost');
});

test('a port where nobody listens is unreachable: nothing was sent', async () => {
  const service = await startService(() => undefined);
  await service[Symbol.asyncDispose]();
  await assertFailure(call(service.port), 'unreachable');
});

test('an answer of arbitrary bytes never passes and never hangs', async () => {
  let bytes: Uint8Array = new Uint8Array(0);
  await using service = await startService((socket) => {
    socket.end(bytes);
  });
  await fc.assert(
    fc.asyncProperty(fc.uint8Array({ maxLength: 200 }), async (arbitrary) => {
      bytes = arbitrary;
      await assertFailure(call(service.port), arbitrary.length === 0 ? 'lost' : 'malformed');
    }),
    { numRuns: 100 },
  );
});

test('the request names method and parameters, and a half-close ends it', async () => {
  let seen: unknown;
  await using service = await startService((socket, request) => {
    seen = JSON.parse(request);
    socket.end(`{"jsonrpc":"2.0","id":"${idOf(request)}","result":true}`);
  });
  assert.equal(await call(service.port), 'true');
  const { id, ...rest } = seen as { id: string };
  assert.ok(id.length > 10);
  assert.deepEqual(rest, { jsonrpc: '2.0', method: 'SUPERVISION.GetState', params: { device: 'any' } });
});
