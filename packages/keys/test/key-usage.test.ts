import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import {
  type EncipheredPin,
  type IssuerPinFormat,
  KeyError,
  type KeyHandle,
  type KeyStore,
  type KeyUsage,
  type KeyManagement,
} from '../src/index.ts';
import { testOverAdapters } from './key-adapters.ts';
import { type Bench, type Kind, makeBench, pick } from './usage-bench.ts';

const tdesKinds: readonly Kind[] = [
  'IMK-AC/TDES-2KEY',
  'IMK-SMI/TDES-2KEY',
  'IMK-SMC/TDES-2KEY',
  'CVK/TDES-2KEY',
  'PIN/TDES-2KEY',
  'PVK/TDES-2KEY',
  'KBPK/TDES-2KEY',
  'KMC/TDES-2KEY',
  'CARD-STATIC/TDES-2KEY',
  'CARD-SESSION/TDES-2KEY',
  'UDK/TDES-2KEY',
  'AC-SESSION/TDES-2KEY',
];
const aesSession: readonly Kind[] = ['CARD-SESSION/AES-128', 'CARD-SESSION/AES-256'];

interface Case<K extends KeyStore = KeyStore> {
  readonly run: (keys: K, key: KeyHandle, bench: Bench) => Promise<unknown>;
  /** Everything else must be refused. */
  readonly allowed: readonly Kind[];
}

const iv8 = new Uint8Array(8);
const iv16 = new Uint8Array(16);
const block = new Uint8Array(16).fill(7);

/** A block of the right length that is no PIN: what may open it gets as far as finding that out. */
function randomPin(bench: Bench, format: IssuerPinFormat): EncipheredPin {
  const key = pick(bench, format === 'ISO9564-4' ? 'PIN/AES-128' : 'PIN/TDES-2KEY');
  return { key, format, block: randomBytes(format === 'ISO9564-4' ? 16 : 8), pan: '9999001234567892' };
}

async function judged(opening: Promise<unknown>): Promise<void> {
  await assert.rejects(opening, (error) => {
    if (error instanceof KeyError && error.code === 'PIN_BLOCK_INVALID') return true;
    throw error;
  });
}

/** The expected policy, written down a second time on purpose. */
const cases = {
  tdesCbcEncrypt: {
    run: (keys, key) => keys.tdesCbcEncrypt(key, iv8, block),
    allowed: ['CARD-SESSION/TDES-2KEY'],
  },
  retailMac: {
    run: (keys, key) => keys.retailMac(key, block, 2),
    allowed: ['CARD-SESSION/TDES-2KEY', 'AC-SESSION/TDES-2KEY'],
  },
  desFirstHalfEncrypt: {
    run: (keys, key) => keys.desFirstHalfEncrypt(key, iv8),
    allowed: ['CARD-SESSION/TDES-2KEY'],
  },
  aesCmac: { run: (keys, key) => keys.aesCmac(key, block), allowed: aesSession },
  aesEcbEncrypt: { run: (keys, key) => keys.aesEcbEncrypt(key, block), allowed: aesSession },
  aesCbcEncrypt: { run: (keys, key) => keys.aesCbcEncrypt(key, iv16, block), allowed: aesSession },
  hmac: { run: (keys, key) => keys.hmac(key, block), allowed: ['TOKEN/HMAC-SHA256'] },
  wrapForCardTdes: {
    run: (keys, key, bench) => keys.wrapForCard(key, 'TDES-ECB', [pick(bench, 'UDK/TDES-2KEY')]),
    allowed: ['CARD-SESSION/TDES-2KEY'],
  },
  wrapForCardAes: {
    run: (keys, key, bench) => keys.wrapForCard(key, 'AES-CBC', [pick(bench, 'UDK/TDES-2KEY')]),
    allowed: ['CARD-STATIC/AES-128', 'CARD-STATIC/AES-256'],
  },
  wrappedForCard: {
    run: (keys, key, bench) => keys.wrapForCard(pick(bench, 'CARD-SESSION/TDES-2KEY'), 'TDES-ECB', [key]),
    allowed: ['UDK/TDES-2KEY'],
  },
  wrapRsaForCardTdes: {
    run: (keys, key, bench) => keys.wrapRsaForCard(key, 'TDES-ECB', pick(bench, 'ICC/RSA')),
    allowed: ['CARD-SESSION/TDES-2KEY'],
  },
  wrapRsaForCardAes: {
    run: (keys, key, bench) => keys.wrapRsaForCard(key, 'AES-CBC', pick(bench, 'ICC/RSA')),
    allowed: ['CARD-STATIC/AES-128', 'CARD-STATIC/AES-256'],
  },
  wrappedRsaForCard: {
    run: (keys, key, bench) => keys.wrapRsaForCard(pick(bench, 'CARD-STATIC/AES-128'), 'AES-CBC', key),
    allowed: ['ICC/RSA'],
  },
  kcv: { run: (keys, key) => keys.kcv(key), allowed: tdesKinds },
  rsaPublic: { run: (keys, key) => keys.rsaPublic(key), allowed: ['CA/RSA', 'ISSUER/RSA', 'ICC/RSA'] },
  rsaRawSign: {
    run: (keys, key) => keys.rsaRawSign(key, new Uint8Array(128).fill(1)),
    allowed: ['CA/RSA', 'ISSUER/RSA'],
  },
  cvv: {
    run: (keys, key) => keys.cvv(key, '4123456789012345', '8701', '101'),
    allowed: ['CVK/TDES-2KEY'],
  },
  pvv: {
    run: (keys, key, bench) => judged(keys.pvv(key, '1', randomPin(bench, 'ISO9564-4'))),
    allowed: ['PVK/TDES-2KEY'],
  },
  checkPinBlockTdes: {
    run: (keys, key, bench) => judged(keys.checkPinBlock({ ...randomPin(bench, 'ISO9564-0'), key })),
    allowed: ['PIN/TDES-2KEY'],
  },
  checkPinBlockAes: {
    run: (keys, key, bench) => judged(keys.checkPinBlock({ ...randomPin(bench, 'ISO9564-4'), key })),
    allowed: ['PIN/AES-128', 'PIN/AES-256'],
  },
  pvvOfPin: {
    run: (keys, key, bench) =>
      judged(keys.pvv(pick(bench, 'PVK/TDES-2KEY'), '1', { ...randomPin(bench, 'ISO9564-3'), key })),
    allowed: ['PIN/TDES-2KEY'],
  },
  wrapPinForCardTdes: {
    run: (keys, key, bench) =>
      judged(keys.wrapPinForCard(key, 'TDES-ECB', randomPin(bench, 'ISO9564-4'), 'ISO9564-2')),
    allowed: ['CARD-SESSION/TDES-2KEY'],
  },
  wrapPinForCardAes: {
    run: (keys, key, bench) =>
      judged(keys.wrapPinForCard(key, 'AES-CBC', randomPin(bench, 'ISO9564-4'), 'ISO9564-2')),
    allowed: ['CARD-STATIC/AES-128', 'CARD-STATIC/AES-256'],
  },
  wrappedPinForCard: {
    run: (keys, key, bench) => {
      const pin = { ...randomPin(bench, 'ISO9564-4'), key };
      return judged(keys.wrapPinForCard(pick(bench, 'CARD-STATIC/AES-128'), 'AES-CBC', pin, 'ISO9564-2'));
    },
    allowed: ['PIN/AES-128', 'PIN/AES-256'],
  },
  seal: { run: (keys, key) => keys.seal(key, block, 'c'), allowed: ['SEAL/AES-256'] },
  unseal: {
    run: async (keys, key, bench) => {
      const sealed = await keys.seal(pick(bench, 'SEAL/AES-256'), block, 'c');
      return keys.unseal(key, sealed, 'c');
    },
    allowed: ['SEAL/AES-256'],
  },
  sealRsa: {
    run: (keys, key, bench) => keys.sealRsa(key, pick(bench, 'ICC/RSA'), 'c'),
    allowed: ['SEAL/AES-256'],
  },
  sealedRsa: {
    run: (keys, key, bench) => keys.sealRsa(pick(bench, 'SEAL/AES-256'), key, 'c'),
    allowed: ['ICC/RSA'],
  },
  unsealRsa: {
    run: async (keys, key, bench) => {
      const sealed = await keys.sealRsa(pick(bench, 'SEAL/AES-256'), pick(bench, 'ICC/RSA'), 'c');
      return keys.unsealRsa(key, sealed, 'c');
    },
    allowed: ['SEAL/AES-256'],
  },
  openJwe: {
    // A key that may open gets as far as the JWE, which is none.
    run: (keys, key) =>
      keys.openJwe(key, 'a.b.c').catch((error: unknown) => {
        if (!(error instanceof KeyError) || error.code !== 'JWE_INVALID') throw error;
      }),
    allowed: ['JWE-RECIPIENT/EC-P256'],
  },
  ecPublicJwk: { run: (keys, key) => keys.ecPublicJwk(key), allowed: ['JWE-RECIPIENT/EC-P256'] },
} satisfies Readonly<Record<string, Case>>;

const keyBlockCases = {
  unwrapKeyBlock: {
    run: (keys, key) => keys.management.importKeyBlock(key, 'no block', { name: 'imported/1' }),
    allowed: ['KBPK/TDES-2KEY', 'KBPK/AES-128', 'KBPK/AES-256'],
  },
  wrapKeyBlock: {
    run: (keys, key, bench) =>
      keys.management.exportKeyBlock(
        key,
        pick(bench, keys.adapter === 'pkcs11' ? 'KBPK/TDES-2KEY' : 'CVK/TDES-2KEY'),
      ),
    allowed: ['KBPK/TDES-2KEY', 'KBPK/AES-128', 'KBPK/AES-256'],
  },
  beKeyBlock: {
    run: (keys, key, bench) => keys.management.exportKeyBlock(pick(bench, 'KBPK/AES-256'), key),
    allowed: [
      'IMK-AC/TDES-2KEY',
      'IMK-SMI/TDES-2KEY',
      'IMK-SMC/TDES-2KEY',
      'CVK/TDES-2KEY',
      'PIN/TDES-2KEY',
      'PIN/AES-128',
      'PIN/AES-256',
      'PVK/TDES-2KEY',
      'KBPK/TDES-2KEY',
      'KBPK/AES-128',
      'KBPK/AES-256',
      'KMC/TDES-2KEY',
      'KMC/AES-128',
      'KMC/AES-256',
      'TOKEN/HMAC-SHA256',
    ],
  },
} satisfies Readonly<Record<string, Case>>;
type CaseName = keyof typeof cases | keyof typeof keyBlockCases;

/** Methods that are given a key, whatever place it stands in. */
type MethodsOf<K> = {
  [M in keyof K]: K[M] extends (...given: infer G) => unknown
    ? Extract<G[number], KeyHandle | readonly KeyHandle[] | EncipheredPin> extends never
      ? never
      : M
    : never;
}[keyof K];
type MethodsWithKey = MethodsOf<KeyStore> | MethodsOf<KeyManagement>;

/** Does not compile when a method with a key is missing here, and so keeps the matrix whole. */
const casesOf: Readonly<Record<Exclude<MethodsWithKey, 'release'>, readonly CaseName[]>> = {
  tdesCbcEncrypt: ['tdesCbcEncrypt'],
  retailMac: ['retailMac'],
  desFirstHalfEncrypt: ['desFirstHalfEncrypt'],
  aesCmac: ['aesCmac'],
  aesEcbEncrypt: ['aesEcbEncrypt'],
  aesCbcEncrypt: ['aesCbcEncrypt'],
  hmac: ['hmac'],
  // The derivations have a matrix of their own below.
  deriveTdesEcb: [],
  deriveTdesCbc: [],
  deriveAesCmac: [],
  wrapForCard: ['wrapForCardTdes', 'wrapForCardAes', 'wrappedForCard'],
  wrapRsaForCard: ['wrapRsaForCardTdes', 'wrapRsaForCardAes', 'wrappedRsaForCard'],
  wrapPinForCard: ['wrapPinForCardTdes', 'wrapPinForCardAes', 'wrappedPinForCard'],
  kcv: ['kcv'],
  rsaPublic: ['rsaPublic'],
  rsaRawSign: ['rsaRawSign'],
  cvv: ['cvv'],
  checkPinBlock: ['checkPinBlockTdes', 'checkPinBlockAes'],
  pvv: ['pvv', 'pvvOfPin'],
  seal: ['seal'],
  unseal: ['unseal'],
  sealRsa: ['sealRsa', 'sealedRsa'],
  unsealRsa: ['unsealRsa'],
  openJwe: ['openJwe'],
  ecPublicJwk: ['ecPublicJwk'],
  importKeyBlock: ['unwrapKeyBlock'],
  exportKeyBlock: ['wrapKeyBlock', 'beKeyBlock'],
};

const portUsages: readonly KeyUsage[] = [
  'IMK-AC',
  'IMK-SMI',
  'IMK-SMC',
  'CVK',
  'PIN',
  'PVK',
  'KBPK',
  'KMC',
  'CARD-STATIC',
  'CARD-SESSION',
  'UDK',
  'AC-SESSION',
  'CA',
  'ISSUER',
  'ICC',
  'JWE-RECIPIENT',
  'SEAL',
  'TOKEN',
];

testOverAdapters('each usage does its own operations and no other (K5)', async (t, open) => {
  const { keys } = await open(t);
  const bench = await makeBench(keys);
  const names = [...Object.keys(cases), ...Object.keys(keyBlockCases)];
  assert.deepEqual(new Set<string>(Object.values(casesOf).flat()), new Set(names));
  assert.deepEqual(new Set([...bench.values()].map(({ usage }) => usage)), new Set(portUsages));
  await runCases(keys, cases, bench);
  await runCases(keys, keyBlockCases, bench);
});

/** What may travel in a key block by its usage does not leave a token all the same, but protection keys. */
const staysInToken = (operation: string, kind: string): boolean =>
  operation === 'beKeyBlock' && !kind.startsWith('KBPK/');

async function runCases<K extends KeyStore>(
  keys: K,
  table: Readonly<Record<string, Case<K>>>,
  bench: Bench,
): Promise<void> {
  for (const [operation, { run, allowed }] of Object.entries(table)) {
    for (const [kind, key] of bench) {
      if (allowed.includes(kind) && keys.adapter === 'pkcs11' && staysInToken(operation, kind)) {
        await assert.rejects(run(keys, key, bench), { code: 'KEY_OPERATION_REFUSED' });
      } else if (allowed.includes(kind)) {
        await assert.doesNotReject(run(keys, key, bench), `${operation} with ${kind}`);
      } else {
        await assert.rejects(run(keys, key, bench), { code: 'KEY_USAGE' }, `${operation} with ${kind}`);
      }
    }
  }
}

testOverAdapters('a key becomes only what the derivation table says (K5)', async (t, open) => {
  const { keys } = await open(t);
  const bench = await makeBench(keys);
  const methods = {
    deriveTdesEcb: (key: KeyHandle, usage: KeyUsage) => keys.deriveTdesEcb(key, block, usage, true),
    deriveTdesCbc: (key: KeyHandle, usage: KeyUsage) => keys.deriveTdesCbc(key, block, usage),
    deriveAesCmac: (key: KeyHandle, usage: KeyUsage) => keys.deriveAesCmac(key, [block], usage),
  };
  const allowed = new Set([
    'deriveTdesEcb IMK-AC/TDES-2KEY UDK',
    'deriveTdesEcb IMK-SMI/TDES-2KEY UDK',
    'deriveTdesEcb IMK-SMC/TDES-2KEY UDK',
    'deriveTdesEcb KMC/TDES-2KEY CARD-STATIC',
    'deriveTdesEcb UDK/TDES-2KEY AC-SESSION',
    'deriveTdesCbc CARD-STATIC/TDES-2KEY CARD-SESSION',
    'deriveAesCmac KMC/AES-128 CARD-STATIC',
    'deriveAesCmac KMC/AES-256 CARD-STATIC',
    'deriveAesCmac CARD-STATIC/AES-128 CARD-SESSION',
    'deriveAesCmac CARD-STATIC/AES-256 CARD-SESSION',
  ]);
  const done = new Set<string>();
  for (const [method, derive] of Object.entries(methods)) {
    for (const [kind, key] of bench) {
      for (const usage of portUsages) {
        const attempt = `${method} ${kind} ${usage}`;
        if (allowed.has(attempt)) {
          assert.equal((await derive(key, usage)).usage, usage);
          done.add(attempt);
        } else {
          await assert.rejects(derive(key, usage), { code: 'KEY_USAGE' }, attempt);
        }
      }
    }
  }
  assert.deepEqual(done, allowed);
});

testOverAdapters('a handle that claims another usage or algorithm is refused', async (t, open) => {
  const { keys } = await open(t);
  const imk = await keys.ensure('imk-ac/1', { algorithm: 'TDES-2KEY', usage: 'IMK-AC' });
  await assert.rejects(keys.retailMac({ ...imk, usage: 'CARD-SESSION' }, block, 2), { code: 'KEY_USAGE' });
  await assert.rejects(keys.kcv({ ...imk, algorithm: 'AES-128' }), { code: 'KEY_USAGE' });
  await assert.rejects(keys.kcv({ ...imk, id: 'imk-ac/2' }), { code: 'KEY_NOT_FOUND' });
});

testOverAdapters(
  'card keys cannot be stored under a name, and no usage takes a foreign algorithm',
  async (t, open) => {
    const { keys } = await open(t);
    for (const usage of ['UDK', 'CARD-SESSION', 'AC-SESSION'] as const) {
      await assert.rejects(keys.ensure('card/1', { algorithm: 'TDES-2KEY', usage }), { code: 'KEY_USAGE' });
    }
    for (const usage of ['IMK-AC', 'CVK', 'PVK', 'SEAL', 'TOKEN', 'CA', 'JWE-RECIPIENT'] as const) {
      await assert.rejects(keys.ensure('card/1', { algorithm: 'AES-128', usage }), { code: 'KEY_USAGE' });
    }
    assert.deepEqual(await keys.list(), []);
  },
);
