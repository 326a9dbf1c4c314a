/**
 * What the card's side of a secure channel looks like, whatever the protocol.
 *
 * Invariants: a channel that refused one command is dead (its owner drops it); key bytes never leave it.
 */
import { type CommandApdu, type UnwrapFailure, type UnwrappedCommand, equalBytes } from '@cardwright/emv';
import { type StatusWord, SW } from './status-word.ts';

/** A command out of its secure channel: data present, if only as no bytes. */
export interface PlainCommand {
  readonly cla: number;
  readonly ins: number;
  readonly p1: number;
  readonly p2: number;
  readonly data: Uint8Array;
}

/** After INITIALIZE UPDATE: waiting for the host to prove itself. */
export interface PendingSecureChannel {
  /** The answer to INITIALIZE UPDATE without its status word. */
  readonly initializeUpdateResponse: Uint8Array;
  /** Checks EXTERNAL AUTHENTICATE. The level in P1 was checked by the caller. */
  authenticate(command: CommandApdu): AuthenticationVerdict;
}

type AuthenticationVerdict =
  | { readonly ok: true; readonly channel: SecureChannel }
  | { readonly ok: false; readonly statusWord: StatusWord };

export interface SecureChannel {
  /** GlobalPlatform security level: bit 0 C-MAC, bit 1 C-DECRYPTION. */
  readonly level: number;
  /** The command in clear, or undefined when its MAC, padding or length is wrong. */
  unwrap(command: CommandApdu): CommandApdu | undefined;
  /** Deciphers the value of a secret DGI or a key; undefined when the length is no multiple of the block. */
  decipherSecret(value: Uint8Array): Uint8Array | undefined;
}

/** Security levels this card takes. R-MAC and R-ENCRYPTION are outside of SCP02 i=15 and SCP03 i=10. */
export const SUPPORTED_LEVELS: readonly number[] = [0x00, 0x01, 0x03];

/** Holds the state of an immutable channel value between commands. */
export class StatefulChannel<Channel extends { readonly level: number }> implements SecureChannel {
  readonly level: number;
  readonly #unwrapWith: UnwrapFunction<Channel>;
  readonly #decipher: (value: Uint8Array) => Uint8Array | undefined;
  #channel: Channel;

  constructor(
    channel: Channel,
    unwrapWith: UnwrapFunction<Channel>,
    decipher: (value: Uint8Array) => Uint8Array | undefined,
  ) {
    this.#channel = channel;
    this.level = channel.level;
    this.#unwrapWith = unwrapWith;
    this.#decipher = decipher;
  }

  unwrap(command: CommandApdu): CommandApdu | undefined {
    const result = this.#unwrapWith(this.#channel, command);
    if (!result.ok) return undefined;
    this.#channel = result.channel;
    return result.command;
  }

  decipherSecret(value: Uint8Array): Uint8Array | undefined {
    return this.#decipher(value);
  }
}

type UnwrapFunction<Channel> = (
  channel: Channel,
  command: CommandApdu,
) => UnwrappedCommand<Channel> | UnwrapFailure;

/**
 * EXTERNAL AUTHENTICATE on a channel that is only MAC protected so far: a wrong MAC is 6982, a host that signs
 * correctly but shows another cryptogram is 6300.
 */
export function checkHost<Channel>(
  opening: Channel,
  unwrapWith: UnwrapFunction<Channel>,
  command: CommandApdu,
  hostCryptogram: Uint8Array,
):
  { readonly ok: true; readonly channel: Channel } | { readonly ok: false; readonly statusWord: StatusWord } {
  const result = unwrapWith(opening, command);
  if (!result.ok) {
    return { ok: false, statusWord: result.reason === 'LENGTH' ? SW.lengthWrong : SW.securityStatus };
  }
  const shown = result.command.data ?? new Uint8Array(0);
  return equalBytes(shown, hostCryptogram)
    ? { ok: true, channel: result.channel }
    : { ok: false, statusWord: SW.cryptogramWrong };
}
