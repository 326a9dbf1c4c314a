import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { test } from 'node:test';
import { ascii, hex, tdesCbcEncrypt, uintBytes, unhex } from '@cardwright/emv';
import { deriveKeyBlockKeys, tdesCmac } from '../src/key-block/key-block-derivation.ts';
import { type Exportability, decideKeyBlockUsage } from '../src/key-block/key-block-usage.ts';
import { makeKeyBlock, openKeyBlock, type ProtectionKey } from '../src/key-block/key-block-policy.ts';
import { wrapKeyBlock } from '../src/key-block/key-block-wrapping.ts';
import { keyBlockVectors } from './key-block-vectors.ts';

const aesKbpk: ProtectionKey = { algorithm: 'AES-256', mode: 'B', bytes: randomBytes(32) };
const rules = { environment: 'test', isLabelOptional: true } as const;
const header = {
  usage: 'E0',
  algorithm: 'T',
  mode: 'X',
  keyVersion: '00',
  exportability: 'E',
  optionalBlocks: [],
};

/** The whole policy a second time, as people read it: block usage, algorithms, modes, our usage. */
const expected = [
  'C0 T CGN CVK',
  'E0 T NX IMK-AC',
  'E1 T NX IMK-SMC',
  'E2 T NX IMK-SMI',
  'E5 AT NX KMC',
  'K1 AT BDEN KBPK',
  'M7 H CGN TOKEN',
  'P0 AT BDN PIN',
  'V2 T CGN PVK',
].map((line) => line.split(' '));

const letters = Array.from('ABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789');
/** Every algorithm and mode of X9.143, and strangers. */
const algorithmLetters = Array.from('ADEHRST0Z');
const modeLetters = Array.from('BCDEGNSTVXY0Z');
const allUsages = letters.flatMap((first) => letters.map((second) => first + second));

test('of all usages, algorithms, modes and exportabilities exactly the listed combinations come in (K5)', () => {
  let accepted = 0;
  for (const usage of allUsages) {
    const row = expected.find(([blockUsage]) => blockUsage === usage);
    for (const algorithm of algorithmLetters) {
      for (const mode of modeLetters) {
        for (const exportability of ['E', 'N', 'S', '0', 'e', '']) {
          const decision = decideKeyBlockUsage({ usage, algorithm, mode, exportability });
          const isExpected =
            row?.[1]?.includes(algorithm) === true &&
            row[2]?.includes(mode) === true &&
            ['E', 'N', 'S'].includes(exportability);
          if (decision.ok !== isExpected) assert.fail(`${usage} ${algorithm} ${mode} ${exportability}`);
          if (!decision.ok) continue;
          assert.deepEqual([decision.usage, decision.mode], [row?.[3], mode]);
          accepted++;
        }
      }
    }
  }
  assert.equal(accepted, 3 * (3 + 2 + 2 + 2 + 4 + 8 + 3 + 6 + 3));
});

test('every accepted combination opens to its usage and mode, under a real MAC', () => {
  for (const [usage = '', algorithms = '', modes = '', port = ''] of expected) {
    for (const algorithm of Array.from(algorithms)) {
      for (const mode of Array.from(modes)) {
        for (const exportability of ['E', 'N', 'S']) {
          const key = randomBytes(algorithm === 'H' ? 32 : 16);
          const block = wrapKeyBlock(
            aesKbpk.bytes,
            { ...header, usage, algorithm, mode, exportability },
            key,
          );
          const opened = openKeyBlock(aesKbpk, block, rules);
          assert.ok(opened.ok, `${usage} ${algorithm} ${mode}`);
          assert.deepEqual(
            [opened.usage, opened.mode, opened.exportability, hex(opened.key)],
            [port, mode, exportability, hex(key)],
          );
        }
      }
    }
  }
});

function refusedFor(
  block: string,
  kbpk = aesKbpk,
  given: Parameters<typeof openKeyBlock>[2] = rules,
): string {
  const opened = openKeyBlock(kbpk, block, given);
  assert.ok(!opened.ok);
  return opened.reason;
}

test('versions A, C and E of the published vectors are refused by policy, B and D are judged on', () => {
  const reasons = keyBlockVectors.tr31.map(({ kbpk, block }) => {
    const bytes = unhex(kbpk);
    const isTdes = bytes.length === 16;
    const opened = openKeyBlock(
      { algorithm: isTdes ? 'TDES-2KEY' : 'AES-256', mode: 'D', bytes },
      block,
      rules,
    );
    return `${block.slice(0, 1)} ${opened.ok ? opened.usage : opened.reason}`;
  });
  assert.deepEqual(
    new Set(reasons),
    new Set([
      'A VERSION',
      'C VERSION',
      'E VERSION',
      // Encrypt-only PIN keys, DUKPT base keys, data keys and old key encryption keys have no work here.
      'B MODE',
      'B USAGE',
      'D MODE',
      'D USAGE',
    ]),
  );
});

test('a version B block of a key that has work here comes in under a 3DES protection key', () => {
  // Made with the published mechanics backwards: B is imported only, so the writer lives in this test.
  const kbpk: ProtectionKey = { algorithm: 'TDES-2KEY', mode: 'D', bytes: randomBytes(16) };
  const key = randomBytes(16);
  const opened = openKeyBlock(kbpk, versionBBlock(kbpk.bytes, 'B0080E0TX00E0000', key), rules);
  assert.ok(opened.ok);
  assert.deepEqual([opened.usage, hex(opened.key)], ['IMK-AC', hex(key)]);
  assert.equal(refusedFor(versionBBlock(kbpk.bytes, 'B0080E0TX00E0000', key)), 'VERSION');
  assert.equal(refusedFor(wrapKeyBlock(aesKbpk.bytes, header, key), kbpk), 'VERSION');
  const aes = versionBBlock(kbpk.bytes, 'B0080E5AX00E0000', randomBytes(16));
  assert.equal(refusedFor(aes, kbpk), 'STRENGTH');
});

test('a wrapping key weaker than its content is refused both ways (K8)', () => {
  const weak: ProtectionKey = { algorithm: 'AES-128', mode: 'B', bytes: randomBytes(16) };
  const strong = { ...header, usage: 'E5', algorithm: 'A' };
  assert.equal(refusedFor(wrapKeyBlock(weak.bytes, strong, randomBytes(32)), weak), 'STRENGTH');
  assert.equal(openKeyBlock(weak, wrapKeyBlock(weak.bytes, strong, randomBytes(16)), rules).ok, true);
  const leaving = { usage: 'KMC', mode: undefined, exportability: 'E' } as const;
  const made = makeKeyBlock(weak, { ...leaving, algorithm: 'AES-256', bytes: randomBytes(32) }, 'test', 'E');
  assert.equal(!made.ok && made.reason, 'STRENGTH');
});

test('the environment is bound to the block, and a block without one needs a decision (K11)', () => {
  const key = { usage: 'CVK', algorithm: 'TDES-2KEY', mode: undefined, exportability: 'E' } as const;
  const leaving = { ...key, bytes: randomBytes(16) };
  for (const made of ['test', 'production'] as const) {
    const block = makeKeyBlock(aesKbpk, leaving, made, 'E');
    assert.ok(block.ok);
    for (const environment of ['test', 'production'] as const) {
      for (const isLabelOptional of [true, false]) {
        const opened = openKeyBlock(aesKbpk, block.block, { environment, isLabelOptional });
        assert.equal(opened.ok, made === environment);
        if (opened.ok) assert.equal(opened.environment, environment);
        else assert.equal(opened.reason, 'ENVIRONMENT');
      }
    }
    const relabelled = block.block.replace('CARDWRIGHT TEST', 'CARDWRIGHT PROD');
    assert.equal(made === 'test' && openKeyBlock(aesKbpk, relabelled, rules).ok, false);
  }
  const unlabelled = wrapKeyBlock(aesKbpk.bytes, header, randomBytes(16));
  assert.equal(
    refusedFor(unlabelled, aesKbpk, { environment: 'test', isLabelOptional: false }),
    'ENVIRONMENT',
  );
});

test('a check value of the wrong method or of another key is refused (K7)', () => {
  const key = randomBytes(16);
  const withCheck = (id: string, value: string): string =>
    wrapKeyBlock(
      aesKbpk.bytes,
      { ...header, usage: 'E5', algorithm: 'A', optionalBlocks: [{ id, value }] },
      key,
    );
  for (const [id, value] of [
    ['KC', '0008D7B4'],
    ['KC', '01AABBCCDDEE'],
    ['KC', '02AABBCC'],
    ['KP', '01AABBCC'],
    ['KP', '00AABBCC'],
  ] as const) {
    assert.equal(refusedFor(withCheck(id, value)), 'CHECK_VALUE', `${id} ${value}`);
  }
});

test('what a protection key may do by its mode is enforced', () => {
  const leaving = {
    usage: 'CVK',
    algorithm: 'TDES-2KEY',
    mode: undefined,
    exportability: 'E',
    bytes: randomBytes(16),
  } as const;
  const block = wrapKeyBlock(aesKbpk.bytes, header, randomBytes(16));
  for (const [mode, wraps, unwraps] of [
    ['B', true, true],
    ['N', true, true],
    ['D', false, true],
    ['E', true, false],
    ['X', false, false],
  ] as const) {
    const kbpk = { ...aesKbpk, mode };
    assert.equal(makeKeyBlock(kbpk, leaving, 'test', 'E').ok, wraps, mode);
    assert.equal(openKeyBlock(kbpk, block, rules).ok, unwraps, mode);
  }
});

test('a key leaves as strictly as it came, or more so', () => {
  const allowed = new Set<string>();
  for (const held of ['E', 'N', 'S'] satisfies Exportability[]) {
    for (const said of ['E', 'N', 'S'] satisfies Exportability[]) {
      const key = { usage: 'IMK-AC', algorithm: 'TDES-2KEY', mode: 'X', exportability: held } as const;
      const made = makeKeyBlock(aesKbpk, { ...key, bytes: randomBytes(16) }, 'test', said);
      if (made.ok) allowed.add(`${held} ${said}`);
      else assert.equal(made.reason, 'EXPORTABILITY');
    }
  }
  assert.deepEqual(allowed, new Set(['E E', 'E N', 'S S', 'S E', 'S N']));
});

test('keys that only live here never leave, whatever they are marked as', () => {
  for (const [usage, algorithm] of [
    ['SEAL', 'AES-256'],
    ['ISSUER', 'RSA'],
    ['UDK', 'TDES-2KEY'],
    ['CARD-SESSION', 'AES-128'],
    ['JWE-RECIPIENT', 'EC-P256'],
  ] as const) {
    const bytes = randomBytes(16);
    const made = makeKeyBlock(
      aesKbpk,
      { usage, algorithm, mode: undefined, exportability: 'E', bytes },
      'test',
      'E',
    );
    assert.equal(!made.ok && made.reason, 'USAGE', usage);
  }
});

test('weak keys, strange lengths, unknown optional blocks and another protection key are refused by name', () => {
  const wrapped = (changes: Partial<typeof header>, key: Uint8Array): string =>
    wrapKeyBlock(aesKbpk.bytes, { ...header, ...changes }, key);
  const half = randomBytes(8);
  const cases: readonly (readonly [string, string])[] = [
    [wrapped({}, Buffer.concat([half, half])), 'WEAK_KEY'],
    [wrapped({}, new Uint8Array(16)), 'WEAK_KEY'],
    [wrapped({}, randomBytes(24)), 'ALGORITHM'],
    [wrapped({}, randomBytes(8)), 'ALGORITHM'],
    [wrapped({ usage: 'E5', algorithm: 'A' }, randomBytes(24)), 'ALGORITHM'],
    [
      wrapKeyBlock(
        aesKbpk.bytes,
        { ...header, optionalBlocks: [{ id: '10', value: 'IBMC' }] },
        randomBytes(16),
      ),
      'OPTIONAL_BLOCK',
    ],
    [wrapKeyBlock(randomBytes(32), header, randomBytes(16)), 'INTEGRITY'],
    ['F0112P0AE00E0000', 'VERSION'],
    ['', 'FORM'],
  ];
  for (const [block, reason] of cases) assert.equal(refusedFor(block), reason, reason);
});

/** 3DES derivation binding, written the other way round; every byte of it is what the published blocks prove. */
function versionBBlock(kbpk: Uint8Array, headerText: string, key: Uint8Array): string {
  const { encryption, authentication } = deriveKeyBlockKeys('B', kbpk);
  const payload = Buffer.concat([uintBytes(key.length * 8, 2), key, randomBytes(6)]);
  const mac = tdesCmac(authentication, Buffer.concat([ascii(headerText), payload]));
  return headerText + hex(tdesCbcEncrypt(encryption, mac, payload)) + hex(mac);
}
