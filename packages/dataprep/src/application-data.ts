/**
 * The data objects of the application: one pure function from profile and card to encoded TLVs, by group.
 *
 * Invariant: no primitive tag stands twice over all records; the chip's track 2 carries the iCVV (service code
 * 999), never the stripe's value.
 */
import { ascii, bcd, concatBytes, tlv, unhex } from '@cardwright/emv';
import { type ValidatedCard } from './card-data-validation.ts';
import { type EmvValues, type ProductProfile } from './product-profile.ts';

/** A PAN as tag 5A holds it: BCD, padded with F to whole bytes. */
export function panBytes(pan: string): Uint8Array {
  return unhex(pan.length % 2 === 0 ? pan : `${pan}F`);
}

/** Value of tag 57: PAN, D, expiry, service code, discretionary data with the iCVV, padded with F. */
export function track2Equivalent(profile: ProductProfile, card: ValidatedCard, icvv: string): Uint8Array {
  const discretionary = profile.chipDiscretionary.map((part) => (part === 'icvv' ? icvv : part)).join('');
  const digits = `${card.pan}D${card.expiry}${profile.serviceCode}${discretionary}`;
  return unhex(digits.length % 2 === 0 ? digits : `${digits}F`);
}

/** File 1: what a stripe would say. */
export function trackObjects(profile: ProductProfile, card: ValidatedCard, icvv: string): Uint8Array[] {
  return [tlv('57', track2Equivalent(profile, card, icvv)), tlv('5F20', ascii(card.encodedName))];
}

/** File 3: the data that the ICC certificate signs. */
export function signedObjects(profile: ProductProfile, card: ValidatedCard): Uint8Array[] {
  const { emv } = profile;
  const cvmList = (card.pinBlock === undefined ? undefined : profile.pin?.cvmList) ?? emv.cvmList;
  return [
    tlv('5A', panBytes(card.pan)),
    tlv('5F24', bcd(card.expirationDate)),
    tlv('5F25', bcd(card.effectiveDate)),
    tlv('5F28', unhex(emv.countryCode)),
    tlv('5F30', bcd(profile.serviceCode.padStart(4, '0'))),
    tlv('5F34', bcd(card.panSequenceNumber)),
    tlv('8C', unhex(emv.cdol1)),
    tlv('8D', unhex(emv.cdol2)),
    tlv('8E', unhex(cvmList)),
    tlv('9F07', unhex(emv.auc)),
    tlv('9F08', unhex(emv.applicationVersion)),
    tlv('9F0D', unhex(emv.iacDefault)),
    tlv('9F0E', unhex(emv.iacDenial)),
    tlv('9F0F', unhex(emv.iacOnline)),
    ...(card.paymentAccountReference === undefined ? [] : [tlv('9F24', ascii(card.paymentAccountReference))]),
    tlv('9F42', unhex(emv.currencyCode)),
    tlv('9F44', unhex(emv.currencyExponent)),
  ];
}

/** First three bytes of every IAD of this card: length, cryptogram version, key derivation index. */
export function iadPrefix(emv: EmvValues, dki: string): string {
  return `0F${emv.cci}${dki}`;
}

/** The default IAD, 32 bytes: `0F CCI DKI | CVR 5 | counters 8 | 0F | issuer discretionary 15`. */
export function defaultIad(emv: EmvValues, dki: string): Uint8Array {
  return unhex(iadPrefix(emv, dki) + '00'.repeat(13) + '0F' + '00'.repeat(15));
}

const label = (emv: EmvValues): Uint8Array => tlv('50', ascii(emv.label));
const priority = (): Uint8Array => tlv('87', unhex('01'));

/** Directory entry `61` of PSE record and PPSE. */
export function directoryEntry(emv: EmvValues): Uint8Array {
  return tlv('61', concatBytes(tlv('4F', unhex(emv.aid)), label(emv), priority()));
}

/** FCI proprietary template of the application. */
export function applicationFci(emv: EmvValues): Uint8Array {
  return tlv('A5', concatBytes(label(emv), priority(), tlv('5F2D', ascii(emv.languages))));
}

/** FCI proprietary template of the PSE: its directory is in file 1. */
export function pseFci(emv: EmvValues): Uint8Array {
  return tlv('A5', concatBytes(tlv('88', unhex('01')), tlv('5F2D', ascii(emv.languages))));
}

/** FCI proprietary template of the PPSE: the directory itself. */
export function ppseFci(emv: EmvValues): Uint8Array {
  return tlv('A5', tlv('BF0C', directoryEntry(emv)));
}
