/**
 * STORE DATA: block order, reassembly of DGIs across commands, deciphering of secret ones (EMV CPS, section 3).
 *
 * Invariants: a block out of order changes nothing; a DGI is handed on only when it is complete; one DGI is
 * enciphered as a whole or not at all, never half.
 */
import { concatBytes, hex } from '@cardwright/emv';
import { type PlainCommand } from './secure-channel.ts';
import { type StatusWord, SW } from './status-word.ts';

/** A complete DGI with its value in clear. */
export interface ReceivedDgi {
  /** Four upper-case hexadecimal digits. */
  readonly id: string;
  readonly value: Uint8Array;
  /** Whether it came enciphered under the data encryption key. */
  readonly wasEnciphered: boolean;
}

/** Where a personalization run stands between two STORE DATA commands. Lives in RAM only. */
export interface StoreDataProgress {
  readonly expectedBlock: number;
  /** The bytes of a DGI that the next command goes on with. */
  readonly partial: Uint8Array;
  readonly isPartialEnciphered: boolean;
}

export const STORE_DATA_START: StoreDataProgress = {
  expectedBlock: 0,
  partial: new Uint8Array(0),
  isPartialEnciphered: false,
};

type StoreDataDecision =
  | {
      readonly ok: true;
      readonly dgis: readonly ReceivedDgi[];
      readonly progress: StoreDataProgress;
      readonly isLast: boolean;
    }
  | { readonly ok: false; readonly statusWord: StatusWord };

const P1_LAST = 0x80;
const P1_ENCIPHERMENT = 0x60;
const P1_STRUCTURE = 0x18;
const P1_STRUCTURE_DGI = 0x08;
const P1_RFU = 0x07;
const MAX_DGI_BYTES = 2048;
const EMPTY = new Uint8Array(0);

/**
 * Decides about one STORE DATA command, already unwrapped.
 *
 * @param decipher gives the clear value of a secret DGI, or undefined when its length is impossible
 */
export function decideStoreData(
  progress: StoreDataProgress,
  command: PlainCommand,
  decipher: (value: Uint8Array) => Uint8Array | undefined,
): StoreDataDecision {
  const isEnciphered = enciphermentOf(command.p1);
  if (isEnciphered === undefined) return refusal(SW.parametersWrong);
  if (command.p2 !== progress.expectedBlock) return refusal(SW.parametersWrong);
  if (command.data.length === 0) return refusal(SW.lengthWrong);
  const goesOn = progress.partial.length > 0;
  if (goesOn && progress.isPartialEnciphered !== isEnciphered) return refusal(SW.dataWrong);

  const split = splitDgis(concatBytes(progress.partial, command.data));
  if (split.rest.length > MAX_DGI_BYTES) return refusal(SW.memoryFull);
  const isLast = (command.p1 & P1_LAST) !== 0;
  if (isLast && split.rest.length > 0) return refusal(SW.dataWrong);

  const dgis: ReceivedDgi[] = [];
  for (const { id, value } of split.complete) {
    const clear = isEnciphered ? decipher(value) : value;
    if (clear === undefined || (isEnciphered && value.length === 0)) return refusal(SW.dataWrong);
    dgis.push({ id, value: clear, wasEnciphered: isEnciphered });
  }
  return {
    ok: true,
    dgis,
    isLast,
    progress: {
      expectedBlock: (progress.expectedBlock + 1) & 0xff,
      partial: split.rest,
      isPartialEnciphered: isEnciphered,
    },
  };
}

/** Whether P1 announces enciphered DGIs; undefined for a combination this card does not take. */
function enciphermentOf(p1: number): boolean | undefined {
  if ((p1 & P1_RFU) !== 0) return undefined;
  const structure = p1 & P1_STRUCTURE;
  if (structure !== 0 && structure !== P1_STRUCTURE_DGI) return undefined;
  switch (p1 & P1_ENCIPHERMENT) {
    case P1_ENCIPHERMENT:
      return true;
    case 0:
      return false;
    default:
      return undefined;
  }
}

function splitDgis(bytes: Uint8Array): { complete: { id: string; value: Uint8Array }[]; rest: Uint8Array } {
  const complete: { id: string; value: Uint8Array }[] = [];
  let offset = 0;
  while (offset < bytes.length) {
    const bounds = dgiBounds(bytes, offset);
    if (bounds === undefined || bounds.end > bytes.length) return { complete, rest: bytes.slice(offset) };
    complete.push({
      id: hex(bytes.subarray(offset, offset + 2)),
      value: bytes.slice(bounds.start, bounds.end),
    });
    offset = bounds.end;
  }
  return { complete, rest: EMPTY };
}

/** Where the value of the DGI at `offset` lies; undefined while its length is not there yet. */
function dgiBounds(bytes: Uint8Array, offset: number): { start: number; end: number } | undefined {
  const short = bytes[offset + 2];
  if (short === undefined) return undefined;
  if (short !== 0xff) return { start: offset + 3, end: offset + 3 + short };
  const high = bytes[offset + 3];
  const low = bytes[offset + 4];
  if (high === undefined || low === undefined) return undefined;
  return { start: offset + 5, end: offset + 5 + high * 256 + low };
}

function refusal(statusWord: StatusWord): StoreDataDecision {
  return { ok: false, statusWord };
}
