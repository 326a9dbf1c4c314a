/**
 * The card's certificates up to the CA key that the vault named, as a terminal checks them (EMV Book 2, 5.3, 6.4).
 * Pure.
 */
import {
  EmvError,
  equalBytes,
  hex,
  odaRecordNumbers,
  parseAfl,
  recoverIccCertificate,
  recoverIssuerCertificate,
  type RsaPublicKeyBytes,
  staticDataToAuthenticate,
  unhex,
} from '@cardwright/emv';
import { type VerificationFacts } from '@cardwright/protocol';

/** What a card returned, for the checks that need all of it. */
export interface CardContents {
  readonly aip: Uint8Array;
  readonly afl: Uint8Array;
  /** Whole records by `sfi.record`. */
  readonly records: ReadonlyMap<string, Uint8Array>;
  /** All primitive data objects of the records. */
  readonly objects: ReadonlyMap<string, Uint8Array>;
}

export type ChainResult =
  | { readonly ok: true; readonly iccKey: RsaPublicKeyBytes }
  | { readonly ok: false; readonly part: 'issuerCertificate' | 'iccCertificate'; readonly reason: string };

const nothing = new Uint8Array(0);
const object = ({ objects }: CardContents, tag: string): Uint8Array => objects.get(tag) ?? nothing;

/** Digits of the card number as tag 5A holds them. */
export function cardNumberOf(contents: CardContents): string {
  return hex(object(contents, '5A')).replace(/F+$/, '');
}

/** Static data to be authenticated; undefined when records or tag list are not as Book 3, 10.3 wants them. */
function staticDataOf(contents: CardContents): Uint8Array | undefined {
  const tagList = object(contents, '9F4A');
  if (tagList.length > 0 && hex(tagList) !== '82') return undefined;
  const signed = odaRecordNumbers(parseAfl(contents.afl)).map(({ sfi, record }) => ({
    sfi,
    record: contents.records.get(`${sfi}.${record}`) ?? nothing,
  }));
  try {
    return staticDataToAuthenticate(signed, tagList.length > 0 ? [contents.aip] : []);
  } catch (error) {
    if (error instanceof EmvError) return undefined;
    throw error;
  }
}

/**
 * Recovers issuer key and ICC key.
 * @param todayYYMM month of the check: a card is not handed over with a certificate that has ended
 */
export function checkCertificateChain(
  contents: CardContents,
  capk: VerificationFacts['capk'],
  todayYYMM: string,
): ChainResult {
  const context = { pan: cardNumberOf(contents), todayYYMM };
  if (!equalBytes(object(contents, '8F'), unhex(capk.index))) {
    return { ok: false, part: 'issuerCertificate', reason: 'CA_KEY_INDEX' };
  }
  const issuer = recoverIssuerCertificate(
    { modulus: unhex(capk.modulus), exponent: unhex(capk.exponent) },
    {
      cert90: object(contents, '90'),
      remainder92: object(contents, '92'),
      exponent9F32: object(contents, '9F32'),
    },
    context,
  );
  if (!issuer.ok) return { ok: false, part: 'issuerCertificate', reason: issuer.reason };
  const staticData = staticDataOf(contents);
  if (staticData === undefined) return { ok: false, part: 'iccCertificate', reason: 'STATIC_DATA' };
  const icc = recoverIccCertificate(
    issuer.key,
    {
      cert9F46: object(contents, '9F46'),
      remainder9F48: object(contents, '9F48'),
      exponent9F47: object(contents, '9F47'),
    },
    staticData,
    context,
  );
  return icc.ok ? { ok: true, iccKey: icc.key } : { ok: false, part: 'iccCertificate', reason: icc.reason };
}
