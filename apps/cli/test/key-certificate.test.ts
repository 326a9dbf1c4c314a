import assert from 'node:assert/strict';
import { readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { type TestContext, test } from 'node:test';
import { TestSchemeCa } from '@cardwright/testkit';
import { cardwright, makeVault } from './key-fixture.ts';

const names = { rid: 'F043415244', index: '05', expires: '4912' };
const request = [
  ...['certificate', 'request', 'issuer/1', '--rid', names.rid, '--ca-index', names.index],
  ...['--issuer-number', '999900', '--expires', '4506'],
];
type Request = Parameters<TestSchemeCa['certify']>[0];

/** A stopped vault with an issuer key, which trusts a CA. */
async function place(t: TestContext) {
  const ca = new TestSchemeCa(1408, names);
  const vault = await makeVault(t, { schemeCas: [{ keyFile: 'scheme-ca.json' }] });
  await writeFile(join(vault.folder, 'scheme-ca.json'), JSON.stringify(ca.publicKey()));
  const keys = await vault.open();
  await keys.ensure('issuer/1', { algorithm: 'RSA', usage: 'ISSUER', bits: 1408 });
  await keys.ensure('cvk/1', { algorithm: 'TDES-2KEY', usage: 'CVK' });
  await keys.close();
  return { ...vault, ca };
}

test('an issuer key is requested, certified by a CA and imported at the command line', async (t) => {
  const { folder, config, ca } = await place(t);
  const asked = cardwright(...request, '--vault', config);
  assert.deepEqual([asked.status, asked.stderr], [0, '']);
  const [requestFile, answerFile] = [join(folder, 'request.json'), join(folder, 'answer.json')];
  await writeFile(requestFile, asked.stdout);
  const answer = ca.certify(JSON.parse(asked.stdout) as Request);
  const importing = [
    ...['certificate', 'import', answerFile, '--name', 'issuer/1'],
    ...['--request', requestFile, '--vault', config],
  ];

  await writeFile(answerFile, JSON.stringify({ ...answer, trackingNumber: '000000' }));
  assert.match(cardwright(...importing).stderr, /^refused \(OTHER_REQUEST\)/);
  await writeFile(answerFile, JSON.stringify({ ...answer, certificate: `00${answer.certificate.slice(2)}` }));
  assert.match(cardwright(...importing).stderr, /^refused \((TRAILER|HEADER|HASH)\)/);
  await writeFile(answerFile, JSON.stringify({ ...answer, certificate: 'no' }));
  assert.match(cardwright(...importing).stderr, /answer\.json: certificate is/);

  await writeFile(answerFile, JSON.stringify(answer));
  assert.match(cardwright(...importing).stdout, /Imported .* issuer\/1 for 999900, valid until 4506/);
  const kept = join(folder, 'data', 'certificates', 'issuer~1~999900.json');
  const certificate = JSON.parse(await readFile(kept, 'utf8')) as Record<string, string>;
  assert.deepEqual(
    [certificate['certificate'], certificate['caIndex'], certificate['caExpires']],
    [answer.certificate, '05', '4912'],
  );
  const again = cardwright(...importing);
  assert.deepEqual([again.status, /--replace/.test(again.stderr)], [1, true]);
  assert.equal(cardwright(...importing, '--replace').status, 0);
});

test('a certificate is neither asked of nor taken from a CA that the configuration does not name', async (t) => {
  const { config } = await place(t);
  const other = request.with(request.indexOf('05'), '06');
  assert.match(cardwright(...other, '--vault', config).stderr, /names no CA key F043415244 06/);
  const late = request.with(request.indexOf('4506'), '4912');
  assert.equal(cardwright(...late, '--vault', config).status, 0);
  const cvk = request.with(request.indexOf('issuer/1'), 'cvk/1');
  assert.match(cardwright(...cvk, '--vault', config).stderr, /cvk\/1 \(CVK\) may not rsaPublic/);
  assert.equal(cardwright(...request.with(request.indexOf('4506'), '4513'), '--vault', config).status, 2);
});
