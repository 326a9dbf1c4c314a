/**
 * Judges a product file against its profile.
 *
 * Invariant: a product without faults resolves to a whole `ProductProfile`; it can never weaken its profile, only
 * choose among what the profile allows.
 */
import { normalizeKeyIndex } from '@cardwright/protocol';
import { cardRuleFaults } from './card-rules-check.ts';
import { type ProfileFile } from './profile-file.ts';
import { ProductFile } from './product-file.ts';
import { type ProfileFault, structureFaults } from './structure-check.ts';
import { readTagValue, tagRule } from './tag-rules.ts';

export type ProductVerdict =
  | { readonly ok: true; readonly product: ProductFile; readonly profile: ProfileFile }
  | { readonly ok: false; readonly faults: readonly ProfileFault[] };

/** Checks a parsed product file. `profiles`: the sound profiles of its catalogue, by `profileId`. */
export function checkProduct(value: unknown, profiles: ReadonlyMap<string, ProfileFile>): ProductVerdict {
  const structural = structureFaults(ProductFile, value);
  if (structural.length > 0) return { ok: false, faults: structural };
  const product = value as ProductFile;
  const profile = profiles.get(product.profile);
  if (profile === undefined) {
    const fault: ProfileFault = {
      path: 'profile',
      wrong: `is "${product.profile}", which is no sound profile of this catalogue`,
      allowed: [...profiles.keys()].join(', '),
      fix: 'name one of these, or mend that profile first',
    };
    return { ok: false, faults: [fault] };
  }
  const faults = [
    ...valueFaults(product, profile),
    ...cardFaults(product),
    ...keyFaults(product),
    ...channelFaults(product, profile),
  ];
  return faults.length === 0 ? { ok: true, product, profile } : { ok: false, faults };
}

function valueFaults({ values }: ProductFile, { fromProduct, profileId }: ProfileFile): ProfileFault[] {
  const missing = fromProduct
    .filter((tag) => !Object.hasOwn(values, tag))
    .map((tag) => ({
      path: `values.${tag}`,
      wrong: `is missing: profile ${profileId} leaves it to its products`,
      allowed: tagRule(tag).allowed,
      fix: `add values.${tag}`,
    }));
  const wrong = Object.entries(values).flatMap(([tag, value]): ProfileFault[] => {
    const path = `values.${tag}`;
    if (!fromProduct.includes(tag)) {
      return [
        {
          path,
          wrong: `is not left to products by profile ${profileId}`,
          allowed: fromProduct.join(', '),
          fix: `remove it, or add "${tag}" to fromProduct of the profile`,
        },
      ];
    }
    const { allowed } = tagRule(tag);
    return readTagValue(tag, value) === undefined
      ? [{ path, wrong: `is "${value}"`, allowed, fix: `write ${allowed}` }]
      : [];
  });
  return [...missing, ...wrong];
}

function cardFaults({ card }: ProductFile): ProfileFault[] {
  return cardRuleFaults(card).map((fault) => ({ ...fault, path: `card.${fault.path}` }));
}

/** A stripe with a PVV can be made only where every order can name a PIN verification key. */
function pvvKeyFaults({ stripe }: ProductFile['card'], { pv }: ProductFile['keys']): ProfileFault[] {
  const usesPvv = [stripe?.track1, stripe?.track2].some((pattern) => pattern?.split('|').includes('pvv'));
  if (!usesPvv || Object.values(pv).some((name) => name !== null)) return [];
  return [
    {
      path: 'keys.pv',
      wrong: 'names no key, and card.stripe asks for a pvv',
      allowed: 'at least one PIN verification key',
      fix: 'add "1": "pvk/1", or take pvv out of card.stripe',
    },
  ];
}

function keyFaults({ card, keys }: ProductFile): ProfileFault[] {
  const faults: ProfileFault[] = [];
  for (const kind of ['oda', 'derivation', 'cv', 'pv'] as const) {
    const indexes = Object.keys(keys[kind]);
    if (indexes.length === 0 && kind !== 'pv') {
      faults.push({
        path: `keys.${kind}`,
        wrong: 'names no key',
        allowed: 'at least one key index',
        fix: 'add "1": …',
      });
    }
    for (const index of indexes.filter((name) => normalizeKeyIndex(name) !== name)) {
      faults.push({
        path: `keys.${kind}.${index}`,
        wrong: 'is written with leading zeros, and no order would find it',
        allowed: `"${normalizeKeyIndex(index)}"`,
        fix: `rename it to "${normalizeKeyIndex(index)}"`,
      });
    }
  }
  faults.push(...pvvKeyFaults(card, keys));
  if (!Object.hasOwn(keys.cv, keys.defaultCvIndex)) {
    faults.push({
      path: 'keys.defaultCvIndex',
      wrong: `is "${keys.defaultCvIndex}", which keys.cv does not have`,
      allowed: Object.keys(keys.cv).join(', '),
      fix: 'name one of these',
    });
  }
  return faults;
}

function channelFaults({ secureChannels }: ProductFile, profile: ProfileFile): ProfileFault[] {
  const allowed = profile.personalization.secureChannels;
  return secureChannels.flatMap(({ protocol, waiver }, index): ProfileFault[] => {
    const path = `secureChannels[${String(index)}]`;
    const faults: ProfileFault[] = [];
    if (!allowed.includes(protocol)) {
      faults.push({
        path: `${path}.protocol`,
        wrong: `is ${protocol}, which profile ${profile.profileId} does not work with`,
        allowed: allowed.join(', '),
        fix: 'remove this entry',
      });
    }
    if (secureChannels.findIndex((other) => other.protocol === protocol) !== index) {
      faults.push({
        path: `${path}.protocol`,
        wrong: `repeats ${protocol}`,
        allowed: 'each protocol once',
        fix: 'remove this entry',
      });
    }
    if (protocol === 'SCP02' && waiver === undefined) {
      faults.push({
        path: `${path}.waiver`,
        wrong: 'is missing: SCP02 is 3DES and old',
        allowed: 'a sentence that says why it is acceptable here',
        fix: 'add "waiver", or drop SCP02',
      });
    }
    if (protocol === 'SCP03' && waiver !== undefined) {
      faults.push({
        path: `${path}.waiver`,
        wrong: 'waives nothing',
        allowed: 'no waiver for SCP03',
        fix: 'remove it',
      });
    }
    return faults;
  });
}
