/**
 * The magnetic stripe: tracks 1 and 2 by ISO/IEC 7813, made from the product's patterns where the issuer sent none.
 *
 * Invariants: a track that the issuer sent is encoded as it is; no track is longer than its limit, and none is ever
 * cut to fit; the stripe carries the verification value of its own service code, never the chip's or the printed
 * one. Track 3 (ISO/IEC 4909) exists only where the issuer sent it.
 */
import { type StripeTracks } from '@cardwright/protocol';
import { type ProductProfile } from './product-profile.ts';
import { trackLimits, type Tracks } from './track-data.ts';

/** What a stripe says about a card: digits, YYMM, the name as track 1 carries it, and the issuer's own tracks. */
export interface StripeCard {
  readonly pan: string;
  readonly expiry: string;
  readonly encodedName: string;
  readonly tracks: Tracks;
}

/** One piece of discretionary data: digits as they are, or the place of a computed value. */
export type DiscretionaryPart =
  { readonly kind: 'digits'; readonly digits: string } | { readonly kind: 'cvv' } | { readonly kind: 'pvv' };

/** Values that a pattern may ask for. */
export interface StripeValues {
  readonly cvv?: string;
  readonly pvv?: string;
}

const lengths = { cvv: 3, pvv: 4 } as const;

/** Parts of a pattern such as `000000|cvv|000000`, or undefined when it is none. An empty pattern has no parts. */
export function parseDiscretionaryPattern(pattern: string): readonly DiscretionaryPart[] | undefined {
  if (pattern === '') return [];
  const parts: DiscretionaryPart[] = [];
  for (const text of pattern.split('|')) {
    if (text === 'cvv' || text === 'pvv') parts.push({ kind: text });
    else if (/^\d+$/.test(text)) parts.push({ kind: 'digits', digits: text });
    else return undefined;
  }
  const kinds = parts.map(({ kind }) => kind).filter((kind) => kind !== 'digits');
  return new Set(kinds).size === kinds.length ? parts : undefined;
}

function partsOf(pattern: string): readonly DiscretionaryPart[] {
  const parts = parseDiscretionaryPattern(pattern);
  if (parts === undefined) throw new RangeError('a discretionary data pattern is wrong');
  return parts;
}

/** How many characters the parts make. */
export function discretionaryLength(parts: readonly DiscretionaryPart[]): number {
  return parts.reduce((sum, part) => {
    return sum + (part.kind === 'digits' ? part.digits.length : lengths[part.kind]);
  }, 0);
}

/** Patterns of the tracks that must be made for this card, because the issuer sent none. */
function patternsToFill(profile: ProductProfile, card: Pick<StripeCard, 'tracks'>): readonly string[] {
  const { stripe } = profile;
  if (stripe === undefined) return [];
  return [
    ...(card.tracks.track1 === undefined ? [stripe.track1] : []),
    ...(card.tracks.track2 === undefined ? [stripe.track2] : []),
  ];
}

/** Which values the tracks of this card ask for. */
export function stripeNeeds(
  profile: ProductProfile,
  card: Pick<StripeCard, 'tracks'>,
): { readonly cvv: boolean; readonly pvv: boolean } {
  const parts = patternsToFill(profile, card).flatMap(partsOf);
  return {
    cvv: parts.some(({ kind }) => kind === 'cvv'),
    pvv: parts.some(({ kind }) => kind === 'pvv'),
  };
}

/** Characters that every track has besides number, name and discretionary data. */
export const fixedTrackLength = { track1: 3 + 4 + 3, track2: 1 + 4 + 3 } as const;

/** Name of the member that makes a computed track too long, or undefined when both fit. */
export function stripeOverflow(
  profile: ProductProfile,
  card: Omit<StripeCard, 'expiry'>,
): 'pan' | 'encodedName' | undefined {
  const { stripe } = profile;
  if (stripe === undefined) return undefined;
  const { pan, encodedName, tracks } = card;
  const second = fixedTrackLength.track2 + pan.length + discretionaryLength(partsOf(stripe.track2));
  if (tracks.track2 === undefined && second > trackLimits.track2) return 'pan';
  const first = fixedTrackLength.track1 + pan.length + encodedName.length;
  const isLong = first + discretionaryLength(partsOf(stripe.track1)) > trackLimits.track1;
  return tracks.track1 === undefined && isLong ? 'encodedName' : undefined;
}

function filled(pattern: string, values: StripeValues): string {
  return partsOf(pattern)
    .map((part) => {
      if (part.kind === 'digits') return part.digits;
      const value = values[part.kind];
      if (value?.length !== lengths[part.kind]) throw new RangeError(`no ${part.kind} for the stripe`);
      return value;
    })
    .join('');
}

/**
 * The tracks of one card without sentinels and LRC, or undefined for a product without a stripe.
 * @param values what `stripeNeeds` asked for
 * @throws RangeError for a pattern that is wrong, or a value that is missing
 */
export function stripeTracks(
  profile: ProductProfile,
  card: StripeCard,
  values: StripeValues,
): StripeTracks | undefined {
  const { stripe, serviceCode } = profile;
  if (stripe === undefined) return undefined;
  const { pan, expiry, encodedName, tracks } = card;
  const { track1, track2, track3 } = tracks;
  return {
    track1: track1 ?? `B${pan}^${encodedName}^${expiry}${serviceCode}${filled(stripe.track1, values)}`,
    track2: track2 ?? `${pan}=${expiry}${serviceCode}${filled(stripe.track2, values)}`,
    ...(track3 !== undefined && { track3 }),
  };
}
