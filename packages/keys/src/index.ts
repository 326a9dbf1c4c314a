/** The key port, its software adapter and the pool of ICC keys. */
export * from './key-port.ts';
export { type KeySpec } from './key-making.ts';
export { openSoftwareKeys, type SoftwareKeys, type SoftwareKeysOptions } from './software-key-store.ts';
export {
  type IccKeyPool,
  type IccKeyPoolOptions,
  type IccKeyPoolStatus,
  openIccKeyPool,
  type PooledIccKey,
} from './icc-key-pool.ts';
