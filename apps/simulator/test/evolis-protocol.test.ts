/** The service at its edges, over real sockets: what it refuses, and that it stays up. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { maxRequestBytes } from '../src/evolis/rpc-server.ts';
import { type RpcAnswer, callService, openSocket, readToEnd, sendRaw } from './evolis-client.ts';
import { type SimulatorRig, device, plainBitmap, startRig } from './simulator-rig.ts';

function errorOf(answer: RpcAnswer): number {
  assert.ok(answer.error !== undefined, JSON.stringify(answer));
  assert.equal(answer.result, undefined);
  return answer.error.code;
}

async function assertStillServing(rig: SimulatorRig): Promise<void> {
  assert.equal((await rig.call('SUPERVISION.GetState')).result, 'READY,PRINTER_READY');
}

async function beginPrint(rig: SimulatorRig): Promise<string> {
  const { result } = await rig.call('PRINT.Begin');
  assert.ok(result !== undefined);
  return result;
}

test('a request is answered once the client has half-closed, with its own id', async () => {
  await using rig = await startRig();
  const socket = await openSocket(rig.port);
  socket.write(`{"jsonrpc":"2.0","id":42,"method":"SUPERVISION.GetState",`);
  socket.end(`"params":{"device":"${device}"}}`);
  const answer = JSON.parse(await readToEnd(socket)) as RpcAnswer;
  assert.deepEqual(answer, { jsonrpc: '2.0', id: 42, result: 'READY,PRINTER_READY' });
});

test('bytes that are no request get the error that JSON-RPC has for them', async () => {
  await using rig = await startRig();
  const refused: readonly [string | Uint8Array, number][] = [
    ['', -32700],
    ['ready?', -32700],
    [Uint8Array.of(0xff, 0xfe, 0x00), -32700],
    ['[]', -32600],
    ['{"id":"1","method":"X","params":{}}', -32600],
    ['{"jsonrpc":"2.0","method":"X","params":{}}', -32600],
    ['{"jsonrpc":"2.0","id":"1","params":{}}', -32600],
    ['{"jsonrpc":"2.0","id":"1","method":"X"}', -32602],
    ['{"jsonrpc":"2.0","id":"1","method":"X","params":[]}', -32602],
    ['{"jsonrpc":"2.0","id":"1","method":"X","params":{}}', -32601],
  ];
  for (const [bytes, code] of refused) {
    assert.equal(errorOf(JSON.parse(await sendRaw(rig.port, bytes)) as RpcAnswer), code, String(bytes));
  }
  await assertStillServing(rig);
});

test('a client that never half-closes is cut off', async () => {
  await using rig = await startRig({ evolis: { host: '127.0.0.1', port: 0, requestTimeoutMs: 250 } });
  const socket = await openSocket(rig.port);
  socket.write('{"jsonrpc":"2.0"');
  assert.equal(await readToEnd(socket), '');
  await assertStillServing(rig);
});

test('a client that hangs up without a word disturbs nobody', async () => {
  await using rig = await startRig();
  (await openSocket(rig.port)).destroy();
  (await openSocket(rig.port)).resetAndDestroy();
  await assertStillServing(rig);
});

test('a request that is too large is cut off before it is read to its end', async () => {
  await using rig = await startRig();
  const socket = await openSocket(rig.port);
  socket.write(Buffer.alloc(maxRequestBytes + 1024, 0x20));
  const text = await readToEnd(socket);
  if (text !== '') assert.equal(errorOf(JSON.parse(text) as RpcAnswer), -32600);
  await assertStillServing(rig);
});

test('arbitrary bytes are answered or hung up on, and never bring the service down', async () => {
  await using rig = await startRig();
  await fc.assert(
    fc.asyncProperty(fc.uint8Array({ maxLength: 300 }), async (bytes) => {
      const answer = JSON.parse(await sendRaw(rig.port, bytes)) as RpcAnswer;
      assert.ok(errorOf(answer) <= -32600);
    }),
    { numRuns: 60 },
  );
  await assertStillServing(rig);
});

test('a printer of another name is not known', async () => {
  await using rig = await startRig();
  for (const method of ['SUPERVISION.GetState', 'SUPERVISION.GetEvent', 'CMD.GetStatus', 'PRINT.Begin']) {
    assert.equal(errorOf(await callService(rig.port, method, { device: 'Another' })), -60, method);
  }
  const move = await callService(rig.port, 'CMD.SendCommand', {
    device: 'Another',
    command: 'Sis',
    timeout: '1',
  });
  assert.equal(errorOf(move), -60);
  assert.equal(rig.ledger().counters.picked, 0);
});

test('an unknown print session is refused by every method that takes one', async () => {
  await using rig = await startRig();
  const session = 'DEADBEEF';
  const picture = { face: 'front', panel: 'color', data: plainBitmap() };
  assert.equal(errorOf(await rig.call('PRINT.Set', { session, data: 'GDuplexMode=SIMPLEX' })), -10);
  assert.equal(errorOf(await rig.call('PRINT.SetBitmap', { session, ...picture })), -10);
  assert.equal(errorOf(await rig.call('PRINT.Print', { session })), -10);
  assert.equal(errorOf(await rig.call('PRINT.End', { session })), -10);
  assert.equal(rig.ledger().counters.picked, 0);
});

test('a print session is held by one client, until it ends or lapses', async () => {
  await using rig = await startRig();
  const session = await beginPrint(rig);
  assert.equal(errorOf(await rig.call('PRINT.Begin')), -11);
  assert.equal((await rig.call('PRINT.End', { session })).result, 'OK');
  assert.equal(errorOf(await rig.call('PRINT.End', { session })), -10);
  const second = await beginPrint(rig);
  assert.notEqual(second, session);
  let third: string | undefined;
  for (const giveUpAt = Date.now() + 10_000; third === undefined && Date.now() < giveUpAt;) {
    third = (await rig.call('PRINT.Begin')).result;
  }
  assert.ok(third !== undefined, 'the session of a client that went away lapses');
  assert.equal(errorOf(await rig.call('PRINT.Set', { session: second, data: 'A=B' })), -10);
});

test('only a 24-bit bitmap of exactly one card side is taken', async () => {
  await using rig = await startRig();
  const session = await beginPrint(rig);
  const send = (changes: Readonly<Record<string, string>>): Promise<RpcAnswer> =>
    rig.call('PRINT.SetBitmap', {
      session,
      face: 'front',
      panel: 'color',
      data: plainBitmap(),
      ...changes,
    });
  const refused: readonly Readonly<Record<string, string>>[] = [
    { data: plainBitmap(648, 1016) },
    { data: plainBitmap(1016, 647) },
    { data: plainBitmap().slice(0, 1000) },
    { data: 'base64:' },
    { data: 'base64:!!!!' },
    { data: plainBitmap().replace('base64:', '') },
    { face: 'side' },
    { panel: 'varnish' },
  ];
  for (const changes of refused) assert.equal(errorOf(await send(changes)), -32602);
  assert.equal((await send({})).result, 'OK');
});

test('an empty job prints nothing and picks nothing', async () => {
  await using rig = await startRig();
  const session = await beginPrint(rig);
  assert.equal(errorOf(await rig.call('PRINT.Print', { session })), -32602);
  assert.equal(rig.ledger().counters.picked, 0);
});

test('without the manual tray the printer gives the card out by itself, and without duplex only the front', async () => {
  await using rig = await startRig();
  const session = await beginPrint(rig);
  for (const face of ['front', 'back']) {
    await rig.call('PRINT.SetBitmap', { session, face, panel: 'color', data: plainBitmap() });
  }
  await rig.call('PRINT.Set', { session, data: 'GDuplexMode=SIMPLEX;GOutputTray=HOPPER' });
  assert.equal((await rig.call('PRINT.Print', { session })).result, 'OK');
  const [card] = rig.ledger().cards;
  assert.equal(card?.position, 'exit');
  assert.ok(card.front !== null);
  assert.equal(card.back, null);
});

test('raw commands answer as the printer does, and one that it does not know moves nothing', async () => {
  await using rig = await startRig();
  const expected: Readonly<Record<string, RegExp>> = {
    'Rco;p': /^0$/,
    'Rco;x': /^ERROR CDE$/,
    Sxx: /^ERROR CDE$/,
    '': /^ERROR CDE$/,
    Rsn: /^[0-9A-F]{10}$/,
    Rtp: /^Cardwright Simulator$/,
    Rfv: /^SIM /,
    Si: /^OK$/,
    Sis: /^OK$/,
  };
  for (const [command, answer] of Object.entries(expected)) {
    assert.match((await rig.command(command)).result ?? '', answer, command);
  }
  assert.deepEqual(
    rig.ledger().counters,
    { picked: 1, ejected: 0, rejected: 0 },
    'Si and Sis share one card',
  );
});

test('nothing can be ejected or rejected out of an empty printer', async () => {
  await using rig = await startRig();
  for (const command of ['Se', 'Ser']) {
    const answer = await rig.command(command);
    assert.equal(errorOf(answer), -200);
    assert.match(answer.error?.message ?? '', /ERR_NO_CARD_INSERTED/);
  }
});

test('the status words follow the card', async () => {
  await using rig = await startRig();
  const information = async (): Promise<string | undefined> =>
    (await rig.call('CMD.GetStatus')).result?.split(',')[1];
  assert.equal(await information(), '00000000');
  await rig.command('Si');
  assert.equal(await information(), '10000000');
  await rig.command('Sis');
  assert.equal(await information(), '04000000');
  await rig.command('Se');
  assert.equal(await information(), '01000000');
  await rig.command('Ser');
  assert.equal(await information(), '00000000');
});

test('a printer that waits answers questions, refuses movements, and takes only an answer that it offers', async () => {
  await using rig = await startRig({ faults: ['feeder-empty-once'] });
  const feeding = rig.command('Sis');
  while ((await rig.call('SUPERVISION.GetEvent')).result === 'NONE');
  assert.equal((await rig.call('SUPERVISION.GetEvent')).result, 'DEF_FEEDER_EMPTY:RETRY,CANCEL');
  assert.equal((await rig.call('SUPERVISION.GetState')).result, 'WARNING,DEF_FEEDER_EMPTY');
  assert.equal(errorOf(await rig.command('Sis')), -63);
  for (const action of ['DEF_FEEDER_EMPTY:OK', 'ERR_MECHANICAL:RETRY', 'RETRY', '']) {
    assert.equal(errorOf(await rig.call('SUPERVISION.SetEvent', { action })), -32602, action);
  }
  assert.equal(
    (await callService(rig.port, 'SUPERVISION.SetEvent', { action: 'DEF_FEEDER_EMPTY:RETRY' })).result,
    'OK',
  );
  assert.equal((await feeding).result, 'OK');
  assert.equal((await rig.call('SUPERVISION.GetEvent')).result, 'NONE');
  assert.equal(rig.ledger().cards[0]?.position, 'contact');
});

test('a client that goes away does not stop the movement it began', async () => {
  await using rig = await startRig();
  const socket = await openSocket(rig.port);
  const params = { device, command: 'Sis', timeout: '5000' };
  socket.end(JSON.stringify({ jsonrpc: '2.0', id: 1, method: 'CMD.SendCommand', params }));
  while (rig.ledger().counters.picked === 0) await rig.call('SUPERVISION.GetState');
  socket.destroy();
  while (rig.ledger().cards[0]?.position !== 'contact') await rig.call('SUPERVISION.GetState');
  await assertStillServing(rig);
});
