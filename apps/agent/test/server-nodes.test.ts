import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { createLogger, type MtlsClient } from '@cardwright/runtime';
import { createServerNodes } from '../src/link/server-nodes.ts';

const logger = createLogger('agent', { level: 'silent' });

/** A server that answers with a status, or does not answer at all. */
function node(origin: string): {
  origin: string;
  status: number | 'dead';
  calls: number;
  client: MtlsClient;
} {
  const made = {
    origin,
    status: 200 as number | 'dead',
    calls: 0,
    client: {
      request: async () => {
        made.calls++;
        await Promise.resolve();
        if (made.status === 'dead') throw Object.assign(new Error('refused'), { code: 'ECONNREFUSED' });
        return { status: made.status, headers: {}, body: origin };
      },
      stream: () => Promise.reject(new Error('closed')),
      close: () => Promise.resolve(),
    },
  };
  return made;
}

const ask = (client: MtlsClient): Promise<string> =>
  client.request({ method: 'GET', path: '/' }).then(
    (answer) => answer.body,
    () => 'no answer',
  );

describe('a station with several server nodes', () => {
  it('stays with the one that answers', async () => {
    const [a, b] = [node('a'), node('b')];
    const client = createServerNodes([a, b], logger);
    assert.deepEqual([await ask(client), await ask(client)], ['a', 'a']);
    assert.equal(b.calls, 0);
  });

  it('calls once, and reaches the next node with the next call', async () => {
    const [a, b] = [node('a'), node('b')];
    const client = createServerNodes([a, b], logger);
    a.status = 'dead';
    assert.equal(await ask(client), 'no answer');
    assert.deepEqual([a.calls, b.calls], [1, 0]);
    assert.equal(await ask(client), 'b');
  });

  it('leaves a node that lacks its database', async () => {
    const [a, b] = [node('a'), node('b')];
    const client = createServerNodes([a, b], logger);
    a.status = 503;
    assert.deepEqual([await ask(client), await ask(client)], ['a', 'b']);
  });

  it('moves by one node when many calls fail together, and comes round to the first', async () => {
    const nodes = [node('a'), node('b'), node('c')];
    const client = createServerNodes(nodes, logger);
    for (const one of nodes) one.status = 'dead';
    await Promise.all([ask(client), ask(client), ask(client)]);
    assert.deepEqual(
      nodes.map((one) => one.calls),
      [3, 0, 0],
    );
    for (const one of nodes) one.status = 200;
    assert.equal(await ask(client), 'b');
    for (const one of nodes.slice(1)) one.status = 'dead';
    await ask(client);
    await ask(client);
    assert.equal(await ask(client), 'a');
  });

  it('keeps a refusal: it is the answer of all nodes', async () => {
    const [a, b] = [node('a'), node('b')];
    const client = createServerNodes([a, b], logger);
    a.status = 409;
    assert.deepEqual([await ask(client), await ask(client)], ['a', 'a']);
  });
});
