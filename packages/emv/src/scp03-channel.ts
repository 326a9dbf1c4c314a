/**
 * SCP03 in S8 mode (GlobalPlatform Card Specification, amendment D): session keys, cryptograms, command and response
 * protection.
 *
 * Invariants: a channel value is immutable, each command gives a new one; the MAC covers the enciphered data; the
 * counter grows with every command at a C-ENC level, also one without data; a refused command gives no new channel.
 */
import { type CommandApdu, encodeCommand } from './apdu.ts';
import { concatBytes, equalBytes, hex, uintBytes, unhex } from './bytes.ts';
import { EmvError } from './emv-error.ts';
import { ins, scp03Constant, scp03KdfInput } from './globalplatform.ts';
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
import { aesCbcDecrypt, aesCbcEncrypt, aesCmac, aesEcbEncrypt, pad80, unpad80 } from './symmetric.ts';

export interface Scp03SessionKeys {
  readonly enc: Uint8Array;
  readonly mac: Uint8Array;
  readonly rMac: Uint8Array;
  /** The static key: SCP03 has no session DEK. */
  readonly dek: Uint8Array;
}

/** State of a channel between two commands. */
export interface Scp03Channel {
  readonly protocol: 'SCP03';
  readonly keys: Scp03SessionKeys;
  /** 00, 01, 03, 11, 13 or 33. */
  readonly level: number;
  /** The previous C-MAC in full, 16 bytes; zeros at the start. */
  readonly chainingValue: Uint8Array;
  /** Number of commands since EXTERNAL AUTHENTICATE. */
  readonly counter: number;
}

/**
 * SP 800-108 counter KDF with AES-CMAC as SCP03 lays it out; `lengthBits` / 8 bytes.
 * @param constant see `scp03Constant`
 */
export function scp03Kdf(
  key: Uint8Array,
  constant: number,
  lengthBits: number,
  context: Uint8Array,
): Uint8Array {
  const blocks: Uint8Array[] = [];
  for (let counter = 1; blocks.length * 128 < lengthBits; counter++) {
    blocks.push(aesCmac(key, scp03KdfInput(constant, lengthBits, context, counter)));
  }
  return concatBytes(...blocks).slice(0, lengthBits / 8);
}

/** Session keys of one pair of 8-byte challenges. @throws EmvError KEY_INVALID */
export function deriveScp03SessionKeys(
  staticKeys: SecureChannelStaticKeys,
  hostChallenge: Uint8Array,
  cardChallenge: Uint8Array,
): Scp03SessionKeys {
  const context = concatBytes(hostChallenge, cardChallenge);
  const derive = (key: Uint8Array, constant: number): Uint8Array =>
    scp03Kdf(key, constant, key.length * 8, context);
  return {
    enc: derive(staticKeys.enc, scp03Constant.enc),
    mac: derive(staticKeys.mac, scp03Constant.mac),
    rMac: derive(staticKeys.mac, scp03Constant.rMac),
    dek: staticKeys.dek,
  };
}

/** The card's proof in the INITIALIZE UPDATE response, 8 bytes. */
export function scp03CardCryptogram(
  keys: Scp03SessionKeys,
  hostChallenge: Uint8Array,
  cardChallenge: Uint8Array,
): Uint8Array {
  return scp03Kdf(keys.mac, scp03Constant.cardCryptogram, 64, concatBytes(hostChallenge, cardChallenge));
}

/** The host's proof in EXTERNAL AUTHENTICATE, 8 bytes. */
export function scp03HostCryptogram(
  keys: Scp03SessionKeys,
  hostChallenge: Uint8Array,
  cardChallenge: Uint8Array,
): Uint8Array {
  return scp03Kdf(keys.mac, scp03Constant.hostCryptogram, 64, concatBytes(hostChallenge, cardChallenge));
}

/**
 * The card challenge of a card with pseudo-random challenges (i & 10): 8 bytes.
 * @param staticEnc K-ENC
 * @param sequence 3-byte counter
 * @param invokerAid AID of the application that runs INITIALIZE UPDATE
 */
export function scp03CardChallenge(
  staticEnc: Uint8Array,
  sequence: Uint8Array,
  invokerAid: Uint8Array,
): Uint8Array {
  return scp03Kdf(staticEnc, scp03Constant.cardChallenge, 64, concatBytes(sequence, invokerAid));
}

/** A channel before EXTERNAL AUTHENTICATE: that command itself carries a C-MAC and is not counted. */
export function openScp03Channel(keys: Scp03SessionKeys): Scp03Channel {
  return {
    protocol: 'SCP03',
    keys,
    level: securityLevel.cMac,
    chainingValue: new Uint8Array(16),
    counter: 0,
  };
}

/** The channel after a successful EXTERNAL AUTHENTICATE with `level` in P1: counting starts anew. */
export function authenticatedScp03Channel(channel: Scp03Channel, level: number): Scp03Channel {
  return { ...channel, level, counter: 0 };
}

/** Wraps EXTERNAL AUTHENTICATE; the returned channel has the asked level. */
export function wrapScp03ExternalAuthenticate(
  keys: Scp03SessionKeys,
  level: number,
  hostCryptogram: Uint8Array,
): WrappedCommand<Scp03Channel> {
  const command = { cla: 0x80, ins: ins.externalAuthenticate, p1: level, p2: 0x00, data: hostCryptogram };
  const { channel, apdu } = wrapScp03Command(openScp03Channel(keys), command);
  return { channel: authenticatedScp03Channel(channel, level), apdu };
}

/** Wraps one command at the channel's level. @throws EmvError LENGTH_INVALID when the result is not a short APDU */
export function wrapScp03Command(channel: Scp03Channel, command: CommandApdu): WrappedCommand<Scp03Channel> {
  if (!hasLevel(channel.level, securityLevel.cMac)) return { channel, apdu: encodeCommand(command) };
  const counter = channel.counter + 1;
  const data = command.data ?? new Uint8Array(0);
  const isEnciphered = hasLevel(channel.level, securityLevel.cEnc) && data.length > 0;
  const sent = isEnciphered
    ? aesCbcEncrypt(channel.keys.enc, commandIv(channel.keys, counter), pad80(data, 16))
    : data;
  if (sent.length + secureMessagingMacBytes > 0xff) {
    throw new EmvError('LENGTH_INVALID', 'a wrapped command does not fit a short APDU');
  }
  const mac = commandMac(channel, command, sent);
  const field = concatBytes(sent, mac.subarray(0, secureMessagingMacBytes));
  const apdu = encodeCommand(withData(command, command.cla | 0x04, field));
  return { channel: { ...channel, counter, chainingValue: mac }, apdu };
}

/** Checks and opens one command at the channel's level. */
export function unwrapScp03Command(
  channel: Scp03Channel,
  command: CommandApdu,
): UnwrappedCommand<Scp03Channel> | UnwrapFailure {
  if (!hasLevel(channel.level, securityLevel.cMac)) return { ok: true, channel, command };
  if ((command.cla & 0x04) === 0) return { ok: false, reason: 'CLASS' };
  const received = command.data ?? new Uint8Array(0);
  if (received.length < secureMessagingMacBytes) return { ok: false, reason: 'LENGTH' };
  const sent = received.slice(0, -secureMessagingMacBytes);
  const mac = commandMac(channel, command, sent);
  if (!equalBytes(mac.subarray(0, secureMessagingMacBytes), received.subarray(-secureMessagingMacBytes))) {
    return { ok: false, reason: 'MAC' };
  }
  const counter = channel.counter + 1;
  const isEnciphered = hasLevel(channel.level, securityLevel.cEnc) && sent.length > 0;
  const opened = isEnciphered
    ? decipher(channel.keys.enc, commandIv(channel.keys, counter), sent)
    : { ok: true as const, data: sent };
  if (!opened.ok) return opened;
  return {
    ok: true,
    channel: { ...channel, counter, chainingValue: mac },
    command: withData(command, command.cla & ~0x04, opened.data),
  };
}

/**
 * Protects the response to the command that gave `channel`, at its R-MAC and R-ENC levels. A response with an error
 * status word carries no data and no protection (amendment D, 6.2.5).
 * @param statusWord four hexadecimal digits
 */
export function wrapScp03Response(channel: Scp03Channel, data: Uint8Array, statusWord: string): Uint8Array {
  const sw = unhex(statusWord);
  if (!hasLevel(channel.level, securityLevel.rMac)) return concatBytes(data, sw);
  if (isErrorStatus(statusWord)) return sw;
  const isEnciphered = hasLevel(channel.level, securityLevel.rEnc) && data.length > 0;
  const sent = isEnciphered
    ? aesCbcEncrypt(channel.keys.enc, responseIv(channel.keys, channel.counter), pad80(data, 16))
    : data;
  const mac = aesCmac(channel.keys.rMac, concatBytes(channel.chainingValue, sent, sw));
  return concatBytes(sent, mac.subarray(0, secureMessagingMacBytes), sw);
}

/** Checks and opens a response; `channel` is the state after its command was wrapped. */
export function unwrapScp03Response(
  channel: Scp03Channel,
  response: Uint8Array,
): { ok: true; data: Uint8Array; statusWord: string } | UnwrapFailure {
  if (response.length < 2) return { ok: false, reason: 'LENGTH' };
  const sw = response.slice(-2);
  const statusWord = hex(sw);
  const body = response.slice(0, -2);
  if (!hasLevel(channel.level, securityLevel.rMac)) return { ok: true, data: body, statusWord };
  if (isErrorStatus(statusWord)) {
    return body.length === 0 ? { ok: true, data: body, statusWord } : { ok: false, reason: 'LENGTH' };
  }
  if (body.length < secureMessagingMacBytes) return { ok: false, reason: 'LENGTH' };
  const sent = body.slice(0, -secureMessagingMacBytes);
  const mac = aesCmac(channel.keys.rMac, concatBytes(channel.chainingValue, sent, sw));
  if (!equalBytes(mac.subarray(0, secureMessagingMacBytes), body.subarray(-secureMessagingMacBytes))) {
    return { ok: false, reason: 'MAC' };
  }
  const isEnciphered = hasLevel(channel.level, securityLevel.rEnc) && sent.length > 0;
  if (!isEnciphered) return { ok: true, data: sent, statusWord };
  const opened = decipher(channel.keys.enc, responseIv(channel.keys, channel.counter), sent);
  return opened.ok ? { ok: true, data: opened.data, statusWord } : opened;
}

function isErrorStatus(statusWord: string): boolean {
  return statusWord !== '9000' && !statusWord.startsWith('62') && !statusWord.startsWith('63');
}

function decipher(
  key: Uint8Array,
  iv: Uint8Array,
  sent: Uint8Array,
): { ok: true; data: Uint8Array } | UnwrapFailure {
  if (sent.length % 16 !== 0) return { ok: false, reason: 'LENGTH' };
  try {
    return { ok: true, data: unpad80(aesCbcDecrypt(key, iv, sent)) };
  } catch {
    return { ok: false, reason: 'PADDING' };
  }
}

function commandIv(keys: Scp03SessionKeys, counter: number): Uint8Array {
  return aesEcbEncrypt(keys.enc, uintBytes(counter, 16));
}

/** The counter with its most significant byte 80, so that it never meets a command's. */
function responseIv(keys: Scp03SessionKeys, counter: number): Uint8Array {
  return aesEcbEncrypt(keys.enc, concatBytes(Uint8Array.of(0x80), uintBytes(counter, 15)));
}

/** The full 16-byte C-MAC over chaining value, modified header and the data as sent. */
function commandMac(channel: Scp03Channel, command: CommandApdu, sent: Uint8Array): Uint8Array {
  const lc = sent.length + secureMessagingMacBytes;
  const header = Uint8Array.of(command.cla | 0x04, command.ins, command.p1, command.p2, lc);
  return aesCmac(channel.keys.mac, concatBytes(channel.chainingValue, header, sent));
}
