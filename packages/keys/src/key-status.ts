/**
 * What an adapter says of itself: which operations it proved at start-up, and where key bytes are seen.
 *
 * Invariant: every operation of the port stands in the list, a refused one with its reason; nothing here is secret.
 */
import { type KeyManagement } from './key-management.ts';
import { type KeySpec } from './key-making.ts';
import { type KeyHandle, type KeyPort } from './key-port.ts';
import { type KeyDetails } from './key-register/key-life.ts';

/** Operations as they are probed: methods of the port, told apart where adapters differ, and how keys come in. */
export const keyOperationNames = [
  'tdesCbcEncrypt',
  'retailMac',
  'desFirstHalfEncrypt',
  'aesCmac',
  'aesEcbEncrypt',
  'aesCbcEncrypt',
  'hmac',
  'kcv',
  'deriveTdesEcb',
  'deriveTdesCbc',
  'deriveAesCmac',
  'wrapForCard/TDES-ECB',
  'wrapForCard/AES-CBC',
  'wrapRsaForCard',
  'generateRsa/3',
  'generateRsa/65537',
  'rsaPublic',
  'rsaRawSign',
  'cvv',
  'checkPinBlock',
  'pvv',
  'wrapPinForCard',
  'seal',
  'unseal',
  'sealRsa',
  'unsealRsa',
  'openJwe',
  'ecPublicJwk',
  // Not of the port: how keys come in.
  'holdCeremony',
  'importKeyBlock',
] as const;
export type KeyOperationName = (typeof keyOperationNames)[number];

export interface KeyOperationStatus {
  readonly operation: KeyOperationName;
  readonly result: 'passed' | 'refused';
  /** Whether bytes of a key, or a clear PIN, are in this process's memory while the operation runs. */
  readonly keyBytes: 'inside' | 'host';
  /** What the host sees, or why the operation is refused. */
  readonly note?: string;
}

export interface KeyAdapterStatus {
  readonly adapter: string;
  readonly token?: {
    readonly label: string;
    readonly manufacturer: string;
    readonly model: string;
    readonly serialNumber: string;
    readonly hardwareVersion: string;
    readonly firmwareVersion: string;
    readonly library: string;
  };
  readonly operations: readonly KeyOperationStatus[];
}

/** A key port with long-lived keys of its own and a status. */
export interface KeyStore extends KeyPort {
  /**
   * The named key; generated, or imported from `spec.value`, when it does not exist yet. Durable on return.
   * @throws KeyError KEY_USAGE when the spec contradicts the usage matrix; KEY_STORE when the stored key differs
   *   from the spec, the value is unusable, or a well-known key is offered in production
   */
  ensure(name: string, spec: KeySpec, details?: KeyDetails): Promise<KeyHandle>;
  /** Inventory, lives, key blocks and ceremonies of the long-lived keys. */
  readonly management: KeyManagement;
  /** Operations with the result of their known-answer tests. */
  status(): Promise<KeyAdapterStatus>;
  /** The adapter is unusable afterwards. */
  close(): Promise<void>;
}
