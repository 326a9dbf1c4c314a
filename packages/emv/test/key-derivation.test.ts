import assert from 'node:assert/strict';
import { test } from 'node:test';
import {
  EmvError,
  atcDiversifier,
  concatBytes,
  cskData,
  deriveCsk,
  deriveUdk,
  hex,
  mastercardSkd,
  oddParity,
  tdesEcbEncrypt,
  tdesKcv,
  udkData,
  unhex,
  visaSmKey,
} from '../src/index.ts';
import { readVectors, vectorKey, vectorName, type UdkOf } from './emv-vectors.ts';

interface UdkVector extends UdkOf {
  readonly src: string;
  readonly udk?: string;
  readonly udkKcv?: string;
}

test('ICC master keys match all 12 published ones of options A and B', () => {
  const vectors = readVectors('key-derivation', 'udk') as readonly UdkVector[];
  assert.equal(vectors.length, 12);
  for (const [index, vector] of vectors.entries()) {
    const udk = deriveUdk(unhex(vector.imk), vector.option, vector.pan, vector.psn);
    const published = vector.udk ?? vector.udkKcv;
    const computed = vector.udk === undefined ? hex(tdesKcv(udk)).slice(0, 4) : hex(udk);
    assert.ok(published);
    assert.equal(computed, published, vectorName(vector, index));
    assert.equal(hex(oddParity(udk)), hex(udk));
  }
});

test('the derivation data alone gives the same key, for a vault that derives inside a token', () => {
  const imk = unhex('0123456789ABCDEFFEDCBA9876543210');
  const data = udkData('B', '12345678901234567', '01');
  assert.equal(data.length, 16);
  assert.equal(hex(oddParity(tdesEcbEncrypt(imk, data))), 'AD406D7F6D7570916D75E5DCAB8CF737');
});

test('option B differs from option A only above 16 digits', () => {
  assert.equal(hex(udkData('B', '9999001234567890', '0')), hex(udkData('A', '9999001234567890', '00')));
  assert.notEqual(hex(udkData('B', '99990012345678901', '00')), hex(udkData('A', '99990012345678901', '00')));
});

interface SessionKeyVector {
  readonly src: string;
  readonly method: string;
  readonly mk?: string;
  readonly udkOf?: UdkOf;
  readonly r?: string;
  readonly atc?: string;
  readonly sk?: string;
  readonly skKcv?: string;
}

function sessionKey(vector: SessionKeyVector): Uint8Array {
  const udk = vector.mk === undefined ? vectorKey({ ...vector, r: null }) : unhex(vector.mk);
  if (vector.method === 'Visa SM') return visaSmKey(udk, parseInt(vector.atc ?? '', 16));
  const r = unhex(vector.r ?? '');
  if (vector.method === 'EMV CSK') return deriveCsk(udk, r);
  assert.ok(vector.method.startsWith('Mastercard SKD'), vector.method);
  return mastercardSkd(udk, parseInt(vector.r?.slice(0, 4) ?? '', 16), r.subarray(4));
}

test('session keys match all 5 published ones of three methods', () => {
  const vectors = readVectors('key-derivation', 'sessionKey') as readonly SessionKeyVector[];
  assert.equal(vectors.length, 5);
  assert.equal(new Set(vectors.map(({ method }) => method)).size, 3);
  for (const [index, vector] of vectors.entries()) {
    const sk = sessionKey(vector);
    const computed = vector.sk === undefined ? hex(tdesKcv(sk)).slice(0, 4) : hex(sk);
    assert.equal(computed, vector.sk ?? vector.skKcv, vectorName(vector, index));
  }
});

test('the common session key data marks its halves with F0 and 0F in the third byte', () => {
  const r = atcDiversifier(0x001c);
  assert.equal(hex(r), '001C000000000000');
  assert.equal(hex(cskData(r)), hex(concatBytes(unhex('001CF00000000000'), unhex('001C0F0000000000'))));
});

test('card numbers and diversifiers of the wrong form are refused without quoting them', () => {
  const refused = (code: string) => (error: unknown) =>
    error instanceof EmvError && error.code === code && !error.message.includes('9999');
  assert.throws(() => udkData('A', '9999-0012', '00'), refused('DIGITS_INVALID'));
  assert.throws(() => udkData('A', '9999001234567890', '100'), refused('DIGITS_INVALID'));
  assert.throws(() => cskData(new Uint8Array(7)), refused('LENGTH_INVALID'));
});
