/** The products that come with this package, read from its own data files when it is first imported. */
import { packagedCatalogue, readCatalogue } from './profile/product-catalogue.ts';
import { type ProductProfile } from './product-profile.ts';

/** Every packaged product. */
export const productProfiles: readonly ProductProfile[] = readCatalogue(packagedCatalogue).products;

function packaged(productId: string): ProductProfile {
  const product = productProfiles.find((candidate) => candidate.productId === productId);
  if (product === undefined) throw new Error(`the packaged catalogue lacks ${productId}`);
  return product;
}

/** `DEBIT_STD` on `CCD_3DES_01`: scheme-neutral, described openly by the EMV Books. */
export const ccd3desProfile = packaged('DEBIT_STD');
/** `DEBIT_VSDC` on `VSDC_CVN18_01`: another data layout, cryptogram version number 18. */
export const vsdcCvn18Profile = packaged('DEBIT_VSDC');
