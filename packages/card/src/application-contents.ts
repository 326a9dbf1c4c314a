/**
 * What a personalized application holds, in the form its commands use.
 *
 * Invariants: everything a command needs was checked when the contents were built, so commands never parse
 * personalization data again; only the counters and flags of a payment application change afterwards.
 */
import { type DolEntry } from '@cardwright/emv';
import { type CryptogramVersion } from './cryptogram-version.ts';
import { type CrtPrivateKey } from './crt-private-key.ts';
import { type RecordFiles } from './record-files.ts';

interface DirectoryContents {
  readonly kind: 'directory';
  /** FCI proprietary template A5, whole. */
  readonly fciTemplate: Uint8Array;
  readonly records: RecordFiles;
}

export interface PaymentContents {
  readonly kind: 'payment';
  readonly fciTemplate: Uint8Array;
  readonly records: RecordFiles;
  readonly pdol: readonly DolEntry[];
  readonly cdol1: readonly DolEntry[];
  readonly cdol2: readonly DolEntry[];
  readonly ddol: readonly DolEntry[];
  /** Application interchange profile, 2 bytes. */
  readonly aip: Uint8Array;
  /** The TLVs 82 and 94 as the GPO response returns them. */
  readonly gpoResponse: Uint8Array;
  /** Master key for application cryptograms, 16 bytes. */
  readonly acMasterKey: Uint8Array;
  readonly cryptogramVersion: CryptogramVersion;
  /** Issuer application data of that version, with room for the CVR. */
  readonly defaultIad: Uint8Array;
  readonly signingKey: CrtPrivateKey | undefined;
  /** Offline PIN block in format 2; absent on a card without offline PIN. */
  readonly referencePin: Uint8Array | undefined;
  readonly pinTryLimit: number;
  /** Offline limits (9F14, 9F23): how many transactions since the last online one. */
  readonly lowerOfflineLimit: number;
  readonly upperOfflineLimit: number;
  /** Log format 9F4F when the profile has one. */
  readonly logFormat: Uint8Array | undefined;
  /** What changes with every transaction. */
  readonly counters: PaymentCounters;
}

interface PaymentCounters {
  atc: number;
  lastOnlineAtc: number;
  pinTriesLeft: number;
  isLastOnlineIncomplete: boolean;
  goesOnlineNext: boolean;
}

export type ApplicationContents = DirectoryContents | PaymentContents;
