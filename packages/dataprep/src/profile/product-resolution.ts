/**
 * Joins a sound profile and a sound product to the one value that data preparation reads.
 *
 * Invariant: pure; every value of profile and product is turned into bytes here and nowhere else.
 */
import { hex } from '@cardwright/emv';
import { type ProductProfile } from '../product-profile.ts';
import { type ProductFile } from './product-file.ts';
import { type ProfileFile } from './profile-file.ts';
import { readTagValue } from './tag-rules.ts';

/** A profile without DGI 8010 makes cards that take no PIN. */
function pinRules({ instances, pin }: ProfileFile): Pick<ProductProfile, 'pin'> {
  const template = instances.application.find(({ secret }) => secret === 'reference-pin');
  if (template === undefined) return {};
  const cvmList = pin.cvmList === undefined ? undefined : readTagValue('8E', pin.cvmList);
  return {
    pin: {
      block: pin.block,
      isRequired: template.optional !== true,
      ...(cvmList !== undefined && { cvmList }),
    },
  };
}

/** @throws Error for values that the checks would have refused */
export function resolveProduct(profile: ProfileFile, product: ProductFile): ProductProfile {
  const values = new Map(
    Object.entries({ ...profile.values, ...product.values }).map(([tag, text]) => {
      const bytes = readTagValue(tag, text);
      if (bytes === undefined) throw new Error(`tag ${tag} was not checked`);
      return [tag, bytes] as const;
    }),
  );
  const fixed = (tag: string): string => hex(values.get(tag) ?? new Uint8Array(0));
  return {
    productId: product.productId,
    config: product.config,
    ...product.card,
    ...pinRules(profile),
    udkOption: profile.cryptogram.udkOption,
    iccKeyBits: profile.iccKey.bits,
    keys: product.keys,
    secureChannels: product.secureChannels.map(({ protocol, masterKey, waiver }) =>
      protocol === 'SCP03' ? { protocol, masterKey } : { protocol, masterKey, waiver: waiver ?? '' },
    ),
    print: product.print,
    stock: product.stock,
    remake: product.policies.remake,
    emv: {
      ...profile.application,
      aip: fixed('82'),
      cdol1: fixed('8C'),
      atcStart: values.has('9F36') ? fixed('9F36') : '0000',
    },
    chip: {
      profileId: profile.profileId,
      values,
      iad: profile.cryptogram.iad,
      pinTryLimit: profile.pin.tryLimit,
      files: profile.files,
      instances: profile.instances,
      packing: {
        maxCommandBytes: profile.personalization.maxCommandBytes,
        sharesCommands: profile.personalization.sharesCommands,
        structureFlag: profile.personalization.structureFlag,
      },
      lockedTags: profile.issuerPrepared.lockedTags,
    },
  };
}
