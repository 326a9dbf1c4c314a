/**
 * The card's side of SCP03, S8 mode (GlobalPlatform Card Specification, amendment D): pseudo-random card challenge,
 * sequence counter in the answer, no response protection.
 *
 * Invariant: secret data is under the static DEK, in CBC mode with a zero initial vector.
 */
import {
  aesCbcDecrypt,
  authenticatedScp03Channel,
  concatBytes,
  deriveScp03SessionKeys,
  openScp03Channel,
  scp03CardChallenge,
  scp03CardCryptogram,
  scp03HostCryptogram,
  unwrapScp03Command,
} from '@cardwright/emv';
import { type StaticKeySet } from './card-memory.ts';
import { type PendingSecureChannel, StatefulChannel, checkHost } from './secure-channel.ts';

const PROTOCOL = 0x03;
const AES_BLOCK_BYTES = 16;
const ZERO_IV = new Uint8Array(AES_BLOCK_BYTES);

/**
 * Answers INITIALIZE UPDATE.
 *
 * @param start.sequence sequence counter, 3 bytes
 * @param start.hostChallenge 8 bytes
 * @param start.invokerAid the AID that the card challenge is derived with
 * @param start.implementation the option byte i that the answer reports
 */
export function beginScp03(start: {
  readonly keySet: StaticKeySet;
  readonly keyData: Uint8Array;
  readonly sequence: Uint8Array;
  readonly hostChallenge: Uint8Array;
  readonly invokerAid: Uint8Array;
  readonly implementation: number;
}): PendingSecureChannel {
  const { keySet, hostChallenge, sequence } = start;
  const cardChallenge = scp03CardChallenge(keySet.enc, sequence, start.invokerAid);
  const keys = deriveScp03SessionKeys(keySet, hostChallenge, cardChallenge);
  return {
    initializeUpdateResponse: concatBytes(
      start.keyData,
      Uint8Array.of(keySet.version, PROTOCOL, start.implementation),
      cardChallenge,
      scp03CardCryptogram(keys, hostChallenge, cardChallenge),
      sequence,
    ),
    authenticate: (command) => {
      const hostCryptogram = scp03HostCryptogram(keys, hostChallenge, cardChallenge);
      const verdict = checkHost(openScp03Channel(keys), unwrapScp03Command, command, hostCryptogram);
      if (!verdict.ok) return verdict;
      const channel = authenticatedScp03Channel(verdict.channel, command.p1);
      const decipher = (value: Uint8Array): Uint8Array | undefined =>
        value.length % AES_BLOCK_BYTES === 0 ? aesCbcDecrypt(keys.dek, ZERO_IV, value) : undefined;
      return { ok: true, channel: new StatefulChannel(channel, unwrapScp03Command, decipher) };
    },
  };
}
