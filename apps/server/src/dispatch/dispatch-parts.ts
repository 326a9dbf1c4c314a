/** What every part of dispatch is given, and how it refuses. */
import { type StationErrorCode } from '@cardwright/protocol';
import { type Clock, type Logger } from '@cardwright/runtime';
import { type Catalogue } from '../catalogue.ts';
import { type Outbox } from '../notifications/outbox.ts';
import { type Store } from '../store/store.ts';
import { type VaultLink } from '../vault-link/vault-link.ts';
import { type Doorbell } from './doorbell.ts';

export interface DispatchTimes {
  /** How long a station may hold a job without arming it. */
  readonly leaseMs: number;
  /** How long a payload may be opened after it was made. */
  readonly payloadLifeMs: number;
}

export const defaultDispatchTimes: DispatchTimes = { leaseMs: 120_000, payloadLifeMs: 300_000 };

export interface DispatchParts {
  readonly store: Store;
  readonly clock: Clock;
  readonly logger: Logger;
  readonly catalogue: Catalogue;
  readonly vault: VaultLink;
  readonly outbox: Outbox;
  readonly doorbell: Doorbell;
  readonly wakeWork: () => void;
  readonly times: DispatchTimes;
}

/** A refusal is a value: the station is told its code and a fixed text. */
export interface StationRefusal {
  readonly ok: false;
  readonly code: StationErrorCode;
  readonly message: string;
}

export type StationResult<T> = { readonly ok: true; readonly value: T } | StationRefusal;

export const accept = <T>(value: T): StationResult<T> => ({ ok: true, value });
export const refuseStation = (code: StationErrorCode, message: string): StationRefusal => ({
  ok: false,
  code,
  message,
});
