/**
 * SCP03 S8, host side: card keys by SP800-108, session keys, C-ENC and C-MAC.
 * (GlobalPlatform Card Specification, Amendment D)
 *
 * Invariants: the card cryptogram is compared before anything is sent; encipherment comes before the MAC; the
 * command counter rises with every command, also with one that has no data; the DEK is the card's static one.
 */
import {
  type CommandApdu,
  concatBytes,
  encodeCommand,
  ins,
  kdf3Input,
  pad80,
  scp03Constant,
  type Scp03InitializeUpdateResponse,
  scp03KdfInput,
  uintBytes,
} from '@cardwright/emv';
import { type KeyHandle, type KeyPort } from '@cardwright/keys';
import {
  type CardStaticKeys,
  type ChainState,
  type HeldKeys,
  isSameCryptogram,
  type SecureChannel,
  type SecurityLevel,
  type WrappedCommand,
} from './secure-channel.ts';

const macLength = 8;

/** KENC, KMAC and KDEK of one chip from the master key and the chip's KEYDATA. */
export async function deriveScp03CardKeys(
  keys: KeyPort,
  held: HeldKeys,
  kmc: KeyHandle,
  keyData: Uint8Array,
): Promise<CardStaticKeys> {
  const derive = (number: 1 | 2 | 3): Promise<KeyHandle> =>
    held.hold(keys.deriveAesCmac(kmc, [kdf3Input(number, keyData)], 'CARD-STATIC'));
  return { enc: await derive(1), mac: await derive(2), dek: await derive(3) };
}

/** Opens the session, or undefined when the card cryptogram is wrong: then nothing may be sent to this card. */
export async function openScp03Channel(
  keys: KeyPort,
  held: HeldKeys,
  card: CardStaticKeys,
  response: Scp03InitializeUpdateResponse,
  hostChallenge: Uint8Array,
  level: SecurityLevel,
): Promise<SecureChannel | undefined> {
  const context = concatBytes(hostChallenge, response.cardChallenge);
  const derive = (parent: KeyHandle, constant: number): Promise<KeyHandle> =>
    held.hold(keys.deriveAesCmac(parent, sessionKeyInputs(parent, constant, context), 'CARD-SESSION'));
  const enc = await derive(card.enc, scp03Constant.enc);
  const mac = await derive(card.mac, scp03Constant.mac);

  const cryptogram = async (constant: number): Promise<Uint8Array> =>
    (await keys.aesCmac(mac, scp03KdfInput(constant, 64, context))).slice(0, 8);
  if (!isSameCryptogram(await cryptogram(scp03Constant.cardCryptogram), response.cardCryptogram))
    return undefined;
  const hostCryptogram = await cryptogram(scp03Constant.hostCryptogram);

  const authenticated = async (macChain: Uint8Array, command: CommandApdu, sent: Uint8Array) => {
    const cla = command.cla | 0x04;
    const header = Uint8Array.of(cla, command.ins, command.p1, command.p2, sent.length + macLength);
    const chained = await keys.aesCmac(mac, concatBytes(macChain, header, sent));
    const data = concatBytes(sent, chained.subarray(0, macLength));
    return { apdu: encodeCommand({ ...command, cla, data }), macChain: chained };
  };

  const encipher = async (clear: Uint8Array, commandNumber: number): Promise<Uint8Array> => {
    const iv = await keys.aesEcbEncrypt(enc, uintBytes(commandNumber, 16));
    return keys.aesCbcEncrypt(enc, iv, pad80(clear, 16));
  };

  return {
    dek: card.dek,
    dekMode: 'AES-CBC',
    async externalAuthenticate(): Promise<WrappedCommand> {
      const command = { cla: 0x80, ins: ins.externalAuthenticate, p1: level, p2: 0x00 };
      const { apdu, macChain } = await authenticated(new Uint8Array(16), command, hostCryptogram);
      return { apdu, state: { macChain, nextCommand: 1 } };
    },
    async wrap(state: ChainState, command: CommandApdu): Promise<WrappedCommand> {
      const clear = command.data ?? new Uint8Array(0);
      const isEnciphered = (level & 0x02) !== 0 && clear.length > 0;
      const sent = isEnciphered ? await encipher(clear, state.nextCommand) : clear;
      const { apdu, macChain } = await authenticated(state.macChain, command, sent);
      return { apdu, state: { macChain, nextCommand: state.nextCommand + 1 } };
    },
  };
}

/** One PRF input per 16 bytes of key; L is the length of the whole key in bits. */
function sessionKeyInputs(parent: KeyHandle, constant: number, context: Uint8Array): Uint8Array[] {
  if (parent.algorithm === 'AES-128') return [scp03KdfInput(constant, 128, context)];
  return [scp03KdfInput(constant, 256, context, 1), scp03KdfInput(constant, 256, context, 2)];
}
