/** The key port, its software and PKCS#11 adapters and the pool of ICC keys. */
export * from './key-port.ts';
export {
  type KeyAdapterStatus,
  type KeyOperationName,
  keyOperationNames,
  type KeyOperationStatus,
  type KeyStore,
} from './key-status.ts';
export { Pkcs11Error } from './pkcs11/pkcs11-error.ts';
export { openPkcs11Keys, type Pkcs11Keys, type Pkcs11KeysOptions } from './pkcs11/pkcs11-key-store.ts';
export { openConfiguredPkcs11Keys, Pkcs11KeyConfig } from './pkcs11/pkcs11-config.ts';
export { type KeySpec } from './key-making.ts';
export { type ImportKeyBlockOptions, type KeyInventoryEntry, type KeyManagement } from './key-management.ts';
export { type SoftwareKeys, type SoftwareKeysOptions } from './software-key-store.ts';
export { openSoftwareKeys } from './software-key-opening.ts';
export { type KeyDetails, type KeyRecord, type KeyState, versionOf } from './key-register/key-life.ts';
export { type KeyBlockRefusal } from './key-block/key-block-policy.ts';
export {
  type IccKeyPool,
  type IccKeyPoolOptions,
  type IccKeyPoolStatus,
  openIccKeyPool,
  type PooledIccKey,
} from './icc-key-pool.ts';
export { type CeremonyPlan, type CeremonyRefusal } from './ceremony/ceremony-machine.ts';
export { CeremonyTranscript } from './ceremony/ceremony-transcript.ts';
export { type CeremonyStep, type CeremonyStepRefusal, KeyCeremony } from './ceremony/key-ceremony.ts';
export {
  faultsBetweenCeremonies,
  verifyCeremonyTranscript,
  type VerifiedCeremony,
} from './ceremony/ceremony-verification.ts';
