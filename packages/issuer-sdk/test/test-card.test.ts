/** Small pure parts: card numbers, credentials, waiting. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import {
  D1ApiError,
  defaultRetryPolicy,
  isValidPan,
  luhnCheckDigit,
  makeTestPan,
  maskPan,
  readBasicCredentials,
} from '../src/index.ts';
import { readRetryAfter } from '../src/d1-error.ts';
import { decideRetry } from '../src/retry-policy.ts';

test('the check digit of the published Luhn example is 3', () => {
  assert.equal(luhnCheckDigit('7992739871'), '3');
});

test('one changed digit of a card number is always noticed', () => {
  fc.assert(
    fc.property(fc.nat(15), fc.integer({ min: 1, max: 9 }), (at, shift) => {
      const pan = makeTestPan();
      assert.ok(isValidPan(pan));
      const digit = String((Number(pan.charAt(at)) + shift) % 10);
      assert.ok(!isValidPan(pan.slice(0, at) + digit + pan.slice(at + 1)));
    }),
  );
});

test('test card numbers stay under the sandbox prefix and are masked in the middle', () => {
  const pan = makeTestPan();
  assert.match(pan, /^999900\d{10}$/);
  assert.equal(maskPan(pan), `999900••••••${pan.slice(-4)}`);
});

test('basic credentials are read in both base64 alphabets, padded or not', () => {
  const text = 'client:s?>~:secret\u00FF';
  for (const encoded of [
    Buffer.from(text).toString('base64'),
    Buffer.from(text).toString('base64').replaceAll('=', ''),
    Buffer.from(text).toString('base64url'),
  ]) {
    assert.deepEqual(readBasicCredentials(`Basic ${encoded}`), {
      clientId: 'client',
      clientSecret: 's?>~:secret\u00FF',
    });
  }
  for (const header of [
    undefined,
    '',
    'Bearer abc',
    'Basic',
    'Basic ***',
    `Basic ${Buffer.from('x').toString('base64')}`,
  ]) {
    assert.equal(readBasicCredentials(header), undefined);
  }
});

test('waits grow, stay bounded, honour Retry-After and end with the attempts', () => {
  const busy = (retryAfterMs?: number) =>
    new D1ApiError({ status: 503, ...(retryAfterMs === undefined ? {} : { retryAfterMs }) });
  const policy = { ...defaultRetryPolicy, firstDelayMs: 100, longestDelayMs: 1_000, attempts: 9 };
  assert.equal(decideRetry(policy, busy(), 1, 0), 50);
  assert.equal(decideRetry(policy, busy(), 3, 0), 200);
  assert.equal(decideRetry(policy, busy(), 8, 0.999), 1_000);
  assert.equal(decideRetry(policy, busy(5_000), 1, 0), 5_000);
  assert.equal(decideRetry(policy, busy(31_000), 1, 0), undefined);
  assert.equal(decideRetry(policy, busy(), 9, 0), undefined);
  assert.equal(decideRetry(policy, new D1ApiError({ status: 409 }), 1, 0), undefined);
  assert.equal(decideRetry(policy, new Error('a bug'), 1, 0), undefined);
});

test('Retry-After is read as seconds or as a date, never negative, and nonsense is ignored', () => {
  const now = Date.parse('2025-01-17T06:00:00Z');
  assert.equal(readRetryAfter('7', now), 7_000);
  assert.equal(readRetryAfter('Fri, 17 Jan 2025 06:00:30 GMT', now), 30_000);
  assert.equal(readRetryAfter('Fri, 17 Jan 2025 05:00:00 GMT', now), 0);
  assert.equal(readRetryAfter('soon', now), undefined);
  assert.equal(readRetryAfter(undefined, now), undefined);
});
