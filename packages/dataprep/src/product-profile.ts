/**
 * What a product is made of once its files are read: chip template, key names, print rules, secure channel rules.
 *
 * Profiles are data (`profiles/*.json`, `products/*.json`). A new product is a new file, never a new branch in code;
 * code reads only these fields. No profile holds a secret: keys are named, not carried.
 */
import { type ReferencePinFormat } from '@cardwright/keys';
import { type StoreDataPacking } from '@cardwright/personalization';
import { type IadLayout } from './profile/iad-layout.ts';
import { type ProfileFile } from './profile/profile-file.ts';

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
  /** True: a card without a PIN is not made. */
  readonly isRequired: boolean;
  /** CVM list of a card that got a PIN; absent: every card has the profile's. */
  readonly cvmList?: Uint8Array;
}

/** Discretionary data of computed tracks: digits, `cvv` and `pvv`, separated by `|`. */
export interface StripeRules {
  readonly track1: string;
  readonly track2: string;
}

/** What other parts ask of the application without reading its templates; all hex, upper case. */
export interface EmvValues {
  readonly rid: string;
  readonly aid: string;
  readonly pseAid: string;
  readonly ppseAid: string;
  readonly aip: string;
  readonly cdol1: string;
  readonly atcStart: string;
}

/** The application as its profile file describes it, values in bytes. */
export interface ChipTemplate {
  readonly profileId: string;
  /** Fixed values by tag, of profile and product. */
  readonly values: ReadonlyMap<string, Uint8Array>;
  readonly iad: IadLayout;
  readonly pinTryLimit: number;
  readonly files: ProfileFile['files'];
  readonly instances: ProfileFile['instances'];
  /** How data groupings are packed into STORE DATA. */
  readonly packing: StoreDataPacking;
  /** Tags that data prepared by an issuer must carry as the profile has them. */
  readonly lockedTags: readonly string[];
}

/** What leaves the stock for one card. */
export interface StockNeeds {
  readonly blank: string;
  readonly ribbon: string;
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
  readonly stock: StockNeeds;
  readonly emv: EmvValues;
  readonly chip: ChipTemplate;
  readonly remake: { readonly maxRemakes: number; readonly remakeAfterTerminate: boolean };
}
