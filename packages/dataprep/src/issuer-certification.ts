/**
 * Issuer keys that a payment system's CA certifies: the request that goes out, the certificate that comes back.
 *
 * Invariants: the issuer key never leaves its adapter; a certificate is accepted only under a CA key that was
 * trusted before, for the very key, number and CA that were asked for, with dates that shrink from CA to issuer; a
 * certificate that is not accepted is a value with the name of what is wrong. (emv.md 1.7)
 */
import {
  capkHash,
  certificateFormat,
  equalBytes,
  hex,
  isExpired,
  issuerKeyRequestBlock,
  openSignature,
  recoverIssuerCertificate,
  type RecoveryFailureReason,
  unhex,
} from '@cardwright/emv';
import { type KeyPort } from '@cardwright/keys';
import { type Static, Type } from 'typebox';
import { type CaPublicKey, type IssuerCertificate } from './certificate-preparation.ts';

const Hex = Type.String({ pattern: '^([0-9A-F]{2})+$', maxLength: 512 });
const closed = { additionalProperties: false } as const;

/** What goes to the CA. */
export const IssuerKeyRequest = Type.Object(
  {
    format: Type.Literal('cardwright-issuer-key-request/1'),
    rid: Type.String({ pattern: '^[0-9A-F]{10}$' }),
    caIndex: Type.String({ pattern: '^[0-9A-F]{2}$' }),
    /** First digits of the PANs. */
    issuerNumber: Type.String({ pattern: '^[0-9]{3,8}$' }),
    /** YYMM, the last month that is asked for. */
    expires: Type.String({ pattern: '^[0-9]{2}(0[1-9]|1[0-2])$' }),
    trackingNumber: Type.String({ pattern: '^[0-9A-F]{6}$' }),
    modulus: Hex,
    exponent: Hex,
    /** See `issuer-key-request.ts` of emv. */
    selfSignature: Hex,
  },
  closed,
);
export type IssuerKeyRequest = Static<typeof IssuerKeyRequest>;

/** What comes back. */
export const IssuerCertificateResponse = Type.Object(
  {
    format: Type.Literal('cardwright-issuer-certificate/1'),
    rid: Type.String({ pattern: '^[0-9A-F]{10}$' }),
    caIndex: Type.String({ pattern: '^[0-9A-F]{2}$' }),
    trackingNumber: Type.String({ pattern: '^[0-9A-F]{6}$' }),
    /** Tag 90. */
    certificate: Hex,
    /** Tag 92; empty when the whole modulus fits. */
    remainder: Type.String({ pattern: '^([0-9A-F]{2})*$', maxLength: 512 }),
    /** Tag 9F32. */
    exponent: Hex,
  },
  closed,
);
export type IssuerCertificateResponse = Static<typeof IssuerCertificateResponse>;

const mmyy = (yymm: string): string => yymm.slice(2) + yymm.slice(0, 2);

/**
 * Asks for a certificate of an issuer key.
 * @throws KeyError KEY_NOT_FOUND, KEY_USAGE; EmvError when a field has a wrong form
 */
export async function createIssuerKeyRequest(
  keys: KeyPort,
  issuerKey: string,
  wanted: Pick<IssuerKeyRequest, 'rid' | 'caIndex' | 'issuerNumber' | 'expires'>,
): Promise<IssuerKeyRequest> {
  const handle = await keys.find(issuerKey);
  const { modulus, exponent } = await keys.rsaPublic(handle);
  const trackingNumber = keys.randomBytes(3);
  const block = issuerKeyRequestBlock({
    iin: wanted.issuerNumber,
    expiryMMYY: mmyy(wanted.expires),
    trackingNumber,
    rid: unhex(wanted.rid),
    caIndex: Number.parseInt(wanted.caIndex, 16),
    issuerKey: { modulus, exponent },
  });
  return {
    format: 'cardwright-issuer-key-request/1',
    ...wanted,
    trackingNumber: hex(trackingNumber),
    modulus: hex(modulus),
    exponent: hex(exponent),
    selfSignature: hex(await keys.rsaRawSign(handle, block)),
  };
}

export type IssuerCertificateRefusal =
  | 'CA_KEY_HASH' // the CA key is not the one that its check sum is of
  | 'CA_EXPIRED'
  | 'OTHER_CA' // RID or index
  | 'OTHER_REQUEST'
  | Exclude<RecoveryFailureReason, 'PAN' | 'TRANSACTION'>
  | 'PADDING'
  | 'ISSUER_NUMBER'
  | 'OUTLIVES_CA'
  | 'OTHER_KEY';

export type IssuerCertificateImport =
  | { readonly ok: true; readonly certificate: IssuerCertificate }
  | { readonly ok: false; readonly reason: IssuerCertificateRefusal };

function refusal(reason: IssuerCertificateRefusal): IssuerCertificateImport {
  return { ok: false, reason };
}

/** Whether month `yymm` comes after month `other`. */
const isAfter = (yymm: string, other: string): boolean => isExpired(mmyy(other), yymm);

function refuseCa(ca: CaPublicKey, todayYYMM: string): IssuerCertificateRefusal | undefined {
  const caKey = { modulus: unhex(ca.modulus), exponent: unhex(ca.exponent) };
  const sum = capkHash(unhex(ca.rid), Number.parseInt(ca.index, 16), caKey);
  if (!equalBytes(sum, unhex(ca.sha1))) return 'CA_KEY_HASH';
  return isExpired(mmyy(ca.expires), todayYYMM) ? 'CA_EXPIRED' : undefined;
}

/** A key shorter than its place is filled up with BB, which recovery does not look at. */
function isPaddingSound(
  caKey: { modulus: Uint8Array; exponent: Uint8Array },
  certificate: Uint8Array,
): boolean {
  const opened = openSignature(caKey, certificate, certificateFormat.issuer, 0);
  if (!opened.ok) return false;
  const modulusLength = opened.signed[12] ?? 0;
  return opened.signed.subarray(14 + modulusLength).every((byte) => byte === 0xbb);
}

interface CertificateElements {
  readonly certificate: string;
  readonly remainder: string;
  readonly exponent: string;
}

/** Certificate, number, dates, key; the CA key is sound. */
async function judgeElements(
  keys: KeyPort,
  issuerKey: string,
  { certificate, remainder, exponent }: CertificateElements,
  issuerNumber: string,
  { ca, todayYYMM }: TrustedCa,
): Promise<IssuerCertificateImport> {
  const caKey = { modulus: unhex(ca.modulus), exponent: unhex(ca.exponent) };
  const elements = {
    cert90: unhex(certificate),
    remainder92: unhex(remainder),
    exponent9F32: unhex(exponent),
  };
  const recovered = recoverIssuerCertificate(caKey, elements, { pan: issuerNumber, todayYYMM });
  if (!recovered.ok) {
    if (recovered.reason === 'PAN' || recovered.reason === 'TRANSACTION') return refusal('ISSUER_NUMBER');
    return refusal(recovered.reason);
  }
  if (recovered.iin !== issuerNumber) return refusal('ISSUER_NUMBER');
  if (!isPaddingSound(caKey, elements.cert90)) return refusal('PADDING');
  const expires = mmyy(recovered.expiryMMYY);
  if (isAfter(expires, ca.expires)) return refusal('OUTLIVES_CA');
  const ours = await keys.rsaPublic(await keys.find(issuerKey));
  const isOurs =
    equalBytes(recovered.key.modulus, ours.modulus) && equalBytes(recovered.key.exponent, ours.exponent);
  if (!isOurs) return refusal('OTHER_KEY');
  const accepted: IssuerCertificate = {
    rid: ca.rid,
    caIndex: ca.index,
    caModulus: ca.modulus,
    caExponent: ca.exponent,
    caExpires: ca.expires,
    issuerModulus: hex(ours.modulus),
    issuerExponent: hex(ours.exponent),
    issuerNumber,
    certificate,
    remainder,
    expires,
  };
  return { ok: true, certificate: accepted };
}

/** A CA key from elsewhere than what is judged, and the month that is now. */
export interface TrustedCa {
  readonly ca: CaPublicKey;
  readonly todayYYMM: string;
}

/**
 * Checks what the CA sent back for a request, in the order: CA, request, certificate, number, dates, key.
 * @throws KeyError KEY_NOT_FOUND
 */
export async function importIssuerCertificate(
  keys: KeyPort,
  issuerKey: string,
  request: IssuerKeyRequest,
  response: IssuerCertificateResponse,
  trusted: TrustedCa,
): Promise<IssuerCertificateImport> {
  const { ca, todayYYMM } = trusted;
  const refused = refuseCa(ca, todayYYMM);
  if (refused) return refusal(refused);
  for (const { rid, caIndex } of [request, response]) {
    if (rid !== ca.rid || caIndex !== ca.index) return refusal('OTHER_CA');
  }
  if (request.trackingNumber !== response.trackingNumber) return refusal('OTHER_REQUEST');
  const judged = await judgeElements(keys, issuerKey, response, request.issuerNumber, trusted);
  if (judged.ok && judged.certificate.issuerModulus !== request.modulus) return refusal('OTHER_KEY');
  return judged;
}

/**
 * Judges an imported certificate again, as at each start: the file that it lay in since is not trusted.
 * @throws KeyError KEY_NOT_FOUND
 */
export async function recheckIssuerCertificate(
  keys: KeyPort,
  issuerKey: string,
  imported: IssuerCertificate,
  trusted: TrustedCa,
): Promise<IssuerCertificateRefusal | undefined> {
  const { ca, todayYYMM } = trusted;
  const refused = refuseCa(ca, todayYYMM);
  if (refused) return refused;
  const isOfCa =
    imported.rid === ca.rid && imported.caIndex === ca.index && imported.caModulus === ca.modulus;
  if (!isOfCa || imported.caExponent !== ca.exponent) return 'OTHER_CA';
  const { certificate, remainder, issuerExponent: exponent, issuerNumber } = imported;
  const elements = { certificate, remainder, exponent };
  const judged = await judgeElements(keys, issuerKey, elements, issuerNumber, trusted);
  if (!judged.ok) return judged.reason;
  const { issuerModulus, expires, caExpires } = judged.certificate;
  const isSame =
    issuerModulus === imported.issuerModulus &&
    expires === imported.expires &&
    caExpires === imported.caExpires;
  return isSame ? undefined : 'OTHER_KEY';
}
