import assert from 'node:assert/strict';
import { test } from 'node:test';
import {
  EmvError,
  aesCbcDecrypt,
  aesCbcEncrypt,
  aesCmac,
  aesGpKcv,
  aesKcv,
  ascii,
  concatBytes,
  desEcbDecrypt,
  desEcbEncrypt,
  fullTdesMac,
  hex,
  oddParity,
  pad80,
  retailMac,
  tdesCbcDecrypt,
  tdesCbcEncrypt,
  tdesEcbDecrypt,
  tdesEcbEncrypt,
  tdesKcv,
  unhex,
  unpad80,
} from '../src/index.ts';
import { readVectors, vectorName } from './emv-vectors.ts';

interface KcvVector {
  readonly src: string;
  readonly alg: string;
  readonly key: string;
  readonly kcv: string;
}

const kcvAlgorithms: Readonly<Record<string, (key: Uint8Array) => Uint8Array>> = {
  'TDES-ECB zeros': tdesKcv,
  'AES-ECB 0x01*16 (GlobalPlatform)': aesGpKcv,
  'AES-CMAC zeros (X9.24-1/TR-31)': aesKcv,
};

test('key check values match all 12 published ones in their three conventions', () => {
  const vectors = readVectors('kcv', 'kcv') as readonly KcvVector[];
  assert.equal(vectors.length, 12);
  const seen = new Set<string>();
  for (const [index, vector] of vectors.entries()) {
    const compute = kcvAlgorithms[vector.alg];
    assert.ok(compute, `unknown convention ${vector.alg}`);
    seen.add(vector.alg);
    const kcv = hex(compute(unhex(vector.key)));
    assert.equal(kcv.slice(0, vector.kcv.length), vector.kcv, vectorName(vector, index));
  }
  assert.equal(seen.size, 3);
});

test('AES-CMAC matches all 3 vectors of RFC 4493', () => {
  const vectors = readVectors('mac', 'aesCmac') as readonly {
    src: string;
    key: string;
    data: string;
    mac: string;
  }[];
  assert.equal(vectors.length, 3);
  for (const [index, vector] of vectors.entries()) {
    assert.equal(hex(aesCmac(unhex(vector.key), unhex(vector.data))), vector.mac, vectorName(vector, index));
  }
});

test('the retail MAC matches both published vectors, one for each padding', () => {
  const vectors = readVectors('mac', 'retailMac') as readonly {
    src: string;
    key: string;
    dataAscii: string;
    padding: 1 | 2;
    mac: string;
  }[];
  assert.equal(vectors.length, 2);
  assert.deepEqual(vectors.map(({ padding }) => padding).sort(), [1, 2]);
  for (const [index, vector] of vectors.entries()) {
    const mac = retailMac(unhex(vector.key), ascii(vector.dataAscii), vector.padding);
    assert.equal(hex(mac), vector.mac, vectorName(vector, index));
  }
});

test('a retail MAC continues from an initial vector as if its block came first', () => {
  const key = unhex('0123456789ABCDEFFEDCBA9876543210');
  const first = unhex('1122334455667788');
  const rest = unhex('99AABBCCDD');
  const chained = desEcbEncrypt(key.subarray(0, 8), first);
  assert.equal(hex(retailMac(key, rest, 2, chained)), hex(retailMac(key, concatBytes(first, rest), 2)));
});

test('single DES gives the classic textbook ciphertext, although OpenSSL has no DES', () => {
  const key = unhex('133457799BBCDFF1');
  const block = unhex('0123456789ABCDEF');
  assert.equal(hex(desEcbEncrypt(key, block)), '85E813540F0AB405');
  assert.equal(hex(desEcbDecrypt(key, desEcbEncrypt(key, block))), hex(block));
});

test('every cipher opens what it sealed', () => {
  const key = unhex('000102030405060708090A0B0C0D0E0F');
  const data = unhex('00112233445566778899AABBCCDDEEFF'.repeat(2));
  const iv8 = unhex('0102030405060708');
  const iv16 = unhex('0102030405060708090A0B0C0D0E0F10');
  assert.equal(hex(tdesEcbDecrypt(key, tdesEcbEncrypt(key, data))), hex(data));
  assert.equal(hex(tdesCbcDecrypt(key, iv8, tdesCbcEncrypt(key, iv8, data))), hex(data));
  assert.equal(hex(aesCbcDecrypt(key, iv16, aesCbcEncrypt(key, iv16, data))), hex(data));
});

test('a full 3DES MAC of one padded block is the 3DES encryption of that block', () => {
  const key = unhex('404142434445464748494A4B4C4D4E4F');
  assert.equal(hex(fullTdesMac(key, unhex('112233'))), hex(tdesEcbEncrypt(key, unhex('1122338000000000'))));
});

test('padding with 80 is always added and comes off again', () => {
  assert.equal(hex(pad80(new Uint8Array(0), 8)), '8000000000000000');
  assert.equal(hex(pad80(unhex('1122334455667788'), 8)), '11223344556677888000000000000000');
  assert.equal(hex(unpad80(unhex('11220080000000'))), '112200');
  for (const bad of ['', '0000000000000000', '1122334455667788', '1122334455668100']) {
    assert.throws(
      () => unpad80(unhex(bad)),
      (error) => error instanceof EmvError && error.code === 'PADDING_INVALID',
    );
  }
});

test('odd parity changes only the lowest bit of each byte', () => {
  assert.equal(hex(oddParity(unhex('0001FEFF030280'))), '0101FEFE020280');
});

test('keys and data of impossible lengths are refused without quoting them', () => {
  const cases: readonly [() => unknown, string][] = [
    [() => tdesEcbEncrypt(new Uint8Array(15), new Uint8Array(8)), 'KEY_INVALID'],
    [() => desEcbEncrypt(new Uint8Array(16), new Uint8Array(8)), 'KEY_INVALID'],
    [() => retailMac(new Uint8Array(8), new Uint8Array(8), 2), 'KEY_INVALID'],
    [() => aesCmac(new Uint8Array(17), new Uint8Array(8)), 'KEY_INVALID'],
    [() => tdesEcbEncrypt(new Uint8Array(16), new Uint8Array(7)), 'LENGTH_INVALID'],
    [() => tdesCbcEncrypt(new Uint8Array(16), new Uint8Array(7), new Uint8Array(8)), 'LENGTH_INVALID'],
    [() => aesCbcEncrypt(new Uint8Array(16), new Uint8Array(16), new Uint8Array(15)), 'LENGTH_INVALID'],
  ];
  for (const [run, code] of cases) {
    assert.throws(run, (error) => error instanceof EmvError && error.code === code);
  }
});
