/**
 * Packs data groupings into STORE DATA commands. (EMV CPS 3.2.7; GlobalPlatform Card Specification 11.11)
 *
 * Invariants: order is kept; enciphered and clear groupings never share a command; a command carries at most 231
 * usable bytes, so that it stays a short APDU after padding and MAC; a grouping is cut only when it does not fit
 * into a command of its own; block numbers count from 00 per application. Applets differ in the rest, which is why
 * packing is a parameter.
 */
import { type CommandApdu, concatBytes, encodeDgi, ins } from '@cardwright/emv';

export interface ReadyDgi {
  /** Four hexadecimal digits. */
  readonly id: string;
  /** As the card receives it: enciphered under the DEK where `isEnciphered`. */
  readonly value: Uint8Array;
  readonly isEnciphered: boolean;
}

/** What an applet wants of STORE DATA beyond the specification. */
export interface StoreDataPacking {
  /** DGI bytes in one command, at most 231. */
  readonly maxCommandBytes: number;
  /** Whether several DGIs may share one command. */
  readonly sharesCommands: boolean;
  /** b5 b4 of P1: 00 as CPS has it, 08 to announce the DGI format as GlobalPlatform does. */
  readonly structureFlag: '00' | '08';
}

const maxUsableBytes = 231;

/** As EMV CPS has it, and as full as short APDUs allow. */
export const cpsPacking: StoreDataPacking = {
  maxCommandBytes: maxUsableBytes,
  sharesCommands: true,
  structureFlag: '00',
};
const lastBlock = 0x80;
const encipheredUnderDek = 0x60;

interface Block {
  readonly isEnciphered: boolean;
  readonly data: Uint8Array;
}

/**
 * @throws RangeError for no grouping, for more than the 256 blocks one application can number, or for commands too
 *   long to be wrapped
 */
export function storeDataCommands(
  dgis: readonly ReadyDgi[],
  packing: StoreDataPacking = cpsPacking,
): CommandApdu[] {
  const { maxCommandBytes } = packing;
  if (!Number.isInteger(maxCommandBytes) || maxCommandBytes < 1 || maxCommandBytes > maxUsableBytes) {
    throw new RangeError(`${maxCommandBytes} bytes of data do not fit a wrapped STORE DATA`);
  }
  const structure = Number.parseInt(packing.structureFlag, 16);
  const blocks = packBlocks(dgis, packing);
  if (blocks.length === 0 || blocks.length > 256) {
    throw new RangeError(`${blocks.length} STORE DATA blocks for one application`);
  }
  return blocks.map(({ isEnciphered, data }, number) => ({
    cla: 0x80,
    ins: ins.storeData,
    p1: (number === blocks.length - 1 ? lastBlock : 0) | (isEnciphered ? encipheredUnderDek : 0) | structure,
    p2: number,
    data,
  }));
}

function packBlocks(
  dgis: readonly ReadyDgi[],
  { maxCommandBytes, sharesCommands }: StoreDataPacking,
): Block[] {
  const blocks: Block[] = [];
  for (const { id, value, isEnciphered } of dgis) {
    const encoded = encodeDgi(id, value);
    const open = blocks.at(-1);
    const isShareable = sharesCommands && open?.isEnciphered === isEnciphered;
    if (isShareable && open.data.length + encoded.length <= maxCommandBytes) {
      blocks[blocks.length - 1] = { isEnciphered, data: concatBytes(open.data, encoded) };
      continue;
    }
    for (let at = 0; at < encoded.length; at += maxCommandBytes) {
      blocks.push({ isEnciphered, data: encoded.slice(at, at + maxCommandBytes) });
    }
  }
  return blocks;
}
