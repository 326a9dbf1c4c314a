/**
 * The card's side of SCP02 with implementation option i=15 (GlobalPlatform Card Specification, appendix E).
 *
 * Invariant: the answer to INITIALIZE UPDATE and the expected host cryptogram come from the same sequence counter
 * and challenges; secret data is under the session DEK, in ECB mode.
 */
import {
  concatBytes,
  deriveScp02SessionKeys,
  openScp02Channel,
  scp02CardCryptogram,
  scp02HostCryptogram,
  tdesEcbDecrypt,
  unwrapScp02Command,
} from '@cardwright/emv';
import { type StaticKeySet } from './card-memory.ts';
import { type PendingSecureChannel, StatefulChannel, checkHost } from './secure-channel.ts';

const PROTOCOL = 0x02;
const DES_BLOCK_BYTES = 8;

/**
 * Answers INITIALIZE UPDATE.
 *
 * @param start.sequence sequence counter, 2 bytes
 * @param start.cardChallenge 6 bytes
 * @param start.hostChallenge 8 bytes
 */
export function beginScp02(start: {
  readonly keySet: StaticKeySet;
  readonly keyData: Uint8Array;
  readonly sequence: Uint8Array;
  readonly cardChallenge: Uint8Array;
  readonly hostChallenge: Uint8Array;
}): PendingSecureChannel {
  const keys = deriveScp02SessionKeys(start.keySet, start.sequence);
  return {
    initializeUpdateResponse: concatBytes(
      start.keyData,
      Uint8Array.of(start.keySet.version, PROTOCOL),
      start.sequence,
      start.cardChallenge,
      scp02CardCryptogram(keys, start),
    ),
    authenticate: (command) => {
      const opening = openScp02Channel(keys);
      const verdict = checkHost(opening, unwrapScp02Command, command, scp02HostCryptogram(keys, start));
      if (!verdict.ok) return verdict;
      const channel = { ...verdict.channel, level: command.p1 };
      const decipher = (value: Uint8Array): Uint8Array | undefined =>
        value.length % DES_BLOCK_BYTES === 0 ? tdesEcbDecrypt(keys.dek, value) : undefined;
      return { ok: true, channel: new StatefulChannel(channel, unwrapScp02Command, decipher) };
    },
  };
}
