/** A PIN goes from the issuer's block to the chip and to its PVV, and is seen nowhere on the way. */
import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { type TestContext } from 'node:test';
import {
  aesCbcDecrypt,
  encipherPinBlockFormat4,
  hex,
  pinBlockFormat0,
  pinBlockFormat3,
  tdesEcbEncrypt,
  unhex,
} from '@cardwright/emv';
import fc from 'fast-check';
import { type EncipheredPin, type KeyHandle, type KeyStore } from '../src/index.ts';
import { type OpenAdapter, testOverAdapters } from './key-adapters.ts';

const pan = '9999001234567892';
const digits = (pin: string): Uint8Array => Uint8Array.from(pin, Number);

interface PinBench {
  readonly keys: KeyStore;
  readonly aes: KeyHandle;
  readonly aesValue: Uint8Array;
  readonly tdes: KeyHandle;
  readonly tdesValue: Uint8Array;
  /** The card's data encryption keys, with known values so that the test can play the chip. */
  readonly dekAes: KeyHandle;
  readonly dekAesValue: Uint8Array;
}

async function pinBench(t: TestContext, open: OpenAdapter): Promise<PinBench> {
  const { keys } = await open(t);
  const [aesValue, tdesValue, dekAesValue] = [randomBytes(16), randomBytes(16), randomBytes(16)];
  return {
    keys,
    aesValue,
    tdesValue,
    dekAesValue,
    aes: await keys.ensure('pin/I/1', { algorithm: 'AES-128', usage: 'PIN', value: aesValue }),
    tdes: await keys.ensure('pin/I/2', { algorithm: 'TDES-2KEY', usage: 'PIN', value: tdesValue }),
    dekAes: await keys.ensure('dek', { algorithm: 'AES-128', usage: 'CARD-STATIC', value: dekAesValue }),
  };
}

/** The PIN in each format that an issuer may send. */
function enciphered({ aes, aesValue, tdes, tdesValue }: PinBench, pin: string): EncipheredPin[] {
  const three = pinBlockFormat3(digits(pin), pan, randomBytes(12));
  return [
    {
      key: aes,
      format: 'ISO9564-4',
      block: encipherPinBlockFormat4(aesValue, digits(pin), pan, randomBytes(8)),
      pan,
    },
    {
      key: tdes,
      format: 'ISO9564-0',
      block: tdesEcbEncrypt(tdesValue, pinBlockFormat0(digits(pin), pan)),
      pan,
    },
    { key: tdes, format: 'ISO9564-3', block: tdesEcbEncrypt(tdesValue, three), pan },
  ];
}

testOverAdapters(
  'any PIN in any format reaches the chip as its format 2 block, padded to the cipher of the chip',
  async (t, open) => {
    const bench = await pinBench(t, open);
    const { keys, dekAes, dekAesValue } = bench;
    const kmc = await keys.ensure('kmc', {
      algorithm: 'TDES-2KEY',
      usage: 'CARD-STATIC',
      value: randomBytes(16),
    });
    const dekTdes = await keys.deriveTdesCbc(kmc, new Uint8Array(16), 'CARD-SESSION');
    await fc.assert(
      fc.asyncProperty(fc.stringMatching(/^[0-9]{4,12}$/), async (pin) => {
        const block = `2${pin.length.toString(16).toUpperCase()}${pin}`.padEnd(16, 'F');
        const overTdes = new Set<string>();
        for (const given of enciphered(bench, pin)) {
          const aes = await keys.wrapPinForCard(dekAes, 'AES-CBC', given, 'ISO9564-2');
          const opened = hex(aesCbcDecrypt(dekAesValue, new Uint8Array(16), aes));
          assert.equal(opened, `${block}8000000000000000`);
          const tdes = await keys.wrapPinForCard(dekTdes, 'TDES-ECB', given, 'ISO9564-2');
          assert.equal(tdes.length, 8);
          overTdes.add(hex(tdes));
        }
        assert.equal(overTdes.size, 1);
      }),
      { numRuns: 25 },
    );
  },
);

testOverAdapters('a product whose chips want format 1 gets the PIN with random fill', async (t, open) => {
  const bench = await pinBench(t, open);
  const [given] = enciphered(bench, '123456');
  assert(given);
  const opened = async (): Promise<string> => {
    const wrapped = await bench.keys.wrapPinForCard(bench.dekAes, 'AES-CBC', given, 'ISO9564-1');
    return hex(aesCbcDecrypt(bench.dekAesValue, new Uint8Array(16), wrapped));
  };
  const [first, second] = [await opened(), await opened()];
  assert.match(first, /^16123456[0-9A-F]{8}8000000000000000$/);
  assert.notEqual(first, second);
});

testOverAdapters(
  'the published PIN verification values come out of the port, from a PIN in every format',
  async (t, open) => {
    const text = readFileSync(new URL('vectors/pin.json', import.meta.url), 'utf8');
    const { pvv: vectors } = JSON.parse(text) as {
      pvv: readonly Record<'pvk' | 'pvki' | 'pan' | 'pin' | 'pvv', string>[];
    };
    assert.equal(vectors.length, 4);
    const { keys, aes, aesValue, tdes, tdesValue } = await pinBench(t, open);
    for (const [index, vector] of vectors.entries()) {
      const pvk = await keys.ensure(`pvk/${index}`, {
        algorithm: 'TDES-2KEY',
        usage: 'PVK',
        value: unhex(vector.pvk),
      });
      const pin = digits(vector.pin);
      const four = encipherPinBlockFormat4(aesValue, pin, vector.pan, randomBytes(8));
      const zero = tdesEcbEncrypt(tdesValue, pinBlockFormat0(pin, vector.pan));
      const three = tdesEcbEncrypt(tdesValue, pinBlockFormat3(pin, vector.pan, randomBytes(12)));
      for (const given of [
        { key: aes, format: 'ISO9564-4', block: four },
        { key: tdes, format: 'ISO9564-0', block: zero },
        { key: tdes, format: 'ISO9564-3', block: three },
      ] as const) {
        assert.equal(await keys.pvv(pvk, vector.pvki, { ...given, pan: vector.pan }), vector.pvv);
      }
    }
  },
);

testOverAdapters(
  'every bit of a PIN block, its card number and its format are protected or refused, all alike',
  async (t, open) => {
    const bench = await pinBench(t, open);
    const [four, zero] = enciphered(bench, '123456789012');
    assert(four && zero);
    const refusal = { code: 'PIN_BLOCK_INVALID', message: 'the PIN block was refused' };
    await bench.keys.checkPinBlock(four);
    await bench.keys.checkPinBlock(zero);
    for (let bit = 0; bit < 128; bit++) {
      const block = four.block.slice();
      block[bit >> 3] = (block[bit >> 3] ?? 0) ^ (1 << (bit & 7));
      await assert.rejects(bench.keys.checkPinBlock({ ...four, block }), refusal);
    }
    const others = [
      { ...four, pan: '9999001234567890' },
      { ...four, pan: 'no number' },
      { ...four, block: new Uint8Array(0) },
      { ...zero, format: 'ISO9564-3' as const },
      { ...zero, block: zero.block.subarray(0, 7) },
    ];
    for (const other of others) await assert.rejects(bench.keys.checkPinBlock(other), refusal);
  },
);

testOverAdapters('a key deciphers its own format only', async (t, open) => {
  const bench = await pinBench(t, open);
  const [four, zero] = enciphered(bench, '1234');
  assert(four && zero);
  await assert.rejects(bench.keys.checkPinBlock({ ...four, key: bench.tdes }), { code: 'KEY_USAGE' });
  await assert.rejects(bench.keys.checkPinBlock({ ...zero, key: bench.aes }), { code: 'KEY_USAGE' });
});

testOverAdapters('nothing the port returns, throws or lists shows a PIN', async (t, open) => {
  const bench = await pinBench(t, open);
  const pin = '908172635445';
  const pvk = await bench.keys.ensure('pvk/1', { algorithm: 'TDES-2KEY', usage: 'PVK' });
  const seen: unknown[] = [];
  const note = async (work: Promise<unknown>): Promise<void> => {
    seen.push(
      await work.catch((error: unknown) =>
        error instanceof Error ? `${error.message} ${error.stack ?? ''}` : '',
      ),
    );
  };
  for (const given of enciphered(bench, pin)) {
    await note(bench.keys.checkPinBlock(given));
    await note(bench.keys.pvv(pvk, '1', given));
    await note(bench.keys.pvv(pvk, 'x', given));
    await note(bench.keys.wrapPinForCard(bench.dekAes, 'AES-CBC', given, 'ISO9564-2'));
    await note(bench.keys.wrapPinForCard(bench.dekAes, 'AES-CBC', given, 'ISO9564-1'));
    await note(bench.keys.wrapPinForCard(bench.dekAes, 'TDES-ECB', given, 'ISO9564-2'));
    await note(bench.keys.checkPinBlock({ ...given, pan: '9999009999999999' }));
  }
  await note(bench.keys.list());
  assert.equal(seen.length, 22);
  const text = seen
    .map((value) => (value instanceof Uint8Array ? hex(value) : JSON.stringify(value)))
    .join('|');
  assert.ok(text.includes('PIN block was refused'));
  for (const form of [pin, Array.from(pin).join(','), `2C${pin}FF`]) assert.ok(!text.includes(form));
});
