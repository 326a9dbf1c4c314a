/** The key port, its software and PKCS#11 adapters and the pool of ICC keys. */
export * from './key-port.ts';
export {
  type KeyAdapterStatus,
  type KeyOperationName,
  keyOperationNames,
  type KeyOperationStatus,
  type KeyStore,
} from './key-status.ts';
export { openPkcs11Keys, type Pkcs11Keys, type Pkcs11KeysOptions } from './pkcs11/pkcs11-key-store.ts';
export { type KeySpec } from './key-making.ts';
export { openSoftwareKeys, type SoftwareKeys, type SoftwareKeysOptions } from './software-key-store.ts';
export {
  type IccKeyPool,
  type IccKeyPoolOptions,
  openIccKeyPool,
  type PooledIccKey,
} from './icc-key-pool.ts';
