import assert from 'node:assert/strict';
import { test } from 'node:test';
import { inspect } from 'node:util';
import { createLogger, looksLikeCardNumber, Sensitive, wipe } from '../src/index.ts';

function capture(): { lines: string[]; stream: { write(line: string): void } } {
  const lines: string[] = [];
  return { lines, stream: { write: (line) => void lines.push(line) } };
}

test('an event is one JSON line with the component, the name and its fields', () => {
  const { lines, stream } = capture();
  createLogger('server', { stream }).event('order.accepted', { operationId: 'op-1', durationMs: 12 });
  assert.equal(lines.length, 1);
  const record = JSON.parse(lines[0] ?? '') as Record<string, unknown>;
  assert.equal(record['component'], 'server');
  assert.equal(record['event'], 'order.accepted');
  assert.equal(record['operationId'], 'op-1');
});

test('a record in which anything looks like a card number is dropped, and the drop is told', () => {
  const { lines, stream } = capture();
  const log = createLogger('server', { stream });
  for (const leak of ['9999001234567891', 'name 4000 0012 3456 7899 x', '{"pan":"4000001234567899"}']) {
    log.event('some.event', { text: leak });
  }
  assert.equal(lines.length, 3);
  for (const line of lines) {
    assert.ok(line.includes('log.refused'));
    assert.equal(/\d{13}(?!\d*,)/.test(line.replace(/"time":"[^"]*"/, '')), false);
  }
});

test('identifiers, hexadecimal values and times are not taken for card numbers', () => {
  for (const harmless of [
    '0f5a1b52-8f43-4b7a-9999-001234567897',
    'AB9999001234567891',
    '080101010101010208010201',
    '9999001234567890',
    '',
  ]) {
    assert.equal(looksLikeCardNumber(harmless), false, harmless);
  }
});

test('a fault is logged by name, code and place, and its message is not', () => {
  const { lines, stream } = capture();
  const error = Object.assign(new Error('could not parse "secret input"'), { code: 'E_PARSE' });
  createLogger('vault', { stream }).fault('vault.failed', error);
  const line = lines[0] ?? '';
  assert.ok(line.includes('E_PARSE'));
  assert.equal(line.includes('secret input'), false);
});

test('a sensitive value shows nothing of itself until it is revealed', () => {
  const secret = new Sensitive('hunter2');
  for (const shown of [
    String(secret),
    JSON.stringify({ secret }),
    inspect(secret),
    inspect({ secret }, { depth: 5 }),
  ]) {
    assert.equal(shown.includes('hunter2'), false);
    assert.ok(shown.includes('[sensitive]'));
  }
  assert.equal(secret.reveal(), 'hunter2');
});

test('wiped bytes are zeros', () => {
  const bytes = Buffer.from('secret');
  wipe(bytes, undefined);
  assert.deepEqual([...bytes], [0, 0, 0, 0, 0, 0]);
});
