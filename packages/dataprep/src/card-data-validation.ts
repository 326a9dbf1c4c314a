/**
 * The one gate for decrypted card data (OD-3.7, OD-3.8): bytes in, a normalised card or the name of the first
 * member in error out.
 *
 * Invariants: a refusal carries a member name and never a value; member names that an issuer made up are
 * repeated only when they cannot hide data; a clear PIN is refused before anything else is looked at.
 */
import { isLuhnValid } from '@cardwright/domain';
import { type IssuerPinFormat } from '@cardwright/keys';
import { CardData, check, normalizeKeyIndex, parseStrictJson } from '@cardwright/protocol';
import { isCardDate, lastDayOfMonth, readExpiry, yymmdd } from './card-date.ts';
import { encodeNameByRule, isEncodedName, isPrintableName } from './character-set.ts';
import { validatePreparedData } from './issuer-prepared-data.ts';
import { type ProductProfile } from './product-profile.ts';
import { fixedTrackLength, stripeNeeds, stripeOverflow } from './stripe-data.ts';
import { nameOfTrack1, readTracks, trackLimits, type Tracks } from './track-data.ts';

/** An enciphered PIN block as the issuer sent it; only its form is known to be right. */
export interface ValidatedPinBlock {
  readonly format: IssuerPinFormat;
  /** Upper-case hexadecimal. */
  readonly value: string;
  /** Normalised (`normalizeKeyIndex`). */
  readonly keyIndex: string;
}

/** Format 4 alone needs no decision: formats 0 and 3 under 3DES are an issuer's exception (OD-3.8). */
export const defaultPinFormats: readonly IssuerPinFormat[] = ['ISO9564-4'];

/** Card data as the rest of data preparation uses it: every field checked, defaults filled in. */
export interface ValidatedCard {
  readonly pan: string;
  /** YYMM, whatever the order on the wire. */
  readonly expiry: string;
  /** YYMMDD, last day of the month. */
  readonly expirationDate: string;
  readonly effectiveDate: string;
  readonly panSequenceNumber: string;
  readonly name?: string;
  readonly secondName?: string;
  readonly encodedName: string;
  readonly cvv1?: string;
  /** Present only where the product prints it. */
  readonly securityCode?: string;
  readonly pvv?: string;
  readonly paymentAccountReference?: string;
  readonly tracks: Tracks;
  readonly pinBlock?: ValidatedPinBlock;
  readonly isTestCard: boolean;
  /** DGIs that the issuer prepared (`emvData`), checked against the profile. */
  readonly preparedDgis?: ReadonlyMap<string, Uint8Array>;
}

export type CardDataResult =
  | { readonly ok: true; readonly card: ValidatedCard }
  /** `field`: dotted member name; empty when the text as a whole is not acceptable. */
  | { readonly ok: false; readonly field: string };

const refused = (field: string): CardDataResult => ({ ok: false, field });

/** Parses the plaintext: strict UTF-8 and strict JSON. `field` names a duplicate member. */
export function parseCardDataText(
  plaintext: Uint8Array,
): { readonly ok: true; readonly value: unknown } | { readonly ok: false; readonly field: string } {
  let text: string;
  try {
    text = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true }).decode(plaintext);
  } catch {
    return { ok: false, field: '' };
  }
  const parsed = parseStrictJson(text);
  if (!parsed.ok) return { ok: false, field: safeFieldName(parsed.field) };
  return { ok: true, value: parsed.value };
}

/** What an issuer may send beyond what every issuer may. All off by default. */
export interface IssuerPermissions {
  /** Data prepared by the issuer itself (`emvData`). */
  readonly emvData?: boolean;
  /** Formats of PIN blocks; default: `defaultPinFormats`. */
  readonly pinFormats?: readonly IssuerPinFormat[];
}

/**
 * Judges decrypted card data for a product.
 *
 * @param plaintext the decrypted bytes; the caller wipes them
 * @param today decides which expiry is past, and the default effective date (UTC)
 * @param testPrefixes PAN prefixes of this environment; when not empty, every other PAN is refused
 * @param permissions what this issuer may send
 */
export function validateCardData(
  plaintext: Uint8Array,
  profile: ProductProfile,
  today: Date,
  testPrefixes: readonly string[],
  permissions: IssuerPermissions = {},
): CardDataResult {
  const parsed = parseCardDataText(plaintext);
  if (!parsed.ok) return refused(parsed.field);
  const pinPath = findPin(parsed.value, '');
  if (pinPath !== undefined) return refused(safeFieldName(pinPath));
  const hasEmvData = isObject(parsed.value) && Object.hasOwn(parsed.value, 'emvData');
  if (hasEmvData && permissions.emvData !== true) return refused('emvData');
  const checked = check(CardData, parsed.value);
  if (!checked.ok) return refused(safeFieldName(checked.field));
  const { pinFormats = defaultPinFormats } = permissions;
  return validateMembers(checked.value, profile, today, testPrefixes, pinFormats);
}

function validateMembers(
  data: CardData,
  profile: ProductProfile,
  today: Date,
  testPrefixes: readonly string[],
  pinFormats: readonly IssuerPinFormat[],
): CardDataResult {
  const { pan } = data;
  const isTestCard = testPrefixes.some((prefix) => pan.startsWith(prefix));
  if (!isPanAllowed(pan, profile) || (testPrefixes.length > 0 && !isTestCard)) return refused('pan');

  const expiry = readExpiry(data.exp, profile.expiryOrder);
  if (expiry === undefined || expiry < yymmdd(today).slice(0, 4)) return refused('exp');
  const expirationDate = lastDayOfMonth(expiry);
  const effectiveDate = data.effectiveDate ?? yymmdd(today);
  if (!isCardDate(effectiveDate) || effectiveDate > expirationDate) return refused('effectiveDate');

  const given = readTracks(data.trackData ?? {}, pan);
  if (!given.ok) return refused(`trackData.${given.track}`);
  if (data.trackData !== undefined && profile.stripe === undefined) return refused('trackData');
  const names = readNames(data, given.tracks, profile);
  if (!names.ok) return refused(names.field);

  const overflow = overflowOf(profile, pan, names.names.encodedName, given.tracks);
  if (overflow !== undefined) return refused(overflow);

  const needsSecurityCode =
    profile.print.printsSecurityCode && profile.print.computedSecurityCode === undefined;
  if (data.cvv2 === undefined && needsSecurityCode) return refused('cvv2');
  // The stripe value must not be derivable from what is printed.
  if (data.cvv1 !== undefined && data.cvv1 === data.cvv2) return refused('cvv2');

  const panSequenceNumber = data.panSequenceNumber ?? '00';
  const identity = { pan, expiry, expirationDate, panSequenceNumber };
  const prepared = data.emvData && validatePreparedData(data.emvData, profile, identity);
  if (prepared?.ok === false) return refused(prepared.field);
  const pin = readPinBlock(data, profile, given.tracks, pinFormats);
  if (!pin.ok) return refused(pin.field);

  return {
    ok: true,
    card: {
      pan,
      expiry,
      expirationDate,
      effectiveDate,
      panSequenceNumber,
      ...names.names,
      ...(data.cvv1 !== undefined && { cvv1: data.cvv1 }),
      ...(data.cvv2 !== undefined && profile.print.printsSecurityCode && { securityCode: data.cvv2 }),
      ...(data.pvv !== undefined && { pvv: data.pvv }),
      ...(data.paymentAccountReference !== undefined && {
        paymentAccountReference: data.paymentAccountReference,
      }),
      tracks: given.tracks,
      ...(prepared !== undefined && { preparedDgis: prepared.dgis }),
      ...(pin.pinBlock !== undefined && { pinBlock: pin.pinBlock }),
      isTestCard,
    },
  };
}

type PinBlockReading =
  | { readonly ok: true; readonly pinBlock?: ValidatedPinBlock }
  | { readonly ok: false; readonly field: string };

/** The PIN block's form (OD-3.8), and that the card has a place for what is made of it. */
function readPinBlock(
  { pinBlock, pvv }: CardData,
  profile: ProductProfile,
  tracks: Tracks,
  pinFormats: readonly IssuerPinFormat[],
): PinBlockReading {
  const needsPvv = stripeNeeds(profile, { tracks }).pvv && pvv === undefined;
  if (pinBlock === undefined) {
    if (profile.pin?.isRequired === true) return { ok: false, field: 'pinBlock' };
    return needsPvv ? { ok: false, field: 'pvv' } : { ok: true };
  }
  // A PIN that goes nowhere would make another card than the one ordered.
  if (profile.pin === undefined && !needsPvv) return { ok: false, field: 'pinBlock' };
  const { value, keyIndex } = pinBlock;
  const format = pinFormats.find((allowed) => allowed === pinBlock.format);
  if (format === undefined) return { ok: false, field: 'pinBlock.format' };
  const digits = format === 'ISO9564-4' ? 32 : 16;
  if (value.length !== digits || !/^[0-9A-F]+$/.test(value)) return { ok: false, field: 'pinBlock.value' };
  return { ok: true, pinBlock: { format, value, keyIndex: normalizeKeyIndex(keyIndex) } };
}

/** The member that makes a track, on the stripe or in the chip, longer than it may be. */
function overflowOf(
  profile: ProductProfile,
  pan: string,
  encodedName: string,
  tracks: Tracks,
): string | undefined {
  const chip = profile.chipDiscretionary.reduce((sum, part) => sum + (part === 'icvv' ? 3 : part.length), 0);
  if (fixedTrackLength.track2 + pan.length + chip > trackLimits.track2) return 'pan';
  return stripeOverflow(profile, { pan, encodedName, tracks });
}

function isPanAllowed(pan: string, profile: ProductProfile): boolean {
  const { min, max } = profile.panLength;
  return pan.length >= min && pan.length <= max && isLuhnValid(pan);
}

interface CardNames {
  readonly name?: string;
  readonly secondName?: string;
  readonly encodedName: string;
}

/** Printed and encoded names (OD-3.7): given, else from track 1, else by the product's rule, else refused. */
function readNames(
  data: CardData,
  tracks: Tracks,
  profile: ProductProfile,
): { readonly ok: true; readonly names: CardNames } | { readonly ok: false; readonly field: string } {
  const { name, secondName } = data;
  if (name === undefined ? profile.print.printsName : !isPrintableName(name)) {
    return { ok: false, field: 'name' };
  }
  if (secondName !== undefined && !isPrintableName(secondName)) return { ok: false, field: 'secondName' };
  if (data.encodedName !== undefined && !isEncodedName(data.encodedName)) {
    return { ok: false, field: 'encodedName' };
  }
  const encodedName =
    data.encodedName ??
    (tracks.track1 === undefined ? undefined : nameOfTrack1(tracks.track1)) ??
    (name === undefined ? undefined : encodeNameByRule(name));
  if (encodedName === undefined) return { ok: false, field: 'encodedName' };
  return {
    ok: true,
    names: {
      ...(name !== undefined && { name }),
      ...(secondName !== undefined && { secondName }),
      encodedName,
    },
  };
}

function isObject(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

/** Dotted path of the first member called `pin` in any spelling, at any depth. */
function findPin(value: unknown, path: string): string | undefined {
  if (Array.isArray(value)) {
    for (const item of value) {
      const found = findPin(item, path);
      if (found !== undefined) return found;
    }
    return undefined;
  }
  if (!isObject(value)) return undefined;
  for (const [name, member] of Object.entries(value)) {
    const memberPath = path === '' ? name : `${path}.${name}`;
    if (name.toLowerCase() === 'pin') return path === '' ? 'pin' : `${path}.pin`;
    const found = findPin(member, memberPath);
    if (found !== undefined) return found;
  }
  return undefined;
}

/**
 * A member name that may be repeated in answers and logs. A name that an issuer made up could itself be card
 * data; where any part of the path does not look like one of ours, only the part before it is kept.
 */
export function safeFieldName(field: string): string {
  const kept: string[] = [];
  for (const part of field.split('.')) {
    if (!/^[A-Za-z][A-Za-z]{0,31}\d{0,2}$/.test(part)) break;
    kept.push(part);
  }
  return kept.join('.');
}

/**
 * Canonical bytes of card data, for the keyed fingerprint of OD-3.10: members sorted at every level, no blanks.
 * Two encryptions of the same card data give the same bytes.
 */
export function canonicalCardData(value: unknown): Uint8Array {
  return new TextEncoder().encode(canonicalJson(value));
}

function canonicalJson(value: unknown): string {
  if (Array.isArray(value)) return `[${value.map(canonicalJson).join(',')}]`;
  if (isObject(value)) {
    const members = Object.keys(value)
      .sort()
      .map((name) => `${JSON.stringify(name)}:${canonicalJson(value[name])}`);
    return `{${members.join(',')}}`;
  }
  return JSON.stringify(value);
}
