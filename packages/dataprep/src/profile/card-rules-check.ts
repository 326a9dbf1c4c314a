/**
 * Checks the card rules of a product before any card is made by them: service code, track patterns, lengths.
 *
 * Invariant: a product that passes has room for every card number length it allows on every track it makes; what
 * is wrong is named by the product's own member.
 */
import { encodedNameLength } from '../character-set.ts';
import { type ProductProfile } from '../product-profile.ts';
import { announcesChip, isServiceCode } from '../service-code.ts';
import { discretionaryLength, fixedTrackLength, parseDiscretionaryPattern } from '../stripe-data.ts';
import { trackLimits } from '../track-data.ts';
import { type ProfileFault } from './structure-check.ts';

type CardRules = Pick<ProductProfile, 'serviceCode' | 'panLength' | 'chipDiscretionary' | 'stripe'>;

/** Every fault of a product's card rules, its path within `card`; empty when there is none. */
export function cardRuleFaults(rules: CardRules): ProfileFault[] {
  return [
    ...lengthFaults(rules),
    ...serviceCodeFaults(rules),
    ...chipPatternFaults(rules),
    ...stripeFaults(rules),
  ];
}

function lengthFaults({ panLength: { min, max } }: CardRules): ProfileFault[] {
  if (min <= max) return [];
  return [
    {
      path: 'panLength',
      wrong: `has min ${min} above max ${max}`,
      allowed: 'min not above max',
      fix: 'swap them',
    },
  ];
}

function serviceCodeFaults({ serviceCode }: CardRules): ProfileFault[] {
  const path = 'serviceCode';
  if (!isServiceCode(serviceCode)) {
    return [
      {
        path,
        wrong: `is ${serviceCode}, which is no service code of ISO/IEC 7813`,
        allowed: 'three digits that the standard assigns, such as 201',
        fix: 'correct it',
      },
    ];
  }
  if (announcesChip(serviceCode)) return [];
  return [
    {
      path,
      wrong: `is ${serviceCode}: a terminal would read the stripe of a card with a chip`,
      allowed: 'a service code that announces the chip: its first digit is 2 or 6',
      fix: 'change its first digit',
    },
  ];
}

function chipPatternFaults({ chipDiscretionary, panLength }: CardRules): ProfileFault[] {
  const path = 'chipDiscretionary';
  const digits = chipDiscretionary.join('').replace('icvv', '000');
  if (!/^\d*$/.test(digits)) {
    return [
      {
        path,
        wrong: 'holds more than digits and one icvv',
        allowed: 'digits, and icvv at most once',
        fix: 'remove what is neither',
      },
    ];
  }
  const room = trackLimits.track2 - fixedTrackLength.track2 - panLength.max;
  if (digits.length <= room) return [];
  return [
    {
      path,
      wrong: `makes ${digits.length} digits: track 2 of a PAN with ${panLength.max} digits has room for ${room}`,
      allowed: `at most ${room} digits, of which icvv takes 3`,
      fix: 'shorten it, or lower card.panLength.max',
    },
  ];
}

function stripeFaults({ stripe, panLength }: CardRules): ProfileFault[] {
  if (stripe === undefined) return [];
  const fixed = {
    track1: fixedTrackLength.track1 + panLength.max + encodedNameLength.max,
    track2: fixedTrackLength.track2 + panLength.max,
  } as const;
  return (['track1', 'track2'] as const).flatMap((track): ProfileFault[] => {
    const parts = parseDiscretionaryPattern(stripe[track]);
    const path = `stripe.${track}`;
    if (parts === undefined) {
      return [
        {
          path,
          wrong: `is "${stripe[track]}"`,
          allowed: 'digits, cvv and pvv, each value at most once, separated by |',
          fix: 'write a pattern such as 0000|cvv|000',
        },
      ];
    }
    const room = trackLimits[track] - fixed[track];
    const length = discretionaryLength(parts);
    if (length <= room) return [];
    return [
      {
        path,
        wrong: `makes ${length} characters: the longest card leaves ${room}`,
        allowed: `at most ${room} characters, of which cvv takes 3 and pvv 4`,
        fix: 'shorten it, or lower card.panLength.max',
      },
    ];
  });
}
