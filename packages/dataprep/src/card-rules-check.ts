/**
 * Checks the card rules of a product before any card is made by them: service code, track patterns, lengths.
 *
 * Invariant: a product that passes has room for every card number length it allows on every track it makes; what
 * is wrong is named by the profile's own member.
 */
import { announcesChip, isServiceCode } from './service-code.ts';
import { discretionaryLength, fixedTrackLength, parseDiscretionaryPattern } from './stripe-data.ts';
import { type ProductProfile } from './product-profile.ts';
import { trackLimits } from './track-data.ts';
import { encodedNameLength } from './character-set.ts';

export interface CardRuleFault {
  /** Dotted name of the member, e.g. `stripe.track2`. */
  readonly member: string;
  readonly message: string;
}

type CardRules = Pick<ProductProfile, 'serviceCode' | 'panLength' | 'chipDiscretionary' | 'stripe'>;

/** Every fault of a product's card rules; empty when there is none. */
export function cardRuleFaults(rules: CardRules): readonly CardRuleFault[] {
  const faults: CardRuleFault[] = [];
  if (!isServiceCode(rules.serviceCode)) {
    faults.push({ member: 'serviceCode', message: 'is no service code of ISO/IEC 7813' });
  } else if (!announcesChip(rules.serviceCode)) {
    faults.push({ member: 'serviceCode', message: 'announces no chip: the first digit must be 2 or 6' });
  }
  const chip = rules.chipDiscretionary.join('').replace('icvv', '000');
  if (!/^\d*$/.test(chip)) {
    faults.push({ member: 'chipDiscretionary', message: 'holds digits and at most one `icvv`' });
  } else if (fixedTrackLength.track2 + rules.panLength.max + chip.length > trackLimits.track2) {
    faults.push({ member: 'chipDiscretionary', message: 'leaves no room for the longest card number' });
  }
  faults.push(...stripeFaults(rules));
  return faults;
}

function stripeFaults({ stripe, panLength }: CardRules): CardRuleFault[] {
  if (stripe === undefined) return [];
  const fixed = {
    track1: fixedTrackLength.track1 + panLength.max + encodedNameLength.max,
    track2: fixedTrackLength.track2 + panLength.max,
  } as const;
  return (['track1', 'track2'] as const).flatMap((track): CardRuleFault[] => {
    const parts = parseDiscretionaryPattern(stripe[track]);
    const member = `stripe.${track}`;
    if (parts === undefined) {
      return [{ member, message: 'is digits, `cvv` and `pvv`, each value once, separated by `|`' }];
    }
    const room = trackLimits[track] - fixed[track];
    if (discretionaryLength(parts) <= room) return [];
    return [{ member, message: `is longer than the ${room} digits that the longest card leaves` }];
  });
}
