/**
 * What a product is made of: EMV values, key names, print rules, secure channel rules.
 *
 * Profiles are data. A new product is a new value of `ProductProfile`, never a new branch in code; code reads
 * only these fields. No profile holds a secret: keys are named, not carried.
 */

import { type ReferencePinFormat } from '@cardwright/keys';

/** How the four digits of `exp` are to be read (d1-api, trap 1). Decided per product, never guessed. */
export type ExpiryOrder = 'YYMM' | 'MMYY';
export type UdkOption = 'A' | 'B';

/** Key pair of offline data authentication behind one `odaKeyIndex`. */
export interface OdaKeySet {
  readonly caKey: string;
  /** Index of the CA public key as the card names it (tag 8F), two hex digits. */
  readonly caIndex: string;
  readonly issuerKey: string;
}

/** Master keys behind one `derivationKeyIndex`. */
export interface DerivationKeySet {
  readonly ac: string;
  readonly smi: string;
  readonly smc: string;
  /** Derivation key index byte of the IAD, two hex digits. */
  readonly dki: string;
}

/** Keys by normalised index (`normalizeKeyIndex`): `"1"`, not `"01"`. */
export interface ProfileKeys {
  readonly oda: Readonly<Record<string, OdaKeySet>>;
  readonly derivation: Readonly<Record<string, DerivationKeySet>>;
  readonly cv: Readonly<Record<string, string>>;
  /** PIN verification keys; null where the product encodes no PVV, so that no key is needed. */
  readonly pv: Readonly<Record<string, string | null>>;
  readonly defaultCvIndex: string;
}

/** A secure channel the product allows. SCP02 needs a waiver that a person signed for (security.md T5). */
export type SecureChannelRule =
  | { readonly protocol: 'SCP03'; readonly masterKey: string }
  | { readonly protocol: 'SCP02'; readonly masterKey: string; readonly waiver: string };

export interface PrintRules {
  /** Name of the print template. */
  readonly design: string;
  readonly printsName: boolean;
  readonly pan: 'full' | 'masked';
  readonly printsSecurityCode: boolean;
  /** Present: the printed code is computed (service code 000) over the expiry in this order; absent: the issuer's. */
  readonly computedSecurityCode?: { readonly expiryOrder: ExpiryOrder };
}

/** What the chip of a product does with a PIN. */
export interface PinRules {
  /** Format of the reference PIN in DGI 8010. */
  readonly block: ReferencePinFormat;
  /** CVM list of a card that got a PIN; every other card has the one of `emv`, without offline PIN. */
  readonly cvmList: string;
}

/** Discretionary data of computed tracks: digits, `cvv` and `pvv`, separated by `|`. */
export interface StripeRules {
  readonly track1: string;
  readonly track2: string;
}

/** EMV values of the application; all hex, upper case. */
export interface EmvValues {
  readonly rid: string;
  readonly aid: string;
  readonly pseAid: string;
  readonly ppseAid: string;
  readonly label: string;
  readonly languages: string;
  readonly aip: string;
  readonly auc: string;
  readonly applicationVersion: string;
  readonly cdol1: string;
  readonly cdol2: string;
  readonly ddol: string;
  readonly cvmList: string;
  readonly iacDefault: string;
  readonly iacDenial: string;
  readonly iacOnline: string;
  readonly countryCode: string;
  readonly currencyCode: string;
  readonly currencyExponent: string;
  /** Cryptogram version (CCI) byte of the IAD. */
  readonly cci: string;
  readonly atcStart: string;
  readonly lowerOfflineLimit: string;
  readonly upperOfflineLimit: string;
  readonly pinTryLimit: string;
}

export interface ProductProfile {
  readonly productId: string;
  readonly config: string;
  readonly expiryOrder: ExpiryOrder;
  readonly panLength: { readonly min: number; readonly max: number };
  readonly serviceCode: string;
  /** Track 2 discretionary data of the chip, parts joined; `icvv` stands for the computed value. */
  readonly chipDiscretionary: readonly string[];
  /** Absent: the product has no magnetic stripe. */
  readonly stripe?: StripeRules;
  /** Absent: the chip takes no PIN. */
  readonly pin?: PinRules;
  readonly udkOption: UdkOption;
  readonly iccKeyBits: number;
  readonly keys: ProfileKeys;
  readonly secureChannels: readonly SecureChannelRule[];
  readonly print: PrintRules;
  readonly emv: EmvValues;
  readonly remake: { readonly maxRemakes: number; readonly remakeAfterTerminate: boolean };
}
