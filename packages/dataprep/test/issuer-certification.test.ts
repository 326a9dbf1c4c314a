import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test, type TestContext } from 'node:test';
import { hex, recoverIssuerCertificate, sha1, unhex, verifyIssuerKeyRequest } from '@cardwright/emv';
import { openSoftwareKeys, type SoftwareKeys } from '@cardwright/keys';
import { check } from '@cardwright/protocol';
import { type SchemeCaMistakes, TestSchemeCa } from '@cardwright/testkit';
import {
  createIssuerKeyRequest,
  importIssuerCertificate,
  IssuerCertificateResponse,
  IssuerKeyRequest,
} from '../src/index.ts';

const wanted = { rid: 'F043415244', caIndex: '05', issuerNumber: '999900', expires: '3512' };
const names = { rid: 'F043415244', index: '05', expires: '4012' };
const todayYYMM = '3006';

interface Rig {
  readonly keys: SoftwareKeys;
  readonly ca: TestSchemeCa;
  readonly request: IssuerKeyRequest;
}

async function rig(t: TestContext, issuerBits = 1408): Promise<Rig> {
  const folder = await mkdtemp(join(tmpdir(), 'cardwright-certification-'));
  const keys = await openSoftwareKeys({ folder, masterKey: randomBytes(32), environment: 'test' });
  t.after(async () => {
    await keys.close();
    await rm(folder, { recursive: true });
  });
  await keys.ensure('issuer/1', { algorithm: 'RSA', usage: 'ISSUER', bits: issuerBits });
  await keys.ensure('issuer/2', { algorithm: 'RSA', usage: 'ISSUER', bits: issuerBits });
  const ca = new TestSchemeCa(1408, names);
  return { keys, ca, request: await createIssuerKeyRequest(keys, 'issuer/1', wanted) };
}

const judge = ({ keys, ca, request }: Rig, response: IssuerCertificateResponse, changes: object = {}) =>
  importIssuerCertificate(keys, 'issuer/1', request, response, {
    ca: { ...ca.publicKey(), ...changes },
    todayYYMM,
  });

test('a requested certificate comes back, is checked, and recovers at a terminal to our key', async (t) => {
  for (const bits of [1024, 1120, 1408]) {
    const all = await rig(t, bits);
    const { keys, ca, request } = all;
    assert.equal(check(IssuerKeyRequest, JSON.parse(JSON.stringify(request))).ok, true);
    const response = ca.certify(request);
    assert.equal(check(IssuerCertificateResponse, JSON.parse(JSON.stringify(response))).ok, true);
    const imported = await judge(all, response);
    assert.ok(imported.ok);
    const { certificate: issued } = imported;
    const recovered = recoverIssuerCertificate(
      { modulus: unhex(issued.caModulus), exponent: unhex(issued.caExponent) },
      {
        cert90: unhex(issued.certificate),
        remainder92: unhex(issued.remainder),
        exponent9F32: unhex(issued.issuerExponent),
      },
      { pan: '9999001234567890', todayYYMM },
    );
    assert.ok(recovered.ok);
    const ours = await keys.rsaPublic(await keys.find('issuer/1'));
    assert.equal(hex(recovered.key.modulus), hex(ours.modulus));
    assert.deepEqual([issued.issuerNumber, issued.expires], ['999900', '3512']);
  }
});

test('every changed byte of a request is refused by the CA', async (t) => {
  const { ca, request } = await rig(t);
  for (const member of ['modulus', 'exponent', 'selfSignature'] as const) {
    const bytes = unhex(request[member]);
    for (let index = 0; index < bytes.length; index += 7) {
      const changed = bytes.slice();
      changed[index] = (changed[index] ?? 0) ^ 0x10;
      assert.throws(() => ca.certify({ ...request, [member]: hex(changed) }), /the request is refused/);
    }
  }
  for (const changes of [{ issuerNumber: '999901' }, { expires: '3511' }, { trackingNumber: '000000' }]) {
    assert.throws(() => ca.certify({ ...request, ...changes }), /OTHER_FIELDS/);
  }
  const stranger = await rig(t);
  const key = { modulus: unhex(stranger.request.modulus), exponent: unhex(stranger.request.exponent) };
  assert.equal(verifyIssuerKeyRequest(key, unhex(request.selfSignature)).ok, false);
});

/** The block with a byte changed and the hash over it right again: what a careless CA would sign. */
function withByte(at: number, value: number, all: Rig): (block: Uint8Array) => Uint8Array {
  return (block) => {
    const changed = block.slice();
    changed[at] = value;
    const modulus = unhex(all.request.modulus);
    const remainder = modulus.slice(block.length - 36);
    changed.set(sha1(changed.subarray(1, -21), remainder, unhex(all.request.exponent)), changed.length - 21);
    return changed;
  };
}

test('what a CA may get wrong is refused by name', async (t) => {
  const all = await rig(t, 1024);
  const { keys, ca, request } = all;
  const other = await keys.rsaPublic(await keys.find('issuer/2'));
  const flipped = (at: number) => (block: Uint8Array) => {
    const changed = block.slice();
    const index = at < 0 ? block.length + at : at;
    changed[index] = (changed[index] ?? 0) ^ 0x55;
    return changed;
  };
  const cases: readonly (readonly [string, SchemeCaMistakes])[] = [
    ['HEADER', { block: flipped(0) }],
    ['FORMAT', { block: flipped(1) }],
    ['TRAILER', { block: flipped(-1) }],
    ['HASH', { block: flipped(-5) }],
    ['HASH', { block: flipped(20) }],
    // The hash algorithm, then that of the key: nothing but SHA-1 and RSA exists.
    ['ALGORITHM', { block: withByte(11, 0x02, all) }],
    ['ALGORITHM', { block: withByte(12, 0x02, all) }],
    ['KEY', { block: withByte(13, 0xf0, all) }],
    ['KEY', { block: withByte(14, 0x03, all) }],
    ['PADDING', { block: withByte(150, 0x00, all) }],
    ['ISSUER_NUMBER', { issuerNumber: '999901' }],
    // A longer or shorter number is another number, although it is a prefix.
    ['ISSUER_NUMBER', { issuerNumber: '99990' }],
    ['ISSUER_NUMBER', { issuerNumber: '9999000' }],
    ['EXPIRED', { expiryMMYY: '0530' }],
    ['OUTLIVES_CA', { expiryMMYY: '0141' }],
    ['OTHER_KEY', { issuerKey: other }],
  ];
  for (const [reason, mistakes] of cases) {
    const judged = await judge(all, ca.certify(request, mistakes));
    assert.deepEqual(judged, { ok: false, reason }, reason);
  }
});

test('another CA, another request, an expired CA key and a CA key without its check sum are refused by name', async (t) => {
  const all = await rig(t);
  const { ca, request } = all;
  const response = ca.certify(request);
  const impostor = new TestSchemeCa(1408, names).certify(request);
  const remainder = unhex(response.remainder);
  remainder[0] = (remainder[0] ?? 0) ^ 1;
  const refused = async (changed: object, ofCa: object = {}): Promise<string> => {
    const judged = await judge(all, { ...response, ...changed }, ofCa);
    assert.ok(!judged.ok);
    return judged.reason;
  };
  assert.equal(await refused({ trackingNumber: '000000' }), 'OTHER_REQUEST');
  assert.equal(await refused({ caIndex: '06' }), 'OTHER_CA');
  assert.equal(await refused({ rid: 'A000000003' }), 'OTHER_CA');
  assert.equal(await refused({}, { sha1: '00'.repeat(20) }), 'CA_KEY_HASH');
  assert.equal(await refused({}, { exponent: '010001' }), 'CA_KEY_HASH');
  assert.equal(await refused({}, { expires: '3005' }), 'CA_EXPIRED');
  assert.equal(await refused({ remainder: hex(remainder) }), 'HASH');
  assert.equal(await refused({ exponent: '010001' }), 'HASH');
  assert.equal(await refused({ certificate: response.certificate.slice(2) }), 'LENGTH');
  // The impostor's signature opens to nonsense, or not at all.
  assert.match(await refused({ certificate: impostor.certificate }), /^(TRAILER|LENGTH|HEADER)$/);
});
