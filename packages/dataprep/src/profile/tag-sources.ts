/**
 * Where the value of each tag comes from: computed for each card, fixed by the profile, or given by the product.
 *
 * Invariant: every tag of a template has exactly one source.
 */
import { type ProfileFile } from './profile-file.ts';
import { type ProfileFault } from './structure-check.ts';

/** Tags that data preparation computes for each card, and from what: no profile and no product may fix them. */
export const computedTags: ReadonlyMap<string, string> = new Map([
  ['4F', 'the AID of the application'],
  ['57', 'PAN, expiry, service code and iCVV'],
  ['5A', 'the PAN'],
  ['5F20', 'the encoded name'],
  ['5F24', 'the expiry'],
  ['5F25', 'the effective date'],
  ['5F30', 'the service code of the product'],
  ['5F34', 'the PAN sequence number'],
  ['8F', 'the index of the CA key'],
  ['90', 'the issuer certificate'],
  ['92', 'what did not fit into the issuer certificate'],
  ['94', 'the files and records'],
  ['9F10', 'the issuer application data of `cryptogram.iad`'],
  ['9F24', 'the payment account reference'],
  ['9F32', 'the exponent of the issuer key'],
  ['9F46', 'the ICC certificate'],
  ['9F47', 'the exponent of the ICC key'],
  ['9F48', 'what did not fit into the ICC certificate'],
]);

/** Left out of a template when a card has no value for them. */
export const optionalTags: ReadonlySet<string> = new Set(['92', '9F24', '9F48']);

/** Tags that exist only once the ICC key is certified: their file cannot be signed by that certificate. */
export const certificateTags: ReadonlySet<string> = new Set([
  '8F',
  '90',
  '92',
  '9F32',
  '9F46',
  '9F47',
  '9F48',
]);

/** Every tag of a template needs a source. */
export function sourceFaults(profile: ProfileFile, tag: string, path: string): ProfileFault[] {
  const hasSource =
    computedTags.has(tag) || Object.hasOwn(profile.values, tag) || profile.fromProduct.includes(tag);
  if (hasSource) return [];
  return [
    {
      path,
      wrong: `${tag} has no value: it is not computed, not in values and not in fromProduct`,
      allowed: 'tags that have a source',
      fix: `add values.${tag}, or "${tag}" to fromProduct, or remove it here`,
    },
  ];
}
