/**
 * What the SCP02 and SCP03 reference channels share: static keys, security levels, and how a refused command looks.
 *
 * Both channels are pure functions from one state to the next over clear keys, for the virtual card (unwrap) and for
 * tests (wrap). The vault wraps with its own keys behind a key port.
 */
import { type CommandApdu } from './apdu.ts';

/** The three static keys of a security domain. */
export interface SecureChannelStaticKeys {
  readonly enc: Uint8Array;
  readonly mac: Uint8Array;
  readonly dek: Uint8Array;
}

/** Bits of the security level, P1 of EXTERNAL AUTHENTICATE. */
export const securityLevel = { cMac: 0x01, cEnc: 0x02, rMac: 0x10, rEnc: 0x20 } as const;

/** Bytes of a MAC on a command or response (S8 mode). */
export const secureMessagingMacBytes = 8;

/** Why a wrapped command or response is refused; every one ends the session. */
export type UnwrapFailureReason =
  | 'CLASS' // the secure messaging bit is missing
  | 'LENGTH' // too short for a MAC, or ciphertext that is not whole blocks
  | 'MAC'
  | 'PADDING';

export interface UnwrapFailure {
  readonly ok: false;
  readonly reason: UnwrapFailureReason;
}

export interface WrappedCommand<Channel> {
  /** The state after this command. */
  readonly channel: Channel;
  readonly apdu: Uint8Array;
}

export interface UnwrappedCommand<Channel> {
  readonly ok: true;
  /** The state after this command. */
  readonly channel: Channel;
  /** The clear command, its class without the secure messaging bit. */
  readonly command: CommandApdu;
}

/** Whether `level` has all bits of `wanted`. */
export function hasLevel(level: number, wanted: number): boolean {
  return (level & wanted) === wanted;
}

/** The command with other data (left out when empty) and class. */
export function withData(command: CommandApdu, cla: number, data: Uint8Array): CommandApdu {
  const { ins, p1, p2, le } = command;
  return {
    cla,
    ins,
    p1,
    p2,
    ...(data.length > 0 ? { data } : {}),
    ...(le === undefined ? {} : { le }),
  };
}
