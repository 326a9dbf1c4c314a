import assert from 'node:assert/strict';
import { constants, generateKeyPairSync, privateEncrypt, type KeyObject } from 'node:crypto';
import { test } from 'node:test';
import fc from 'fast-check';
import {
  EmvError,
  cdaBlock,
  concatBytes,
  ddaBlock,
  equalBytes,
  hex,
  iccCertificateBlock,
  isExpired,
  issuerCertificateBlock,
  recoverIccCertificate,
  recoverIssuerCertificate,
  rsaPublicOperation,
  sha1,
  signedStaticDataBlock,
  transactionDataHash,
  unhex,
  verifyCda,
  verifyDda,
  verifySignedStaticData,
  type CdaFields,
  type RsaPublicKeyBytes,
} from '../src/index.ts';

interface TestKey {
  readonly publicKey: RsaPublicKeyBytes;
  readonly privateKey: KeyObject;
}

function makeKey(modulusLength: number): TestKey {
  const pair = generateKeyPairSync('rsa', { modulusLength, publicExponent: 3 });
  const jwk = pair.publicKey.export({ format: 'jwk' });
  const modulus = new Uint8Array(Buffer.from(jwk.n ?? '', 'base64url'));
  return { publicKey: { modulus, exponent: Uint8Array.of(0x03) }, privateKey: pair.privateKey };
}

function sign(key: TestKey, block: Uint8Array): Uint8Array {
  return new Uint8Array(privateEncrypt({ key: key.privateKey, padding: constants.RSA_NO_PADDING }, block));
}

const ca = makeKey(1408);
const issuer = makeKey(1408);
const shortIssuer = makeKey(1024);
const icc = makeKey(1152);
const pan = '9999001234567890';
const today = { pan, todayYYMM: '2611' };
const serial = unhex('000001');
const staticData = unhex('5A0899990012345678905F24032911303900');

function issuerBlock(key: TestKey = issuer): { block: Uint8Array; remainder: Uint8Array } {
  return issuerCertificateBlock({
    caModulusLength: ca.publicKey.modulus.length,
    issuerKey: key.publicKey,
    iin: '999900',
    expiryMMYY: '1230',
    serial,
  });
}

function iccBlock(): { block: Uint8Array; remainder: Uint8Array } {
  return iccCertificateBlock({
    issuerModulusLength: issuer.publicKey.modulus.length,
    iccKey: icc.publicKey,
    pan,
    expiryMMYY: '1130',
    serial,
    staticData,
  });
}

/** A block with one byte replaced; its hash is made again unless the hash itself or a frame byte is changed. */
function changedBlock(block: Uint8Array, offset: number, byte: number, hashedTail?: Uint8Array): Uint8Array {
  const changed = block.slice();
  changed[offset] = byte;
  if (hashedTail !== undefined) {
    const hashStart = changed.length - 21;
    changed.set(sha1(changed.subarray(1, hashStart), hashedTail), hashStart);
  }
  return changed;
}

test('an issuer certificate that was built and signed recovers, with and without a remainder', () => {
  for (const [key, hasRemainder] of [
    [issuer, true],
    [shortIssuer, false],
  ] as const) {
    const { block, remainder } = issuerBlock(key);
    assert.equal(block.length, 176);
    assert.equal(remainder.length > 0, hasRemainder);
    const elements = { cert90: sign(ca, block), remainder92: remainder, exponent9F32: unhex('03') };
    const recovered = recoverIssuerCertificate(ca.publicKey, elements, today);
    assert.ok(recovered.ok);
    assert.equal(hex(recovered.key.modulus), hex(key.publicKey.modulus));
    assert.equal(recovered.iin, '999900');
    assert.equal(recovered.expiryMMYY, '1230');
    assert.equal(hex(recovered.serial), '000001');
  }
});

test('every defect of an issuer certificate has its own reason', () => {
  const { block, remainder } = issuerBlock();
  const tail = concatBytes(remainder, unhex('03'));
  const last = block.length - 1;
  const reason = (changed: Uint8Array, context = today): string => {
    const elements = { cert90: sign(ca, changed), remainder92: remainder, exponent9F32: unhex('03') };
    const recovered = recoverIssuerCertificate(ca.publicKey, elements, context);
    return recovered.ok ? 'ok' : recovered.reason;
  };
  assert.equal(reason(block), 'ok');
  assert.equal(reason(changedBlock(block, last, 0xbd)), 'TRAILER');
  assert.equal(reason(changedBlock(block, 0, 0x6b)), 'HEADER');
  assert.equal(reason(changedBlock(block, 1, 0x04, tail)), 'FORMAT');
  // Part of a random modulus: a fixed byte would now and then be the one that stands there.
  assert.equal(reason(changedBlock(block, 20, (block[20] ?? 0) ^ 0x01)), 'HASH');
  assert.equal(reason(changedBlock(block, 11, 0x02, tail)), 'ALGORITHM');
  assert.equal(reason(changedBlock(block, 12, 0x02, tail)), 'ALGORITHM');
  assert.equal(reason(changedBlock(block, 13, 0xf0, tail)), 'KEY');
  assert.equal(reason(changedBlock(block, 14, 0x03, tail)), 'KEY');
  assert.equal(reason(changedBlock(block, 2, 0x41, tail)), 'PAN');
  assert.equal(reason(changedBlock(block, 2, 0xff, tail)), 'PAN');
  assert.equal(reason(block, { pan, todayYYMM: '3101' }), 'EXPIRED');
  assert.equal(reason(changedBlock(block, 6, 0x13, tail)), 'EXPIRED');
  assert.equal(reason(block, { pan: '4999001234567890', todayYYMM: '2611' }), 'PAN');
});

test('a certificate of the wrong length, key or remainder is refused', () => {
  const { block, remainder } = issuerBlock();
  const cert90 = sign(ca, block);
  const exponent9F32 = unhex('03');
  const short = recoverIssuerCertificate(
    ca.publicKey,
    { cert90: cert90.slice(1), remainder92: remainder, exponent9F32 },
    today,
  );
  assert.deepEqual(short, { ok: false, reason: 'LENGTH' });
  const tooLarge = recoverIssuerCertificate(
    ca.publicKey,
    { cert90: new Uint8Array(176).fill(0xff), remainder92: remainder, exponent9F32 },
    today,
  );
  assert.deepEqual(tooLarge, { ok: false, reason: 'LENGTH' });
  const without = recoverIssuerCertificate(ca.publicKey, { cert90, exponent9F32 }, today);
  assert.deepEqual(without, { ok: false, reason: 'HASH' });
  const other = recoverIssuerCertificate(
    issuer.publicKey,
    { cert90, remainder92: remainder, exponent9F32 },
    today,
  );
  assert.equal(other.ok, false);
});

test('an ICC certificate recovers with its static data and is refused with any other', () => {
  const { block, remainder } = iccBlock();
  const elements = {
    cert9F46: sign(issuer, block),
    remainder9F48: remainder,
    exponent9F47: unhex('03'),
  };
  const recovered = recoverIccCertificate(issuer.publicKey, elements, staticData, today);
  assert.ok(recovered.ok);
  assert.equal(hex(recovered.key.modulus), hex(icc.publicKey.modulus));
  assert.equal(recovered.pan, pan);
  const otherData = staticData.slice();
  otherData[0] = 0x5b;
  assert.deepEqual(recoverIccCertificate(issuer.publicKey, elements, otherData, today), {
    ok: false,
    reason: 'HASH',
  });
  const otherPan = { pan: '9999001234567891', todayYYMM: '2611' };
  assert.deepEqual(recoverIccCertificate(issuer.publicKey, elements, staticData, otherPan), {
    ok: false,
    reason: 'PAN',
  });
  const later = { pan, todayYYMM: '3012' };
  assert.deepEqual(recoverIccCertificate(issuer.publicKey, elements, staticData, later), {
    ok: false,
    reason: 'EXPIRED',
  });
});

test('signed static data verifies over its static data only', () => {
  const block = signedStaticDataBlock(issuer.publicKey.modulus.length, unhex('DAC1'), staticData);
  const ssad = sign(issuer, block);
  const verified = verifySignedStaticData(issuer.publicKey, ssad, staticData);
  assert.equal(verified.ok && hex(verified.dataAuthenticationCode), 'DAC1');
  const other = verifySignedStaticData(issuer.publicKey, ssad, unhex('00'));
  assert.deepEqual(other, { ok: false, reason: 'HASH' });
});

test('a DDA signature verifies for the number that was asked, and each defect has its reason', () => {
  const ddolData = unhex('11223344');
  const number = unhex('A1A2A3A4A5A6A7A8');
  const block = ddaBlock(144, number, ddolData);
  const reason = (changed: Uint8Array): string => {
    const verified = verifyDda(icc.publicKey, sign(icc, changed), ddolData);
    return verified.ok ? hex(verified.iccDynamicNumber) : verified.reason;
  };
  assert.equal(reason(block), hex(number));
  assert.equal(reason(changedBlock(block, 1, 0x04, ddolData)), 'FORMAT');
  assert.equal(reason(changedBlock(block, 2, 0x02, ddolData)), 'ALGORITHM');
  assert.equal(reason(changedBlock(block, 3, 0xff, ddolData)), 'LENGTH');
  assert.equal(reason(changedBlock(block, 4, 0x09, ddolData)), 'LENGTH');
  assert.equal(reason(changedBlock(block, 4, 0x01, ddolData)), 'LENGTH');
  assert.equal(reason(changedBlock(block, 5, 0x00)), 'HASH');
});

test('a CDA signature verifies for its transaction', () => {
  const fields: CdaFields = {
    iccDynamicNumber: unhex('A1A2A3A4A5A6A7A8'),
    cid: 0x80,
    cryptogram: unhex('C1C2C3C4C5C6C7C8'),
    transactionDataHash: transactionDataHash(unhex('0102'), unhex('9F2701809F36020001')),
  };
  const unpredictableNumber = unhex('11223344');
  const sdad = sign(icc, cdaBlock(144, fields, unpredictableNumber));
  const { transactionDataHash: hash } = fields;
  const verified = verifyCda(icc.publicKey, sdad, {
    unpredictableNumber,
    transactionDataHash: hash,
    cid: 0x80,
  });
  assert.deepEqual(verified, { ok: true, ...fields });
  const dda = sign(icc, ddaBlock(144, fields.iccDynamicNumber, unpredictableNumber));
  const mixed = verifyCda(icc.publicKey, dda, { unpredictableNumber, transactionDataHash: hash });
  assert.deepEqual(mixed, { ok: false, reason: 'LENGTH' });
});

test('random bytes in place of a certificate are a refusal, never an exception', () => {
  fc.assert(
    fc.property(
      fc.uint8Array({ maxLength: 200 }),
      fc.uint8Array({ maxLength: 50 }),
      fc.uint8Array({ maxLength: 4 }),
      (certificate, remainder, exponent) => {
        const issuerResult = recoverIssuerCertificate(
          ca.publicKey,
          { cert90: certificate, remainder92: remainder, exponent9F32: exponent },
          today,
        );
        const iccResult = recoverIccCertificate(
          { modulus: remainder, exponent },
          { cert9F46: certificate, exponent9F47: exponent },
          staticData,
          today,
        );
        assert.equal(issuerResult.ok || iccResult.ok, false);
        assert.equal(verifyDda({ modulus: certificate, exponent }, certificate, remainder).ok, false);
      },
    ),
    { numRuns: 200 },
  );
});

test('the RSA public operation agrees with the private one for both usual exponents', () => {
  const block = new Uint8Array(144).fill(0x5a);
  const opened = rsaPublicOperation(icc.publicKey.modulus, icc.publicKey.exponent, sign(icc, block));
  assert.ok(equalBytes(opened, block));
  const pair = generateKeyPairSync('rsa', { modulusLength: 1024, publicExponent: 0x10001 });
  const { n } = pair.publicKey.export({ format: 'jwk' });
  const modulus = new Uint8Array(Buffer.from(n ?? '', 'base64url'));
  const long = { publicKey: { modulus, exponent: unhex('010001') }, privateKey: pair.privateKey };
  const shorter = block.slice(0, 128);
  assert.ok(equalBytes(rsaPublicOperation(modulus, unhex('010001'), sign(long, shorter)), shorter));
  assert.throws(() => rsaPublicOperation(new Uint8Array(0), unhex('03'), new Uint8Array(0)), EmvError);
});

test('a certificate is valid through the last day of its month, in both centuries', () => {
  assert.equal(isExpired('1126', '2611'), false);
  assert.equal(isExpired('1026', '2611'), true);
  assert.equal(isExpired('0127', '2612'), false);
  assert.equal(isExpired('1299', '0001'), true);
  assert.equal(isExpired('1249', '9901'), false);
  assert.equal(isExpired('1326', '2611'), true);
});

test('a certificate block refuses fields of the wrong form', () => {
  const fields = { caModulusLength: 176, issuerKey: issuer.publicKey, iin: '999900', serial };
  const refused = (code: string) => (error: unknown) => error instanceof EmvError && error.code === code;
  const build = (change: object): unknown =>
    issuerCertificateBlock({ ...fields, expiryMMYY: '1230', ...change });
  assert.throws(() => build({ expiryMMYY: '1330' }), refused('DIGITS_INVALID'));
  assert.throws(() => build({ iin: '99' }), refused('DIGITS_INVALID'));
  assert.throws(() => build({ serial: new Uint8Array(2) }), refused('LENGTH_INVALID'));
  assert.throws(() => build({ caModulusLength: 128 }), refused('KEY_INVALID'));
  const twoByteExponent = { ...issuer.publicKey, exponent: unhex('0003') };
  assert.throws(() => build({ issuerKey: twoByteExponent }), refused('KEY_INVALID'));
  assert.throws(() => ddaBlock(144, new Uint8Array(9), new Uint8Array(4)), refused('LENGTH_INVALID'));
  assert.throws(() => ddaBlock(30, new Uint8Array(8), new Uint8Array(4)), refused('LENGTH_INVALID'));
});
