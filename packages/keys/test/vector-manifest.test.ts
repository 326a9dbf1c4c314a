/**
 * Which suite runs which group of the published vectors on the software adapter, and that none of its vectors was left
 * out when the group was copied. What the adapter does not do is named, with the suite that runs the group all the same.
 */
import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { test } from 'node:test';
import { unhex } from '@cardwright/emv';
import { openTestKeys } from './key-fixture.ts';

interface Coverage {
  /** Vectors in the published collection. */
  readonly count: number;
  readonly suite: string;
  readonly file: string;
  /** How many of them the adapter does not run, and why; the suite named in `elsewhere` runs those. */
  readonly without?: { readonly count: number; readonly reason: string; readonly elsewhere: string };
}

const port = { suite: 'keys/test/published-vectors.test.ts', file: 'keys/test/vectors/port-vectors.json' };
const blocks = { suite: 'keys/test/key-block.test.ts', file: 'keys/test/vectors/key-block-vectors.json' };
const channels = {
  suite: 'personalization/test/secure-channel.test.ts',
  file: 'personalization/test/vectors/secure-channel-vectors.json',
};

const manifest: Readonly<Record<string, Coverage>> = {
  kcv: { ...port, count: 12 },
  aesCmac: { ...port, count: 3 },
  retailMac: { ...port, count: 2 },
  udk: { ...port, count: 12 },
  sessionKey: {
    ...port,
    count: 5,
    without: {
      count: 1,
      reason: 'the Visa secure messaging key: no card here uses it',
      elsewhere: 'emv/test/key-derivation.test.ts',
    },
  },
  applicationCryptogram: { ...port, count: 9 },
  arpc: { ...port, count: 9 },
  issuerScript: { ...port, count: 2 },
  cvv: { ...port, count: 4 },
  pvv: { ...port, count: 4 },
  ibm3624: {
    suite: 'emv/test/pin.test.ts',
    file: 'emv/test/vectors/pin.json',
    count: 3,
    without: {
      count: 3,
      reason: 'PINs that a bank makes: nothing here makes PINs',
      elsewhere: 'emv/test/pin.test.ts',
    },
  },
  pinBlock: {
    ...port,
    count: 10,
    without: {
      count: 1,
      reason: 'a card number of fewer digits than the port takes',
      elsewhere: 'emv/test/pin.test.ts',
    },
  },
  tr31: { ...blocks, count: 14 },
  tr31Derivation: { ...blocks, count: 3 },
  cpsKdf: { ...port, count: 2 },
  // Session and sdekEncryptOfKey both.
  scp02: { ...channels, count: 2 },
  scp03: {
    ...channels,
    count: 10,
    without: {
      count: 3,
      reason: 'AES-192: refused by name, below',
      elsewhere: 'emv/test/scp03-channel.test.ts',
    },
  },
  emvCertificates: {
    suite: 'emv/test/published-certificates.test.ts',
    file: 'emv/test/vectors/certificates.json',
    count: 2,
    without: {
      count: 2,
      reason: 'verification only: no private key is published',
      elsewhere: 'emv/test/published-certificates.test.ts',
    },
  },
};

const packages = new URL('../../', import.meta.url);
const textOf = (path: string): string => readFileSync(new URL(path, packages), 'utf8');
/** The suite, or the module beside it that reads its vectors. */
const readsVectors = (suite: string, file: string): boolean => {
  const text = textOf(suite);
  const folder = suite.slice(0, suite.lastIndexOf('/') + 1);
  const beside = [...text.matchAll(/from '\.\/([\w-]+\.ts)'/g)].map(([, name]) =>
    textOf(`${folder}${name ?? ''}`),
  );
  const name = file.slice(file.lastIndexOf('/') + 1, -'.json'.length);
  const isNamed = new RegExp(`['/]${name}(\\.json)?'`);
  return [text, ...beside].some((one) => isNamed.test(one));
};

test('each of the 18 groups is copied whole, and read by the suite that runs it', () => {
  assert.equal(Object.keys(manifest).length, 18);
  for (const [group, { count, suite, file }] of Object.entries(manifest)) {
    const copied = JSON.parse(textOf(file)) as Readonly<Record<string, readonly unknown[] | undefined>>;
    assert.equal(copied[group]?.length, count, group);
    assert(readsVectors(suite, file), `${suite} reads ${file}`);
    assert.match(textOf(suite), new RegExp(`\\b${group}\\b`), `${suite} names ${group}`);
  }
  assert.equal(
    Object.values(manifest).reduce((sum, { count }) => sum + count, 0),
    108,
  );
});

test('what the adapter leaves out is run elsewhere', () => {
  const left = Object.entries(manifest).flatMap(([group, { without }]) =>
    without ? [{ group, ...without }] : [],
  );
  for (const { group, elsewhere } of left) {
    assert.match(textOf(elsewhere), new RegExp(`\\b${group}\\b`), `${elsewhere} runs ${group}`);
  }
  assert.deepEqual(
    left.map(({ group, count }) => `${group} ${count}`),
    ['sessionKey 1', 'ibm3624 3', 'pinBlock 1', 'scp03 3', 'emvCertificates 2'],
  );
});

interface Static {
  readonly name: string;
  readonly enc?: string;
}

test('the AES-192 keys of the SCP03 vectors are refused by name', async (t) => {
  const { scp03 } = JSON.parse(textOf(channels.file)) as { readonly scp03: readonly Static[] };
  const strange = scp03.filter(({ enc = '' }) => enc.length === 48);
  assert.equal(strange.length, manifest['scp03']?.without?.count);
  const { keys } = await openTestKeys(t);
  for (const { name, enc = '' } of strange) {
    for (const algorithm of ['AES-128', 'AES-256'] as const) {
      await assert.rejects(
        keys.ensure('kmc/1', { algorithm, usage: 'KMC', value: unhex(enc) }),
        { code: 'KEY_STORE', message: `the value for key kmc/1 is no ${algorithm} key` },
        name,
      );
    }
  }
});
