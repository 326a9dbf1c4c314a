/** What every refusal must look like (OD-4.1, OD-4.4): two members, both texts, JSON, a correlation id. */
import assert from 'node:assert/strict';
import { type Answer } from './d1-client.ts';

/** @param error the exact field, or a pattern for the short texts of the codes that name none */
export function assertRefused(
  answer: Answer,
  status: number,
  errorCode: string,
  error: string | RegExp,
  what: string,
): void {
  const shown = `${what}: ${String(answer.status)} ${answer.text.slice(0, 300)}`;
  assert.equal(answer.status, status, shown);
  assert.deepEqual(Object.keys(answer.body).sort(), ['error', 'errorCode'], shown);
  assert.equal(answer.body['errorCode'], errorCode, shown);
  if (typeof error === 'string') assert.equal(answer.body['error'], error, shown);
  else assert.match(String(answer.body['error']), error, shown);
  assert.match(String(answer.headers['content-type']), /^application\/json(; charset=utf-8)?$/, shown);
  assert.match(String(answer.headers['x-correlation-id']), /^[A-Za-z0-9_-]{1,64}$/, shown);
}

/** A value that was sent must not come back, in no header and no body. */
export function assertNotEchoed(answer: Answer, canary: string, what: string): void {
  const everything = `${JSON.stringify(answer.headers)}${answer.text}`;
  assert.equal(everything.includes(canary), false, `${what}: the value came back`);
}
