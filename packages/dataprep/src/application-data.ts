/**
 * The values that only one card has: one pure function from product and card to values by tag.
 *
 * Invariant: the chip's track 2 carries the iCVV (service code 999), never the stripe's value.
 */
import { ascii, bcd, unhex } from '@cardwright/emv';
import { type ValidatedCard } from './card-data-validation.ts';
import { defaultIad } from './profile/iad-layout.ts';
import { type ProductProfile } from './product-profile.ts';

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

/** Fixed values of the product and the values of this card, by tag; certificates and AFL come later. */
export function tagValues(
  profile: ProductProfile,
  card: ValidatedCard,
  { icvv, dki }: { readonly icvv: string; readonly dki: string },
): Map<string, Uint8Array> {
  const { pin } = profile;
  return new Map([
    ...profile.chip.values,
    ...(card.pinBlock === undefined || pin?.cvmList === undefined ? [] : [['8E', pin.cvmList] as const]),
    ['4F', unhex(profile.emv.aid)],
    ['57', track2Equivalent(profile, card, icvv)],
    ['5A', panBytes(card.pan)],
    ['5F20', ascii(card.encodedName)],
    ['5F24', bcd(card.expirationDate)],
    ['5F25', bcd(card.effectiveDate)],
    ['5F30', bcd(profile.serviceCode.padStart(4, '0'))],
    ['5F34', bcd(card.panSequenceNumber)],
    ['9F10', unhex(defaultIad(profile.chip.iad, dki))],
    ...(card.paymentAccountReference === undefined
      ? []
      : [['9F24', ascii(card.paymentAccountReference)] as const]),
  ]);
}
