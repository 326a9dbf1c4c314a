/**
 * What both secure channel protocols have in common for a host that computes every command ahead of time.
 *
 * Invariant: wrapping is a function of a chain state; it changes nothing, so that the script can be forked at any
 * command (the terminate command for every prefix). No response is needed: only C-MAC and C-ENC are used.
 */
import { timingSafeEqual } from 'node:crypto';
import { type CommandApdu } from '@cardwright/emv';
import { type DekMode, type KeyHandle, type KeyPort } from '@cardwright/keys';

/** 01 C-MAC, 03 C-MAC and C-ENC; the R-MAC bits (10, 30) change only what the card answers. */
export type SecurityLevel = 0x01 | 0x03 | 0x11 | 0x33;

/** Where a session stands after a command. */
export interface ChainState {
  /** SCP02: the last C-MAC, 8 bytes. SCP03: the MAC chaining value, 16 bytes. */
  readonly macChain: Uint8Array;
  /** Number of the next command after EXTERNAL AUTHENTICATE, from 1. */
  readonly nextCommand: number;
}

export interface WrappedCommand {
  readonly apdu: Uint8Array;
  readonly state: ChainState;
}

/** An open session: the card proved that it holds the keys. */
export interface SecureChannel {
  readonly dek: KeyHandle;
  readonly dekMode: DekMode;
  /** EXTERNAL AUTHENTICATE, the first command of the session. */
  externalAuthenticate(): Promise<WrappedCommand>;
  wrap(state: ChainState, command: CommandApdu): Promise<WrappedCommand>;
}

export interface CardStaticKeys {
  readonly enc: KeyHandle;
  readonly mac: KeyHandle;
  readonly dek: KeyHandle;
}

/** Derived handles of one script; `releaseAll` belongs into `finally`. */
export class HeldKeys {
  readonly #keys: KeyPort;
  readonly #handles: KeyHandle[] = [];

  constructor(keys: KeyPort) {
    this.#keys = keys;
  }

  async hold(derived: Promise<KeyHandle>): Promise<KeyHandle> {
    const handle = await derived;
    this.#handles.push(handle);
    return handle;
  }

  async releaseAll(): Promise<void> {
    await Promise.all(this.#handles.splice(0).map((handle) => this.#keys.release(handle)));
  }
}

export function isSameCryptogram(computed: Uint8Array, received: Uint8Array): boolean {
  return computed.length === received.length && timingSafeEqual(computed, received);
}
