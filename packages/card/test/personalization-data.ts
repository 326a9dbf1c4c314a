/**
 * Test data: a certificate authority, an issuer and one card's DGIs, all made at run time.
 *
 * The only fixed values are the sandbox test PAN prefix and published test keys.
 */
import { type KeyObject, constants, generateKeyPairSync, privateEncrypt, randomBytes } from 'node:crypto';
import {
  type RsaPublicKeyBytes,
  compressedNumeric,
  concatBytes,
  encodeAfl,
  iccCertificateBlock,
  issuerCertificateBlock,
  oddParity,
  pad80,
  staticDataToAuthenticate,
  tdesKcv,
  tlv,
  unhex,
} from '@cardwright/emv';

export const PAN = '9999000000000009';
export const TODAY = '2611';
const CERTIFICATE_EXPIRY = '1230';
const AIP = unhex('3900');
export const CDOL1 = unhex('9F02069F03069F1A0295055F2A029A039C019F3704');
export const CDOL2 = concatBytes(unhex('8A02'), CDOL1, unhex('9108'));
export const DEFAULT_IAD = unhex(`0FA501${'00'.repeat(13)}0F${'00'.repeat(15)}`);

export interface TestRsaKey {
  readonly publicKey: RsaPublicKeyBytes;
  readonly privateKey: KeyObject;
}

export interface TestDgi {
  readonly id: string;
  /** In clear, padded already where the card expects padding. */
  readonly value: Uint8Array;
  readonly isSecret: boolean;
}

export interface TestInstance {
  readonly aid: Uint8Array;
  readonly dgis: readonly TestDgi[];
}

export interface TestCardData {
  readonly capk: RsaPublicKeyBytes;
  readonly applicationKeys: Uint8Array;
  readonly pse: TestInstance;
  readonly ppse: TestInstance;
  readonly application: TestInstance;
}

function fromBase64Url(text: string | undefined): Uint8Array {
  return new Uint8Array(Buffer.from(text ?? '', 'base64url'));
}

function generateRsaKey(bits: number): TestRsaKey {
  const { publicKey, privateKey } = generateKeyPairSync('rsa', { modulusLength: bits, publicExponent: 3 });
  const jwk = publicKey.export({ format: 'jwk' });
  return { publicKey: { modulus: fromBase64Url(jwk.n), exponent: Uint8Array.of(3) }, privateKey };
}

function signRaw(key: TestRsaKey, block: Uint8Array): Uint8Array {
  return new Uint8Array(
    privateEncrypt({ key: key.privateKey, padding: constants.RSA_NO_PADDING }, Buffer.from(block)),
  );
}

const ca = generateRsaKey(1408);
const issuer = generateRsaKey(1408);
const icc = generateRsaKey(1152);

/** Everything one card needs; keys are made once per test process, application keys per call. */
export function makeCardData(options: { readonly pin?: string; readonly pdol?: string } = {}): TestCardData {
  const applicationKeys = oddParity(new Uint8Array(randomBytes(48)));
  return {
    capk: ca.publicKey,
    applicationKeys,
    pse: {
      aid: new TextEncoder().encode('1PAY.SYS.DDF01'),
      dgis: [
        clear('9102', tlv('A5', concatBytes(tlv('88', Uint8Array.of(1)), tlv('5F2D', unhex('656E'))))),
        clear('0101', tlv('70', directoryEntry())),
      ],
    },
    ppse: {
      aid: new TextEncoder().encode('2PAY.SYS.DDF01'),
      dgis: [clear('9102', tlv('A5', tlv('BF0C', directoryEntry())))],
    },
    application: {
      aid: unhex('F0434152440001'),
      dgis: [
        ...fciAndRecords(options.pdol),
        clear('3000', tlv('9F36', unhex('0000'))),
        clear('3001', concatBytes(tlv('9F14', Uint8Array.of(0)), tlv('9F23', Uint8Array.of(0)))),
        clear('9200', tlv('9F10', DEFAULT_IAD)),
        secret('8000', applicationKeys),
        clear(
          '9000',
          concatBytes(
            ...[0, 1, 2].map((index) => tdesKcv(applicationKeys.slice(index * 16, index * 16 + 16))),
          ),
        ),
        clear('9010', unhex('0303')),
        ...(options.pin === undefined ? [] : [secret('8010', pinBlock(options.pin))]),
        ...crtDgis(),
      ],
    },
  };
}

/** ISO 9564 format 2. */
export function pinBlock(pin: string): Uint8Array {
  return unhex(`2${String(pin.length)}${pin}`.padEnd(16, 'F'));
}

function clear(id: string, value: Uint8Array): TestDgi {
  return { id, value, isSecret: false };
}

function secret(id: string, value: Uint8Array): TestDgi {
  return { id, value, isSecret: true };
}

function directoryEntry(): Uint8Array {
  return tlv('61', [
    tlv('4F', unhex('F0434152440001')),
    tlv('50', unhex('54455354')),
    tlv('87', unhex('01')),
  ]);
}

function fciAndRecords(pdol: string | undefined): TestDgi[] {
  const signedRecord = tlv('70', [
    tlv('5A', compressedNumeric(PAN)),
    tlv('5F24', unhex('301231')),
    tlv('5F34', unhex('00')),
    tlv('8C', CDOL1),
    tlv('8D', CDOL2),
    tlv('8E', unhex('000000000000000002031E031F00')),
    tlv('9F07', unhex('FFC0')),
    tlv('9F08', unhex('0001')),
  ]);
  const issuerCertificate = issuerCertificateBlock({
    caModulusLength: ca.publicKey.modulus.length,
    issuerKey: issuer.publicKey,
    iin: '999900',
    expiryMMYY: CERTIFICATE_EXPIRY,
    serial: unhex('000001'),
  });
  const iccCertificate = iccCertificateBlock({
    issuerModulusLength: issuer.publicKey.modulus.length,
    iccKey: icc.publicKey,
    pan: PAN,
    expiryMMYY: CERTIFICATE_EXPIRY,
    serial: unhex('000002'),
    staticData: staticDataToAuthenticate([{ sfi: 3, record: signedRecord }], [AIP]),
  });
  const afl = encodeAfl([
    { sfi: 1, first: 1, last: 1, odaRecords: 0 },
    { sfi: 2, first: 1, last: 3, odaRecords: 0 },
    { sfi: 3, first: 1, last: 1, odaRecords: 1 },
  ]);
  return [
    clear(
      '9102',
      tlv('A5', [tlv('50', unhex('54455354')), ...(pdol === undefined ? [] : [tlv('9F38', unhex(pdol))])]),
    ),
    clear('9104', concatBytes(tlv('82', AIP), tlv('94', afl))),
    clear('0101', tlv('70', tlv('5F20', unhex('544553542F43415244')))),
    clear(
      '0201',
      tlv('70', [tlv('8F', unhex('01')), tlv('9F32', unhex('03')), tlv('92', issuerCertificate.remainder)]),
    ),
    clear('0202', tlv('70', tlv('90', signRaw(ca, issuerCertificate.block)))),
    clear(
      '0203',
      tlv('70', [
        tlv('9F46', signRaw(issuer, iccCertificate.block)),
        tlv('9F47', unhex('03')),
        tlv('9F48', iccCertificate.remainder),
        tlv('9F49', unhex('9F3704')),
        tlv('9F4A', unhex('82')),
      ]),
    ),
    clear('0301', signedRecord),
  ];
}

/** 8201 to 8205: q^-1 mod p, d mod q-1, d mod p-1, q, p, each padded with 80 00.. */
function crtDgis(): TestDgi[] {
  const { qi, dq, dp, q, p } = icc.privateKey.export({ format: 'jwk' });
  const half = icc.publicKey.modulus.length / 2;
  return [qi, dq, dp, q, p].map((part, index) => {
    const bytes = fromBase64Url(part);
    const fixed = concatBytes(new Uint8Array(half - bytes.length), bytes);
    return secret(`820${String(index + 1)}`, pad80(fixed, 16));
  });
}
