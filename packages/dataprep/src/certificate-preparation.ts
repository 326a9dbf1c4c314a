/**
 * EMV certificates under the test CA: one per issuer key and issuer number, made once and public; one per card.
 *
 * Invariants: expiry dates only shrink from CA to card (a certificate never outlives what signed it); every
 * certificate made here is recovered again with public keys before it is used, so a fault in a key or token can
 * never reach a card.
 */
import {
  capkHash,
  hex,
  iccCertificateBlock,
  issuerCertificateBlock,
  recoverIccCertificate,
  recoverIssuerCertificate,
  unhex,
} from '@cardwright/emv';
import { type KeyHandle, type KeyPort, type RsaPublicKey } from '@cardwright/keys';
import { type Static, Type } from 'typebox';
import { DataPreparationError } from './data-preparation-error.ts';
import { type OdaKeySet } from './product-profile.ts';

/** The test CA and its issuer certificates end with the EMV century window: December 2049. */
const testCaExpires = '4912';
const serialBytes = 3;
const Hex = Type.String({ pattern: '^([0-9A-F]{2})*$' });
const YyMm = Type.String({ pattern: '^[0-9]{4}$' });

/** The public data of an issuer certificate: what goes on cards, and what terminals need to check it. */
export const IssuerCertificate = Type.Object(
  {
    rid: Hex,
    caIndex: Hex,
    caModulus: Hex,
    caExponent: Hex,
    issuerModulus: Hex,
    issuerExponent: Hex,
    /** First digits of the PANs that it serves, 3 to 8. */
    issuerNumber: Type.String({ pattern: '^[0-9]{3,8}$' }),
    certificate: Hex,
    remainder: Hex,
    /** YYMM */
    expires: YyMm,
    /** YYMM, of the CA key; absent when it is the test CA's. */
    caExpires: Type.Optional(YyMm),
  },
  { additionalProperties: false },
);
export type IssuerCertificate = Static<typeof IssuerCertificate>;

/** A CA public key as terminals are given it. */
export const CaPublicKey = Type.Object(
  {
    rid: Type.String({ pattern: '^[0-9A-F]{10}$' }),
    index: Type.String({ pattern: '^[0-9A-F]{2}$' }),
    modulus: Hex,
    exponent: Hex,
    /** SHA-1 over RID, index, modulus and exponent (EMV Book 2, annex). */
    sha1: Type.String({ pattern: '^[0-9A-F]{40}$' }),
    /** YYMM */
    expires: YyMm,
  },
  { additionalProperties: false },
);
export type CaPublicKey = Static<typeof CaPublicKey>;

/** The public CA key behind an issuer certificate. */
export function caPublicKey(issuer: IssuerCertificate): CaPublicKey {
  const { rid, caIndex: index, caModulus: modulus, caExponent: exponent } = issuer;
  const key = { modulus: unhex(modulus), exponent: unhex(exponent) };
  const sha1 = hex(capkHash(unhex(rid), Number.parseInt(index, 16), key));
  return { rid, index, modulus, exponent, sha1, expires: issuer.caExpires ?? testCaExpires };
}

const mmyy = (yymm: string): string => yymm.slice(2) + yymm.slice(0, 2);

/**
 * Certifies an issuer key under the test CA for PANs that begin with `issuerNumber` (3 to 8 digits).
 * @throws KeyError KEY_NOT_FOUND; DataPreparationError CERTIFICATE_INVALID
 */
export async function createIssuerCertificate(
  keys: KeyPort,
  oda: OdaKeySet,
  { rid, issuerNumber }: { readonly rid: string; readonly issuerNumber: string },
): Promise<IssuerCertificate> {
  const ca = await keys.find(oda.caKey);
  const caKey = await keys.rsaPublic(ca);
  const issuerKey = await keys.rsaPublic(await keys.find(oda.issuerKey));
  const { block, remainder } = issuerCertificateBlock({
    caModulusLength: caKey.modulus.length,
    issuerKey,
    iin: issuerNumber,
    expiryMMYY: mmyy(testCaExpires),
    serial: keys.randomBytes(serialBytes),
  });
  const certificate: IssuerCertificate = {
    rid,
    caIndex: oda.caIndex,
    caModulus: hex(caKey.modulus),
    caExponent: hex(caKey.exponent),
    issuerModulus: hex(issuerKey.modulus),
    issuerExponent: hex(issuerKey.exponent),
    issuerNumber,
    certificate: hex(await keys.rsaRawSign(ca, block)),
    remainder: hex(remainder),
    expires: testCaExpires,
  };
  if (!(await isIssuerCertificateSound(keys, oda, certificate))) throw invalid('the issuer certificate');
  return certificate;
}

const invalid = (what: string): DataPreparationError =>
  new DataPreparationError('CERTIFICATE_INVALID', `${what} does not recover under its signer's public key`);

/** Whether a certificate (made here or loaded) recovers under the present CA key to the present issuer key. */
export async function isIssuerCertificateSound(
  keys: KeyPort,
  oda: OdaKeySet,
  certificate: IssuerCertificate,
): Promise<boolean> {
  const caKey = await keys.rsaPublic(await keys.find(oda.caKey));
  const issuerKey = await keys.rsaPublic(await keys.find(oda.issuerKey));
  const recovered = recoverIssuerCertificate(
    caKey,
    {
      cert90: unhex(certificate.certificate),
      remainder92: unhex(certificate.remainder),
      exponent9F32: unhex(certificate.issuerExponent),
    },
    { pan: certificate.issuerNumber, todayYYMM: certificate.expires },
  );
  return (
    recovered.ok &&
    certificate.caModulus === hex(caKey.modulus) &&
    certificate.caExponent === hex(caKey.exponent) &&
    certificate.caIndex === oda.caIndex &&
    hex(recovered.key.modulus) === hex(issuerKey.modulus) &&
    certificate.issuerModulus === hex(issuerKey.modulus) &&
    certificate.issuerExponent === hex(issuerKey.exponent) &&
    recovered.iin === certificate.issuerNumber &&
    recovered.expiryMMYY === mmyy(certificate.expires)
  );
}

/** One card's certificate and the parts that did not fit into it. */
export interface IccCertificate {
  readonly certificate: Uint8Array;
  readonly remainder: Uint8Array;
  readonly exponent: Uint8Array;
}

export interface IccCertificateRequest {
  readonly pan: string;
  /** YYMM: the certificate ends with the card. */
  readonly expires: string;
  readonly staticData: Uint8Array;
}

/**
 * Certifies one card's key over its static data.
 * @throws DataPreparationError EXPIRY_OUTLIVES_CERTIFICATE (field `exp`), CERTIFICATE_INVALID
 */
export async function createIccCertificate(
  keys: KeyPort,
  issuerKey: KeyHandle,
  issuer: IssuerCertificate,
  iccKey: KeyHandle,
  request: IccCertificateRequest,
): Promise<IccCertificate> {
  // Both are YYMM in 2000..2049, so text order is time order.
  if (request.expires > issuer.expires) {
    throw new DataPreparationError(
      'EXPIRY_OUTLIVES_CERTIFICATE',
      'the card would outlive the certificate of its issuer',
      'exp',
    );
  }
  const key = await keys.rsaPublic(iccKey);
  const issuerPublic = { modulus: unhex(issuer.issuerModulus), exponent: unhex(issuer.issuerExponent) };
  const { block, remainder } = iccCertificateBlock({
    issuerModulusLength: issuerPublic.modulus.length,
    iccKey: key,
    pan: request.pan,
    expiryMMYY: mmyy(request.expires),
    serial: keys.randomBytes(serialBytes),
    staticData: request.staticData,
  });
  const certificate = await keys.rsaRawSign(issuerKey, block);
  const made: IccCertificate = { certificate, remainder, exponent: key.exponent };
  if (!recoversTo(key, issuerPublic, made, request)) throw invalid('an ICC certificate');
  return made;
}

function recoversTo(
  key: RsaPublicKey,
  issuer: RsaPublicKey,
  made: IccCertificate,
  { pan, expires, staticData }: IccCertificateRequest,
): boolean {
  const recovered = recoverIccCertificate(
    issuer,
    { cert9F46: made.certificate, remainder9F48: made.remainder, exponent9F47: made.exponent },
    staticData,
    { pan, todayYYMM: expires },
  );
  return recovered.ok && hex(recovered.key.modulus) === hex(key.modulus);
}

/** What a terminal needs to authenticate the card offline, by tag; a remainder only where there is one. */
export function certificateValues(
  issuer: IssuerCertificate,
  icc: IccCertificate,
): (readonly [tag: string, value: Uint8Array])[] {
  return [
    ['8F', unhex(issuer.caIndex)],
    ['90', unhex(issuer.certificate)],
    ...(issuer.remainder === '' ? [] : [['92', unhex(issuer.remainder)] as const]),
    ['9F32', unhex(issuer.issuerExponent)],
    ['9F46', icc.certificate],
    ['9F47', icc.exponent],
    ...(icc.remainder.length === 0 ? [] : [['9F48', icc.remainder] as const]),
  ];
}
