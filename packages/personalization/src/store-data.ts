/**
 * Packs data groupings into STORE DATA commands. (EMV CPS 3.2.7; GlobalPlatform Card Specification 11.11)
 *
 * Invariants: order is kept; enciphered and clear groupings never share a command; a command carries at most 231
 * usable bytes, so that it stays a short APDU after padding and MAC; a grouping is cut only when it does not fit
 * into a command of its own; block numbers count from 00 per application.
 */
import { type CommandApdu, concatBytes, encodeDgi, ins } from '@cardwright/emv';

export interface ReadyDgi {
  /** Four hexadecimal digits. */
  readonly id: string;
  /** As the card receives it: enciphered under the DEK where `isEnciphered`. */
  readonly value: Uint8Array;
  readonly isEnciphered: boolean;
}

const maxUsableBytes = 231;
const lastBlock = 0x80;
const encipheredUnderDek = 0x60;

interface Block {
  readonly isEnciphered: boolean;
  readonly data: Uint8Array;
}

/** @throws RangeError for no grouping, or more than the 256 blocks one application can number */
export function storeDataCommands(dgis: readonly ReadyDgi[]): CommandApdu[] {
  const blocks = packBlocks(dgis);
  if (blocks.length === 0 || blocks.length > 256) {
    throw new RangeError(`${blocks.length} STORE DATA blocks for one application`);
  }
  return blocks.map(({ isEnciphered, data }, number) => ({
    cla: 0x80,
    ins: ins.storeData,
    p1: (number === blocks.length - 1 ? lastBlock : 0) | (isEnciphered ? encipheredUnderDek : 0),
    p2: number,
    data,
  }));
}

function packBlocks(dgis: readonly ReadyDgi[]): Block[] {
  const blocks: Block[] = [];
  for (const { id, value, isEnciphered } of dgis) {
    const encoded = encodeDgi(id, value);
    const open = blocks.at(-1);
    if (open?.isEnciphered === isEnciphered && open.data.length + encoded.length <= maxUsableBytes) {
      blocks[blocks.length - 1] = { isEnciphered, data: concatBytes(open.data, encoded) };
      continue;
    }
    for (let at = 0; at < encoded.length; at += maxUsableBytes) {
      blocks.push({ isEnciphered, data: encoded.slice(at, at + maxUsableBytes) });
    }
  }
  return blocks;
}
