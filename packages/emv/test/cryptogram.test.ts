import assert from 'node:assert/strict';
import { test } from 'node:test';
import {
  EmvError,
  applicationCryptogram,
  arpcMethod1,
  arpcMethod2,
  concatBytes,
  cvv,
  cvv2ServiceCode,
  deriveCsk,
  deriveUdk,
  hex,
  icvvServiceCode,
  issuerScriptEncrypt,
  issuerScriptMac,
  tdesKcv,
  unhex,
} from '../src/index.ts';
import { readVectors, vectorKey, vectorName, type UdkOf } from './emv-vectors.ts';

interface KeyedVector {
  readonly src: string;
  readonly name?: string;
  readonly key?: string;
  readonly udkOf?: UdkOf;
  readonly r?: string | null;
}

test('application cryptograms match all 9 published ones', () => {
  const vectors = readVectors('cryptogram', 'applicationCryptogram') as readonly (KeyedVector & {
    sk?: string;
    data: string;
    padding: 1 | 2;
    ac: string;
  })[];
  assert.equal(vectors.length, 9);
  for (const [index, vector] of vectors.entries()) {
    const key = vector.sk === undefined ? vectorKey(vector) : unhex(vector.sk);
    const ac = applicationCryptogram(key, unhex(vector.data), vector.padding);
    assert.equal(hex(ac), vector.ac, vectorName(vector, index));
  }
});

interface ArpcVector extends KeyedVector {
  readonly method: 1 | 2;
  readonly arqc: string;
  readonly arc?: string;
  readonly csu?: string;
  readonly pad?: string;
  readonly arpc: string;
}

test('response cryptograms match all 9 published ones of methods 1 and 2', () => {
  const vectors = readVectors('cryptogram', 'arpc') as readonly ArpcVector[];
  assert.equal(vectors.length, 9);
  assert.equal(vectors.filter(({ method }) => method === 1).length, 5);
  for (const [index, vector] of vectors.entries()) {
    const key = vectorKey(vector);
    const arqc = unhex(vector.arqc);
    const arpc =
      vector.method === 1
        ? arpcMethod1(key, arqc, unhex(vector.arc ?? ''))
        : arpcMethod2(key, arqc, unhex(vector.csu ?? ''), unhex(vector.pad ?? ''));
    assert.equal(hex(arpc), vector.arpc, vectorName(vector, index));
  }
});

interface ScriptVector {
  readonly src: string;
  readonly name: string;
  readonly imkSmc?: string;
  readonly imkSmi: string;
  readonly pan: string;
  readonly psn: string;
  readonly arqc: string;
  readonly pinBlock?: string;
  readonly enciphered?: string;
  readonly command: string;
  readonly mac: string;
  readonly skKcv?: string;
}

test('issuer script protection matches both published vectors, one with enciphered data', () => {
  const vectors = readVectors('cryptogram', 'issuerScript') as readonly ScriptVector[];
  assert.equal(vectors.length, 2);
  let encipheredCount = 0;
  for (const [index, vector] of vectors.entries()) {
    const sessionKey = (imk: string): Uint8Array =>
      deriveCsk(deriveUdk(unhex(imk), 'A', vector.pan, vector.psn), unhex(vector.arqc));
    let data: Uint8Array = new Uint8Array(0);
    if (vector.imkSmc !== undefined && vector.pinBlock !== undefined) {
      encipheredCount += 1;
      data = issuerScriptEncrypt(sessionKey(vector.imkSmc), unhex(vector.pinBlock));
      assert.equal(hex(data), vector.enciphered, vectorName(vector, index));
    }
    const macKey = sessionKey(vector.imkSmi);
    if (vector.skKcv !== undefined) assert.equal(hex(tdesKcv(macKey)).slice(0, 4), vector.skKcv);
    const mac = issuerScriptMac(macKey, concatBytes(unhex(vector.command), data));
    assert.equal(hex(mac), vector.mac, vectorName(vector, index));
  }
  assert.equal(encipheredCount, 1);
});

test('card verification values match all 4 vectors: stripe, printed and chip', () => {
  const vectors = readVectors('cvv', 'cvv') as readonly {
    src: string;
    cvk: string;
    pan: string;
    expiryYYMM: string;
    service: string;
    cvv: string;
  }[];
  assert.equal(vectors.length, 4);
  const serviceCodes = new Set(vectors.map(({ service }) => service));
  assert.ok(
    serviceCodes.has(icvvServiceCode) && serviceCodes.has(cvv2ServiceCode) && serviceCodes.has('101'),
  );
  for (const [index, vector] of vectors.entries()) {
    const value = cvv(unhex(vector.cvk), vector.pan, vector.expiryYYMM, vector.service);
    assert.equal(value, vector.cvv, vectorName(vector, index));
  }
});

test('inputs of the wrong length are refused', () => {
  const key = unhex('0123456789ABCDEFFEDCBA9876543210');
  const refused = (code: string) => (error: unknown) => error instanceof EmvError && error.code === code;
  assert.throws(() => arpcMethod1(key, new Uint8Array(8), new Uint8Array(3)), refused('LENGTH_INVALID'));
  assert.throws(() => arpcMethod1(key, new Uint8Array(7), new Uint8Array(2)), refused('LENGTH_INVALID'));
  assert.throws(() => arpcMethod2(key, new Uint8Array(8), new Uint8Array(3)), refused('LENGTH_INVALID'));
  assert.throws(
    () => arpcMethod2(key, new Uint8Array(8), new Uint8Array(4), new Uint8Array(9)),
    refused('LENGTH_INVALID'),
  );
  assert.throws(() => cvv(key, '4123456789012345', '870', '101'), refused('DIGITS_INVALID'));
});
