import assert from 'node:assert/strict';
import { test } from 'node:test';
import {
  capkHash,
  hex,
  inspectIccCertificate,
  inspectSignedStaticData,
  recoverIssuerCertificate,
  sha1,
  unhex,
  verifyCda,
  verifyDda,
  type RsaPublicKeyBytes,
} from '../src/index.ts';
import { readVectors } from './emv-vectors.ts';

interface CertificateVector {
  readonly name: string;
  readonly capk: { rid: string; index: string; modulus: string; exponent: string; hash: string };
  readonly pan: string;
  readonly issuerCert: string;
  readonly issuerExp: string;
  readonly issuerRemainder: string;
  readonly issuerId?: string;
  readonly issuerCertExpiry?: string;
  readonly issuerCertSn?: string;
  readonly issuerModulus: string;
  readonly iccCert: string;
  readonly iccExp: string;
  readonly iccRemainder: string;
  readonly iccModulus: string;
  readonly ssad?: string;
  readonly ssadDac?: string;
  readonly sdad: string;
  readonly ddolData?: string;
  readonly unpredictableNumber?: string;
  readonly sdadIccDynamicNumber: string;
  readonly sdadCid?: string;
  readonly sdadAc?: string;
  readonly sdadTdhc?: string;
}

const vectors = readVectors('certificates', 'emvCertificates') as readonly CertificateVector[];
/** A month at which the certificates of both published cards are valid. */
const publishedMonth = '2201';

/** The issuer key of a published chain, recovered with every check of the specification. */
function publishedIssuerKey(vector: CertificateVector): RsaPublicKeyBytes {
  const capk = { modulus: unhex(vector.capk.modulus), exponent: unhex(vector.capk.exponent) };
  const recovered = recoverIssuerCertificate(
    capk,
    {
      cert90: unhex(vector.issuerCert),
      remainder92: unhex(vector.issuerRemainder),
      exponent9F32: unhex(vector.issuerExp),
    },
    { pan: vector.pan, todayYYMM: publishedMonth },
  );
  assert.ok(recovered.ok, vector.name);
  assert.equal(hex(recovered.key.modulus), vector.issuerModulus, vector.name);
  if (vector.issuerId !== undefined) assert.equal(recovered.iin.padEnd(8, 'F'), vector.issuerId);
  if (vector.issuerCertExpiry !== undefined) assert.equal(recovered.expiryMMYY, vector.issuerCertExpiry);
  if (vector.issuerCertSn !== undefined) assert.equal(hex(recovered.serial), vector.issuerCertSn);
  return recovered.key;
}

/** The ICC key of a published chain; its static data is not published, so its hash cannot be checked. */
function publishedIccKey(vector: CertificateVector): RsaPublicKeyBytes {
  const recovered = inspectIccCertificate(
    publishedIssuerKey(vector),
    {
      cert9F46: unhex(vector.iccCert),
      remainder9F48: unhex(vector.iccRemainder),
      exponent9F47: unhex(vector.iccExp),
    },
    { pan: vector.pan, todayYYMM: publishedMonth },
  );
  assert.ok(recovered.ok, vector.name);
  assert.equal(hex(recovered.key.modulus), vector.iccModulus, vector.name);
  return recovered.key;
}

test('both published chains give the published issuer and ICC keys', () => {
  assert.equal(vectors.length, 2);
  for (const vector of vectors) {
    const { rid, index, modulus, exponent, hash } = vector.capk;
    const capk = { modulus: unhex(modulus), exponent: unhex(exponent) };
    assert.equal(hex(capkHash(unhex(rid), parseInt(index, 16), capk)), hash);
    assert.equal(hex(publishedIccKey(vector).modulus), vector.iccModulus);
  }
});

test('published signed static data opens to its data authentication code', () => {
  const signed = vectors.filter(({ ssad }) => ssad !== undefined);
  assert.equal(signed.length, 1);
  for (const vector of signed) {
    const opened = inspectSignedStaticData(publishedIssuerKey(vector), unhex(vector.ssad ?? ''));
    assert.ok(opened.ok);
    assert.equal(hex(opened.dataAuthenticationCode), vector.ssadDac);
  }
});

test('the published DDA signature verifies over its DDOL data only', () => {
  const signed = vectors.filter(({ ddolData }) => ddolData !== undefined);
  assert.equal(signed.length, 1);
  for (const vector of signed) {
    const key = publishedIccKey(vector);
    const verified = verifyDda(key, unhex(vector.sdad), unhex(vector.ddolData ?? ''));
    assert.ok(verified.ok);
    assert.equal(hex(verified.iccDynamicNumber), vector.sdadIccDynamicNumber);
    assert.deepEqual(verifyDda(key, unhex(vector.sdad), unhex('00000000')), { ok: false, reason: 'HASH' });
  }
});

test('the published CDA signature verifies over its transaction only', () => {
  const signed = vectors.filter(({ unpredictableNumber }) => unpredictableNumber !== undefined);
  assert.equal(signed.length, 1);
  for (const vector of signed) {
    const key = publishedIccKey(vector);
    const sdad = unhex(vector.sdad);
    const unpredictableNumber = unhex(vector.unpredictableNumber ?? '');
    const hash = unhex(vector.sdadTdhc ?? '');
    const verified = verifyCda(key, sdad, { unpredictableNumber, transactionDataHash: hash, cid: 0x00 });
    assert.ok(verified.ok);
    assert.equal(hex(verified.iccDynamicNumber), vector.sdadIccDynamicNumber);
    assert.equal(hex(verified.cryptogram), vector.sdadAc);
    assert.equal(hex(Uint8Array.of(verified.cid)), vector.sdadCid);
    const otherHash = { unpredictableNumber, transactionDataHash: sha1(hash) };
    assert.deepEqual(verifyCda(key, sdad, otherHash), { ok: false, reason: 'TRANSACTION' });
    const otherCid = { unpredictableNumber, transactionDataHash: hash, cid: 0x80 };
    assert.deepEqual(verifyCda(key, sdad, otherCid), { ok: false, reason: 'TRANSACTION' });
    const otherNumber = { unpredictableNumber: unhex('00000000'), transactionDataHash: hash };
    assert.deepEqual(verifyCda(key, sdad, otherNumber), { ok: false, reason: 'HASH' });
  }
});
