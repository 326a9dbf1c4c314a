/**
 * SCP02 with i = 15 (GlobalPlatform Card Specification, appendix E): session keys, cryptograms, command wrapping.
 *
 * Invariants: a channel value is immutable, each command gives a new one; the MAC covers the clear data and its
 * length, encryption comes after it; a refused command gives no new channel, so the session is over.
 */
import { type CommandApdu, encodeCommand } from './apdu.ts';
import { concatBytes, equalBytes } from './bytes.ts';
import { EmvError } from './emv-error.ts';
import {
  type Scp02Challenges,
  ins,
  scp02CardCryptogramInput,
  scp02Constant,
  scp02HostCryptogramInput,
  scp02SessionKeyData,
} from './globalplatform.ts';
import {
  type SecureChannelStaticKeys,
  type UnwrapFailure,
  type UnwrappedCommand,
  type WrappedCommand,
  hasLevel,
  secureMessagingMacBytes,
  securityLevel,
  withData,
} from './secure-channel.ts';
import {
  desEcbEncrypt,
  fullTdesMac,
  pad80,
  retailMac,
  tdesCbcDecrypt,
  tdesCbcEncrypt,
  unpad80,
} from './symmetric.ts';

export interface Scp02SessionKeys {
  readonly enc: Uint8Array;
  readonly mac: Uint8Array;
  readonly dek: Uint8Array;
  readonly rMac: Uint8Array;
}

/** State of a channel between two commands. */
export interface Scp02Channel {
  readonly protocol: 'SCP02';
  readonly keys: Scp02SessionKeys;
  /** 00, 01 (C-MAC) or 03 (C-MAC and C-ENC). */
  readonly level: number;
  /** The previous C-MAC; absent before EXTERNAL AUTHENTICATE. */
  readonly lastMac?: Uint8Array;
}

const zeroIv = new Uint8Array(8);

/** Session keys of one sequence counter (2 bytes). @throws EmvError KEY_INVALID, LENGTH_INVALID */
export function deriveScp02SessionKeys(
  staticKeys: SecureChannelStaticKeys,
  sequence: Uint8Array,
): Scp02SessionKeys {
  const derive = (key: Uint8Array, constant: string): Uint8Array =>
    tdesCbcEncrypt(key, zeroIv, scp02SessionKeyData(constant, sequence));
  return {
    enc: derive(staticKeys.enc, scp02Constant.enc),
    mac: derive(staticKeys.mac, scp02Constant.cMac),
    dek: derive(staticKeys.dek, scp02Constant.dek),
    rMac: derive(staticKeys.mac, scp02Constant.rMac),
  };
}

/** The card's proof in the INITIALIZE UPDATE response, 8 bytes. */
export function scp02CardCryptogram(keys: Scp02SessionKeys, challenges: Scp02Challenges): Uint8Array {
  return fullTdesMac(keys.enc, scp02CardCryptogramInput(challenges));
}

/** The host's proof in EXTERNAL AUTHENTICATE, 8 bytes. */
export function scp02HostCryptogram(keys: Scp02SessionKeys, challenges: Scp02Challenges): Uint8Array {
  return fullTdesMac(keys.enc, scp02HostCryptogramInput(challenges));
}

/** A channel before EXTERNAL AUTHENTICATE: that command itself carries a C-MAC over a zero ICV. */
export function openScp02Channel(keys: Scp02SessionKeys): Scp02Channel {
  return { protocol: 'SCP02', keys, level: securityLevel.cMac };
}

/** Wraps EXTERNAL AUTHENTICATE; the returned channel has the asked level. @throws EmvError LENGTH_INVALID */
export function wrapScp02ExternalAuthenticate(
  keys: Scp02SessionKeys,
  level: number,
  hostCryptogram: Uint8Array,
): WrappedCommand<Scp02Channel> {
  const command = { cla: 0x80, ins: ins.externalAuthenticate, p1: level, p2: 0x00, data: hostCryptogram };
  const wrapped = wrapScp02Command(openScp02Channel(keys), command);
  return { channel: { ...wrapped.channel, level }, apdu: wrapped.apdu };
}

/** Wraps one command at the channel's level. @throws EmvError LENGTH_INVALID when the result is not a short APDU */
export function wrapScp02Command(channel: Scp02Channel, command: CommandApdu): WrappedCommand<Scp02Channel> {
  if (!hasLevel(channel.level, securityLevel.cMac)) return { channel, apdu: encodeCommand(command) };
  const data = command.data ?? new Uint8Array(0);
  const mac = commandMac(channel, command, data);
  const isEnciphered = hasLevel(channel.level, securityLevel.cEnc) && data.length > 0;
  const sent = isEnciphered ? tdesCbcEncrypt(channel.keys.enc, zeroIv, pad80(data, 8)) : data;
  if (sent.length + secureMessagingMacBytes > 0xff) {
    throw new EmvError('LENGTH_INVALID', 'a wrapped command does not fit a short APDU');
  }
  const apdu = encodeCommand(withData(command, command.cla | 0x04, concatBytes(sent, mac)));
  return { channel: { ...channel, lastMac: mac }, apdu };
}

/** Checks and opens one command at the channel's level. */
export function unwrapScp02Command(
  channel: Scp02Channel,
  command: CommandApdu,
): UnwrappedCommand<Scp02Channel> | UnwrapFailure {
  if (!hasLevel(channel.level, securityLevel.cMac)) return { ok: true, channel, command };
  if ((command.cla & 0x04) === 0) return { ok: false, reason: 'CLASS' };
  const received = command.data ?? new Uint8Array(0);
  if (received.length < secureMessagingMacBytes) return { ok: false, reason: 'LENGTH' };
  const sent = received.subarray(0, -secureMessagingMacBytes);
  const sentMac = received.slice(-secureMessagingMacBytes);
  const isEnciphered = hasLevel(channel.level, securityLevel.cEnc) && sent.length > 0;
  const data = isEnciphered ? decipher(channel.keys.enc, sent) : { ok: true as const, data: sent.slice() };
  if (!data.ok) return data;
  if (!equalBytes(commandMac(channel, command, data.data), sentMac)) return { ok: false, reason: 'MAC' };
  return {
    ok: true,
    channel: { ...channel, lastMac: sentMac },
    command: withData(command, command.cla & ~0x04, data.data),
  };
}

function decipher(key: Uint8Array, sent: Uint8Array): { ok: true; data: Uint8Array } | UnwrapFailure {
  if (sent.length % 8 !== 0) return { ok: false, reason: 'LENGTH' };
  try {
    return { ok: true, data: unpad80(tdesCbcDecrypt(key, zeroIv, sent)) };
  } catch {
    return { ok: false, reason: 'PADDING' };
  }
}

/** C-MAC over the modified header (class with the SM bit, Lc of the clear data plus the MAC) and the clear data. */
function commandMac(channel: Scp02Channel, command: CommandApdu, data: Uint8Array): Uint8Array {
  const { keys, lastMac } = channel;
  // i = 15: the ICV is the previous MAC under single DES with the first half of S-MAC; the first one is zeros.
  const icv = lastMac === undefined ? zeroIv : desEcbEncrypt(keys.mac.subarray(0, 8), lastMac);
  const lc = data.length + secureMessagingMacBytes;
  const header = Uint8Array.of(command.cla | 0x04, command.ins, command.p1, command.p2, lc);
  return retailMac(keys.mac, concatBytes(header, data), 2, icv);
}
