import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { mkdir, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { type TestContext, test } from 'node:test';
import {
  type CaPublicKey,
  ccd3desProfile,
  createIssuerKeyRequest,
  importIssuerCertificate,
} from '@cardwright/dataprep';
import { openSoftwareKeys } from '@cardwright/keys';
import { TestSchemeCa } from '@cardwright/testkit';
import { openIssuerCertificates } from '../src/issuer-certificate-store.ts';

const { rid } = ccd3desProfile.emv;
const pan = '9999001234567890';
const fileName = 'issuer~1~999900.json';

/** A folder with a certificate of issuer/1 that a payment system's CA made. */
async function imported(t: TestContext, caIndex = '01') {
  const folder = await mkdtemp(join(tmpdir(), 'cardwright-certificates-'));
  const environment = 'test';
  const keys = await openSoftwareKeys({
    folder: join(folder, 'keys'),
    masterKey: randomBytes(32),
    environment,
  });
  t.after(async () => {
    await keys.close();
    await rm(folder, { recursive: true });
  });
  await keys.ensure('ca/1', { algorithm: 'RSA', usage: 'CA', bits: 1408 });
  await keys.ensure('issuer/1', { algorithm: 'RSA', usage: 'ISSUER', bits: 1408 });
  const schemeCa = new TestSchemeCa(1408, { rid, index: caIndex, expires: '4012' });
  const ca = schemeCa.publicKey();
  const wanted = { rid, caIndex, issuerNumber: '999900', expires: '3512' };
  const request = await createIssuerKeyRequest(keys, 'issuer/1', wanted);
  const answer = schemeCa.certify(request);
  const result = await importIssuerCertificate(keys, 'issuer/1', request, answer, { ca, todayYYMM: '3006' });
  assert.ok(result.ok);
  const { certificate } = result;
  const certificates = join(folder, 'certificates');
  const write = async (changes: object = {}): Promise<void> => {
    await mkdir(certificates, { recursive: true });
    await writeFile(join(certificates, fileName), JSON.stringify({ ...certificate, ...changes }));
  };
  const expired: string[] = [];
  const open = (cas: readonly CaPublicKey[], todayYYMM = '3006') =>
    openIssuerCertificates(keys, certificates, [ccd3desProfile], ['999900'], {
      cas,
      todayYYMM,
      onExpired: (issuerKey, number) => expired.push(`${issuerKey} ${number}`),
    });
  await write();
  return { certificate, certificates, ca, write, open, expired };
}

test('an imported certificate is used for its card numbers when its CA is trusted', async (t) => {
  const { certificate, ca, open, expired } = await imported(t);
  const store = await open([ca]);
  assert.deepEqual(store.find('issuer/1', pan), certificate);
  assert.deepEqual(expired, []);
});

test('a CA that is not trusted, or has another index than the product says, stops the start', async (t) => {
  const { ca, open } = await imported(t);
  await assert.rejects(open([]), /CA key that is not trusted/);
  const impostor = new TestSchemeCa(1408, { rid, index: '01', expires: '4012' }).publicKey();
  await assert.rejects(open([impostor]), /refused: OTHER_CA/);
  await assert.rejects(open([{ ...ca, sha1: '00'.repeat(20) }]), /refused: CA_KEY_HASH/);
  const other = await imported(t, '05');
  await assert.rejects(other.open([other.ca]), /CA key that is not trusted/);
});

test('every member of an imported certificate that was changed stops the start', async (t) => {
  const { certificate, ca, write, open, certificates } = await imported(t);
  const changed = (text: string): string => text.slice(0, -1) + (text.endsWith('0') ? '1' : '0');
  let members = 0;
  for (const [member, value] of Object.entries(certificate)) {
    if (value === '') continue;
    await write({ [member]: changed(value) });
    await assert.rejects(open([ca]), Error, member);
    members++;
  }
  assert.equal(members, 11);
  // Without the mark of an import it has to be of the vault's own CA, and is not.
  await write({ caExpires: undefined });
  await assert.rejects(open([ca]), /does not fit the keys/);
  assert.match(await readFile(join(certificates, fileName), 'utf8'), /certificate/);
});

test('an expired certificate is left out and told of; the start goes on', async (t) => {
  const { ca, open, expired } = await imported(t);
  const store = await open([ca], '3601');
  assert.equal(store.find('issuer/1', pan), undefined);
  await open([ca], '4101');
  assert.deepEqual(expired, ['issuer/1 999900', 'issuer/1 999900']);
  assert.ok((await open([ca], '3512')).find('issuer/1', pan));
});
