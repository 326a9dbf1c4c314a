import assert from 'node:assert/strict';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, test } from 'node:test';
import { type StationJob, type StationPayload } from '@cardwright/protocol';
import { openPayload, readPayloadKey } from '../src/production/payload-opening.ts';
import { makePayloadKey } from './test-pki.ts';
import { encryptPayload } from './test-vault.ts';

const folder = mkdtempSync(join(tmpdir(), 'cardwright-payload-'));
after(() => {
  rmSync(folder, { recursive: true, force: true });
});
const { file, jwk } = await makePayloadKey(folder);
const key = await readPayloadKey(file);
const now = 1_800_000_000_000;

const payload: StationPayload = {
  jobId: 'job-1',
  stationId: 'station-1',
  epoch: 2,
  expiresAt: now + 1,
  design: 'aurora',
  isTestCard: true,
  print: { name: 'TARO YAMADA', pan: '**** 1234', expiry: '12/30', customLines: [] },
  verification: {
    aid: 'F0434152440001',
    pseAid: '31',
    ppseAid: '32',
    aip: '3900',
    afl: '08010100',
    records: [],
    capk: { rid: 'F043415244', index: '01', modulus: 'C1', exponent: '03' },
    panSha256: '00',
    atcStart: 0,
  },
};

function jobWith(jwe: string | undefined): StationJob {
  const common = { operationId: 'op-1', armed: false, productId: 'DEBIT_STD', leaseExpiresAt: now };
  return { ...common, jobId: 'job-1', epoch: 2, ...(jwe === undefined ? {} : { payload: jwe }) };
}

async function reasonFor(
  changes: Partial<StationPayload>,
  header: Record<string, string> = {},
): Promise<string> {
  const jwe = await encryptPayload(jwk, { ...payload, ...changes }, header);
  const opened = await openPayload(key, 'station-1', jobWith(jwe), now);
  return opened.ok ? 'opened' : opened.reason;
}

test('a payload for this station, job and epoch opens while it lives', async () => {
  assert.equal(await reasonFor({}), 'opened');
});

test('a payload for anybody or anything else is refused, naming the rule', async () => {
  assert.equal(await reasonFor({ stationId: 'station-2' }), 'OTHER_STATION');
  assert.equal(await reasonFor({ jobId: 'job-2' }), 'OTHER_JOB');
  assert.equal(await reasonFor({ epoch: 1 }), 'OTHER_EPOCH');
  assert.equal(await reasonFor({ epoch: 3 }), 'OTHER_EPOCH');
  assert.equal(await reasonFor({ expiresAt: now }), 'EXPIRED');
});

test('other algorithms, compression and other keys are refused alike', async () => {
  assert.equal(await reasonFor({}, { enc: 'A128GCM' }), 'UNREADABLE');
  assert.equal(await reasonFor({}, { alg: 'ECDH-ES+A256KW' }), 'UNREADABLE');
  const other = await makePayloadKey(folder);
  const foreign = await encryptPayload(other.jwk, payload);
  assert.deepEqual(await openPayload(key, 'station-1', jobWith(foreign), now), {
    ok: false,
    reason: 'UNREADABLE',
  });
  const zipped = await encryptPayload(jwk, payload, { zip: 'DEF' });
  assert.ok(zipped.length < (await encryptPayload(jwk, payload)).length, 'it is really compressed');
  assert.deepEqual(await openPayload(key, 'station-1', jobWith(zipped), now), {
    ok: false,
    reason: 'UNREADABLE',
  });
});

test('a claim without a payload and a payload with an unknown member are refused', async () => {
  assert.deepEqual(await openPayload(key, 'station-1', jobWith(undefined), now), {
    ok: false,
    reason: 'ABSENT',
  });
  assert.equal(await reasonFor({ pin: '1234' } as unknown as Partial<StationPayload>), 'MALFORMED');
});
