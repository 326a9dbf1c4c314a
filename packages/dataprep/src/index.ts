/** Data preparation: product profile, card data and keys to a production plan. */
export {
  canonicalCardData,
  type CardDataResult,
  parseCardDataText,
  validateCardData,
  type ValidatedCard,
} from './card-data-validation.ts';
export { ccd3desProfile, productProfiles } from './ccd-3des-profile.ts';
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
export { parsePlan, Plan, serializePlan } from './plan.ts';
export { planInstances } from './plan-instances.ts';
export { type IccKeySource, preparePlan, type PlanRequest } from './plan-preparation.ts';
export {
  type ExpiryOrder,
  type ProductProfile,
  type SecureChannelRule,
  type UdkOption,
} from './product-profile.ts';
