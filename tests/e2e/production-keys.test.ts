/** A vault in production starts when people have brought every key that its products name into the token, not before. */
import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { generateKeyPairSync, randomBytes, randomUUID } from 'node:crypto';
import { readFileSync, writeFileSync } from 'node:fs';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test, type TestContext } from 'node:test';
import { fileURLToPath } from 'node:url';
import { aesKcv, hex, xorBytes } from '@cardwright/emv';
import {
  CeremonyTranscript,
  KeyCeremony,
  type KeySpec,
  openPkcs11Keys,
  type Pkcs11Keys,
  openSoftwareKeys,
  verifyCeremonyTranscript,
} from '@cardwright/keys';
import { type PrepareAnswer, vaultPaths } from '@cardwright/protocol';
import { TestSchemeCa } from '@cardwright/testkit';
import {
  makeVaultFolder,
  prepareRequest,
  removeVaultFolder,
  runVault,
  useToken,
  type VaultFolder,
} from '../../apps/vault/test/vault-fixture.ts';
import { type TestToken } from '../../tools/pkcs11-tokens.ts';

const cli = fileURLToPath(new URL('../../apps/cli/src/main.ts', import.meta.url));
const caNames = [
  { rid: 'F043415244', index: '01', expires: '4912' },
  { rid: 'F043415244', index: '02', expires: '4912' },
] as const;

/** Keys whose absence stops the start. */
async function refusedFor(place: VaultFolder): Promise<string[]> {
  const error: unknown = await runVault(place).then(
    async (vault) => {
      await vault.stop();
      throw new Error('the vault started');
    },
    (refusal: unknown) => refusal,
  );
  const { code, faults } = error as { readonly code?: string; readonly faults: readonly string[] };
  assert.equal(code, 'CONFIG_INVALID', String(error));
  return faults.map((fault) => /needs key (\S+) in the token/.exec(fault)?.[1] ?? fault);
}

/** The token as the offline commands open it. */
async function withToken(
  place: VaultFolder,
  token: TestToken,
  work: (keys: Pkcs11Keys) => Promise<void>,
): Promise<void> {
  const keys = await openPkcs11Keys({
    module: token.module,
    token: token.token,
    pin: new TextEncoder().encode(token.pin),
    environment: 'production',
    registerFile: join(place.folder, 'data/keys/register.sqlite'),
    isExclusive: true,
    allowHostKeyBytes: ['holdCeremony', 'importKeyBlock'],
  });
  await work(keys).finally(() => keys.close());
}

/** A ceremony with three custodians, as at the terminal. Its transcript is verified. */
async function holdCeremony(
  place: VaultFolder,
  keys: Pkcs11Keys,
  components: readonly Uint8Array[],
): Promise<void> {
  const { privateKey, publicKey } = generateKeyPairSync('ed25519');
  const file = join(place.folder, 'kbpk-1.ceremony');
  const pem = privateKey.export({ format: 'pem', type: 'pkcs8' }).toString();
  const transcript = new CeremonyTranscript(file, pem, Date.now);
  const plan = {
    ceremonyId: randomUUID(),
    keyName: 'kbpk/1',
    algorithm: 'AES-256',
    usage: 'KBPK',
    environment: 'production',
    exportability: 'N',
    components: 3,
    witness: 'Wanda Weiss',
  } as const;
  const ceremony = new KeyCeremony(plan, keys.management, transcript);
  for (const [index, component] of components.entries()) {
    ceremony.openSession(['Aiko', 'Ben', 'Chiyo'][index] ?? '', index + 1);
    ceremony.enterComponent(Uint8Array.from(component));
    assert.deepEqual(ceremony.confirmComponent(hex(aesKcv(component))), { ok: true });
    ceremony.closeSession();
  }
  const combined = ceremony.combine();
  assert(combined.ok);
  assert((await ceremony.confirmKey(combined.checkValue ?? '')).ok);
  transcript.close();
  const publicPem = publicKey.export({ format: 'pem', type: 'spki' }).toString();
  const verdict = verifyCeremonyTranscript(readFileSync(file, 'utf8'), publicPem);
  assert(verdict.ok);
  assert.match(verdict.ceremony.keeper ?? '', /^PKCS#11 token cardwright \(serial [0-9a-f]+\)/);
}

/** Key blocks of the bank's key manager, by name. */
async function blocksOf(
  t: TestContext,
  kbpk: Uint8Array,
  names: readonly string[],
): Promise<Map<string, string>> {
  const folder = await mkdtemp(join(tmpdir(), 'cardwright-bank-'));
  t.after(() => rm(folder, { recursive: true }));
  const environment = 'production';
  const bank = await openSoftwareKeys({
    folder,
    masterKey: randomBytes(32),
    environment,
    productionForTests: true,
  });
  try {
    const protection = await bank.ensure('kbpk/1', { algorithm: 'AES-256', usage: 'KBPK', value: kbpk });
    const blocks = new Map<string, string>();
    for (const name of names) {
      const key = await bank.ensure(name, specOf(name), { exportability: 'E' });
      const made = await bank.management.exportKeyBlock(protection, key, 'E');
      assert(made.ok);
      blocks.set(name, made.block);
    }
    return blocks;
  } finally {
    await bank.close();
  }
}

function specOf(name: string): KeySpec {
  const [family = ''] = name.split('/');
  if (family === 'kmc-scp03') return { algorithm: 'AES-128', usage: 'KMC' };
  const usage = family === 'kmc-scp02' ? 'KMC' : (family.toUpperCase() as 'CVK' | 'PVK' | 'IMK-AC');
  return { algorithm: 'TDES-2KEY', usage };
}

function cardwright(place: VaultFolder, ...args: string[]): string {
  const given = [cli, 'key', ...args, '--vault', place.configFile];
  const { status, stdout, stderr } = spawnSync(process.execPath, given, { encoding: 'utf8' });
  assert.deepEqual([status, stderr], [0, ''], args.join(' '));
  return stdout;
}

function certify(place: VaultFolder, ca: TestSchemeCa, issuerKey: string, index: string): void {
  const number = ['--issuer-number', '999900', '--expires', '4506'];
  const ofCa = ['--rid', 'F043415244', '--ca-index', index];
  const request = cardwright(place, 'certificate', 'request', issuerKey, ...ofCa, ...number);
  const [asked, answer] = ['request.json', 'answer.json'].map((name) => join(place.folder, name));
  writeFileSync(asked ?? '', request);
  const certificate = ca.certify(JSON.parse(request) as Parameters<TestSchemeCa['certify']>[0]);
  writeFileSync(answer ?? '', JSON.stringify(certificate));
  const naming = ['--name', issuerKey, '--request', asked ?? ''];
  cardwright(place, 'certificate', 'import', answer ?? '', ...naming);
}

test('production starts only after ceremony, key blocks and certificates brought what its products name', async (t) => {
  const cas = caNames.map((names) => new TestSchemeCa(1408, names));
  const schemeCas = caNames.map(({ index }) => ({ keyFile: `ca-${index}.json` }));
  const place = await makeVaultFolder({ environment: 'production', iccKeyPoolSize: 0, schemeCas });
  t.after(() => removeVaultFolder(place));
  for (const [at, { index }] of caNames.entries()) {
    writeFileSync(join(place.folder, `ca-${index}.json`), JSON.stringify(cas[at]?.publicKey()));
  }
  const forPins = ['checkPinBlock', 'pvv', 'wrapPinForCard'];
  const forEntry = ['holdCeremony', 'importKeyBlock'];
  const allowHostKeyBytes = ['wrapRsaForCard', 'openJwe', ...forPins, ...forEntry];
  const token = await useToken(place, 'softhsm', { allowHostKeyBytes });

  const missing = await refusedFor(place);
  const families = [1, 2].flatMap((version) =>
    ['imk-ac', 'imk-smi', 'imk-smc', 'cvk', 'pvk', 'issuer', 'ca'].map((family) => `${family}/${version}`),
  );
  assert.deepEqual(missing.toSorted(), [...families, 'kmc-scp02/1', 'kmc-scp03/1'].toSorted());

  const components = [1, 2, 3].map(() => Uint8Array.from(randomBytes(32)));
  const kbpk = components.reduce<Uint8Array>((sum, one) => xorBytes(sum, one), new Uint8Array(32));
  const symmetric = missing.filter((name) => !/^(issuer|ca)\//.test(name));
  const [[firstName, firstBlock] = ['', ''], ...others] = await blocksOf(t, kbpk, symmetric);
  await withToken(place, token, async (keys) => {
    await holdCeremony(place, keys, components);
    const protection = await keys.find('kbpk/1');
    for (const [name, block] of others) {
      assert((await keys.management.importKeyBlock(protection, block, { name, custodian: 'Aiko' })).ok);
    }
  });
  const file = join(place.folder, 'key.block');
  writeFileSync(file, firstBlock);
  cardwright(place, 'import', file, '--name', firstName, '--kbpk', 'kbpk/1', '--custodian', 'Aiko');
  for (const name of ['issuer/1', 'issuer/2']) {
    cardwright(place, 'generate', name, '--usage', 'ISSUER', '--custodian', 'Ben');
  }
  assert.deepEqual((await refusedFor(place)).toSorted(), ['ca/1', 'ca/2']);
  for (const [at, { index }] of caNames.entries()) {
    const ca = cas[at];
    assert(ca);
    certify(place, ca, `issuer/${at + 1}`, index);
  }

  const vault = await runVault(place);
  t.after(() => vault.stop());
  const answer = (await vault.post(vaultPaths.prepare, await prepareRequest(vault))).json as PrepareAnswer;
  assert.equal(answer.result, 'prepared');
  for (const secret of [kbpk, ...components]) assert.equal(vault.log().includes(hex(secret)), false);
});
