/**
 * SCP02 i=15, host side: card keys by the EMV CPS template, session keys, C-MAC and C-ENC.
 * (GlobalPlatform Card Specification 2.3 appendix E; EMV CPS 1.1 for the diversification)
 *
 * Invariants: the card cryptogram is compared before anything is sent; the MAC covers the clear data with
 * Lc + 8 and its ICV is the previous MAC under single DES; encipherment comes after the MAC.
 */
import {
  type CommandApdu,
  concatBytes,
  cpsCardKeyData,
  encodeCommand,
  ins,
  pad80,
  scp02CardCryptogramInput,
  scp02Constant,
  scp02HostCryptogramInput,
  type Scp02InitializeUpdateResponse,
  scp02SessionKeyData,
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
const zeroBlock = new Uint8Array(8);

/** KENC, KMAC and KDEK of one chip from the master key and the chip's KEYDATA. */
export async function deriveScp02CardKeys(
  keys: KeyPort,
  held: HeldKeys,
  kmc: KeyHandle,
  keyData: Uint8Array,
): Promise<CardStaticKeys> {
  const derive = (number: 1 | 2 | 3): Promise<KeyHandle> =>
    held.hold(keys.deriveTdesEcb(kmc, cpsCardKeyData(keyData, number), 'CARD-STATIC', false));
  return { enc: await derive(1), mac: await derive(2), dek: await derive(3) };
}

/** Opens the session, or undefined when the card cryptogram is wrong: then nothing may be sent to this card. */
export async function openScp02Channel(
  keys: KeyPort,
  held: HeldKeys,
  card: CardStaticKeys,
  response: Scp02InitializeUpdateResponse,
  hostChallenge: Uint8Array,
  level: SecurityLevel,
): Promise<SecureChannel | undefined> {
  const challenges = { hostChallenge, ...response };
  const derive = (parent: KeyHandle, constant: string): Promise<KeyHandle> =>
    held.hold(keys.deriveTdesCbc(parent, scp02SessionKeyData(constant, response.sequence), 'CARD-SESSION'));
  const enc = await derive(card.enc, scp02Constant.enc);
  const mac = await derive(card.mac, scp02Constant.cMac);
  const dek = await derive(card.dek, scp02Constant.dek);

  const cryptogram = async (input: Uint8Array): Promise<Uint8Array> =>
    (await keys.tdesCbcEncrypt(enc, zeroBlock, pad80(input, 8))).slice(-8);
  const expected = await cryptogram(scp02CardCryptogramInput(challenges));
  if (!isSameCryptogram(expected, response.cardCryptogram)) return undefined;
  const hostCryptogram = await cryptogram(scp02HostCryptogramInput(challenges));

  const wrap = async (icv: Uint8Array, command: CommandApdu, isEnciphered: boolean) => {
    const clear = command.data ?? new Uint8Array(0);
    const cla = command.cla | 0x04;
    const header = Uint8Array.of(cla, command.ins, command.p1, command.p2, clear.length + macLength);
    const cMac = await keys.retailMac(mac, concatBytes(header, clear), 2, icv);
    const sent =
      isEnciphered && clear.length > 0 ? await keys.tdesCbcEncrypt(enc, zeroBlock, pad80(clear, 8)) : clear;
    return { apdu: encodeCommand({ ...command, cla, data: concatBytes(sent, cMac) }), cMac };
  };

  return {
    dek,
    dekMode: 'TDES-ECB',
    async externalAuthenticate(): Promise<WrappedCommand> {
      const command = { cla: 0x80, ins: ins.externalAuthenticate, p1: level, p2: 0x00, data: hostCryptogram };
      const { apdu, cMac } = await wrap(zeroBlock, command, false);
      return { apdu, state: { macChain: cMac, nextCommand: 1 } };
    },
    async wrap(state: ChainState, command: CommandApdu): Promise<WrappedCommand> {
      const icv = await keys.desFirstHalfEncrypt(mac, state.macChain);
      const { apdu, cMac } = await wrap(icv, command, (level & 0x02) !== 0);
      return { apdu, state: { macChain: cMac, nextCommand: state.nextCommand + 1 } };
    },
  };
}
