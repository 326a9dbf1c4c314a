/** Data preparation: product profile, card data and keys to a production plan. */
export {
  canonicalCardData,
  type CardDataResult,
  defaultPinFormats,
  type IssuerPermissions,
  parseCardDataText,
  validateCardData,
  type ValidatedCard,
} from './card-data-validation.ts';
export { cardRuleFaults } from './profile/card-rules-check.ts';
export {
  CaPublicKey,
  caPublicKey,
  createIssuerCertificate,
  IssuerCertificate,
  isIssuerCertificateSound,
} from './certificate-preparation.ts';
export { confirmCryptogram } from './cryptogram-confirmation.ts';
export { DataPreparationError, type DataPreparationErrorCode } from './data-preparation-error.ts';
export {
  createIssuerKeyRequest,
  importIssuerCertificate,
  type IssuerCertificateImport,
  type IssuerCertificateRefusal,
  IssuerCertificateResponse,
  IssuerKeyRequest,
  recheckIssuerCertificate,
  type TrustedCa,
} from './issuer-certification.ts';
export { type KeySelection, selectKeys, type SelectedKeys } from './key-selection.ts';
export { ccd3desProfile, productProfiles, vsdcCvn18Profile } from './packaged-products.ts';
export { parsePlan, Plan, serializePlan } from './plan.ts';
export { planInstances } from './plan-instances.ts';
export { type IccKeySource, preparePlan, type PlanRequest } from './plan-preparation.ts';
export { pinKeyName } from './reference-pin.ts';
export {
  type ExpiryOrder,
  type ProductProfile,
  type SecureChannelRule,
  type UdkOption,
} from './product-profile.ts';
export { checkProduct, type ProductVerdict } from './profile/product-check.ts';
export {
  type Catalogue,
  CatalogueError,
  explainFaults,
  packagedCatalogue,
  readCatalogue,
  readCatalogueFile,
  readProfiles,
} from './profile/product-catalogue.ts';
export { ProductFile } from './profile/product-file.ts';
export { resolveProduct } from './profile/product-resolution.ts';
export { checkProfile, type ProfileVerdict } from './profile/profile-check.ts';
export { ProfileFile } from './profile/profile-file.ts';
export { type ProfileFault } from './profile/structure-check.ts';
export { readTagValue } from './profile/tag-rules.ts';
