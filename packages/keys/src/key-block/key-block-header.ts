/**
 * The form of an X9.143 (TR-31) key block: header, optional blocks, where payload and MAC stand.
 *
 * Invariants: a block has exactly one spelling (upper-case hexadecimal, exact lengths, unique optional blocks), so
 * that nothing outside the MAC can vary; parsing trusts nothing, and a block that is wrong is a value, not an error.
 */
import { ascii, concatBytes, hex, unhex } from '@cardwright/emv';

/** A, C: variant binding. B: 3DES derivation binding. D: AES, CBC. E: AES, counter mode (ISO 20038). */
export type KeyBlockVersion = 'A' | 'B' | 'C' | 'D' | 'E';

export interface OptionalBlock {
  /** Two characters; digits are for proprietary use. */
  readonly id: string;
  /** Printable ASCII. */
  readonly value: string;
}

/** What a block says about its key, under its MAC. */
export interface KeyBlockHeader {
  readonly version: KeyBlockVersion;
  /** Two characters, such as E0. */
  readonly usage: string;
  /** T is 3DES, A is AES, H is HMAC; others exist and are not for us. */
  readonly algorithm: string;
  /** Mode of use, such as X: derive only. */
  readonly mode: string;
  /** Two characters; 00 when versions are not used. */
  readonly keyVersion: string;
  /** E, N or S. */
  readonly exportability: string;
  readonly optionalBlocks: readonly OptionalBlock[];
}

/** Why bytes are no key block. */
export type KeyBlockFormFailure = 'LENGTH' | 'CHARACTERS' | 'VERSION' | 'HEADER' | 'OPTIONAL_BLOCK';

export interface ParsedKeyBlock {
  readonly ok: true;
  readonly header: KeyBlockHeader;
  /** The header and optional blocks as they stand, which is what the MAC covers. */
  readonly headerBytes: Uint8Array;
  readonly ciphertext: Uint8Array;
  readonly mac: Uint8Array;
}

export interface KeyBlockFormRefusal {
  readonly ok: false;
  readonly reason: KeyBlockFormFailure;
}

interface VersionFacts {
  readonly macBytes: number;
  /** What header, optional blocks and ciphertext are multiples of; counter mode needs it for the header only. */
  readonly blockBytes: number;
  readonly isPayloadAligned: boolean;
}

export const keyBlockVersions: Readonly<Record<KeyBlockVersion, VersionFacts>> = {
  A: { macBytes: 4, blockBytes: 8, isPayloadAligned: true },
  B: { macBytes: 8, blockBytes: 8, isPayloadAligned: true },
  C: { macBytes: 4, blockBytes: 8, isPayloadAligned: true },
  D: { macBytes: 16, blockBytes: 16, isPayloadAligned: true },
  E: { macBytes: 16, blockBytes: 16, isPayloadAligned: false },
};

const fixedHeaderLength = 16;
/** X9.143 writes the length in four decimal digits. */
const longestBlock = 9999;
const printable = /^[\x20-\x7e]*$/;
const fixedHeader = /^([A-E])(\d{4})([A-Z0-9]{2})([A-Z0-9])([A-Z0-9])([A-Z0-9c][A-Z0-9])([A-Z0-9])(\d{2})00$/;

function isVersion(text: string | undefined): text is KeyBlockVersion {
  return text !== undefined && text in keyBlockVersions;
}

/** Takes a block apart. Nothing in it is authentic yet. `block` is text or its ASCII bytes. */
export function parseKeyBlock(block: string | Uint8Array): ParsedKeyBlock | KeyBlockFormRefusal {
  const text = typeof block === 'string' ? block : Buffer.from(block).toString('latin1');
  if (!printable.test(text)) return refusal('CHARACTERS');
  if (text.length < fixedHeaderLength || text.length > longestBlock) return refusal('LENGTH');
  if (!isVersion(text[0])) return refusal('VERSION');
  const fields = fixedHeader.exec(text.slice(0, fixedHeaderLength));
  if (!fields) return refusal('HEADER');
  const [, version, length, usage, algorithm, mode, keyVersion, exportability, count] = fields;
  if (Number(length) !== text.length) return refusal('LENGTH');
  const optional = parseOptionalBlocks(text, Number(count));
  if (!optional || !isVersion(version)) return refusal('OPTIONAL_BLOCK');
  const { macBytes, blockBytes, isPayloadAligned } = keyBlockVersions[version];
  if (optional.end % blockBytes !== 0) return refusal('OPTIONAL_BLOCK');
  const body = text.slice(optional.end);
  if (!/^([0-9A-F]{2})*$/.test(body)) return refusal('CHARACTERS');
  const ciphertextLength = body.length / 2 - macBytes;
  // The shortest payload is a length and one byte.
  if (ciphertextLength < 3 || (isPayloadAligned && ciphertextLength % blockBytes !== 0)) {
    return refusal('LENGTH');
  }
  const bytes = unhex(body);
  return {
    ok: true,
    header: {
      version,
      usage: usage ?? '',
      algorithm: algorithm ?? '',
      mode: mode ?? '',
      keyVersion: keyVersion ?? '',
      exportability: exportability ?? '',
      optionalBlocks: optional.blocks,
    },
    headerBytes: ascii(text.slice(0, optional.end)),
    ciphertext: bytes.slice(0, ciphertextLength),
    mac: bytes.slice(ciphertextLength),
  };
}

function refusal(reason: KeyBlockFormFailure): KeyBlockFormRefusal {
  return { ok: false, reason };
}

function parseOptionalBlocks(
  text: string,
  count: number,
): { blocks: readonly OptionalBlock[]; end: number } | undefined {
  const blocks: OptionalBlock[] = [];
  let at = fixedHeaderLength;
  for (let index = 0; index < count; index++) {
    const id = text.slice(at, at + 2);
    const length = optionalBlockLength(text.slice(at + 2, at + 10));
    if (!/^[A-Z0-9]{2}$/.test(id) || !length || at + length.whole > text.length) return undefined;
    if (blocks.some((block) => block.id === id)) return undefined;
    blocks.push({ id, value: text.slice(at + length.head, at + length.whole) });
    at += length.whole;
  }
  return { blocks, end: at };
}

/** The length after an id: two hexadecimal digits, or `00`, the number of bytes of the length (02), four digits. */
function optionalBlockLength(text: string): { head: number; whole: number } | undefined {
  const short = /^[0-9A-F]{2}/.exec(text)?.[0];
  if (short === undefined) return undefined;
  if (short !== '00') {
    const whole = Number.parseInt(short, 16);
    return whole < 4 ? undefined : { head: 4, whole };
  }
  const long = /^0002([0-9A-F]{4})$/.exec(text)?.[1];
  if (long === undefined) return undefined;
  const whole = Number.parseInt(long, 16);
  // A length that fits into two digits is written in two.
  return whole < 0x100 ? undefined : { head: 10, whole };
}

function formatOptionalBlock({ id, value }: OptionalBlock): string {
  const whole = value.length + 4;
  const length =
    whole < 0x100
      ? hex(Uint8Array.of(whole))
      : `0002${(whole + 6).toString(16).toUpperCase().padStart(4, '0')}`;
  return `${id}${length}${value}`;
}

/** Fills the optional blocks up to the cipher block, with a last block PB, as X9.143 asks. */
function paddedOptionalBlocks(
  blocks: readonly OptionalBlock[],
  blockBytes: number,
): readonly OptionalBlock[] {
  const length = blocks.map(formatOptionalBlock).join('').length;
  const over = length % blockBytes;
  if (over === 0) return blocks;
  const room = blockBytes - over;
  const value = '0'.repeat(room >= 4 ? room - 4 : room + blockBytes - 4);
  return [...blocks, { id: 'PB', value }];
}

/**
 * The header of a block to be made, for a ciphertext and MAC of `bodyBytes` together.
 * @throws RangeError when a field has a wrong form
 */
export function formatKeyBlockHeader(header: KeyBlockHeader, bodyBytes: number): Uint8Array {
  const { version, usage, algorithm, mode, keyVersion, exportability } = header;
  const blocks = paddedOptionalBlocks(header.optionalBlocks, keyBlockVersions[version].blockBytes);
  const optional = blocks.map(formatOptionalBlock).join('');
  const total = fixedHeaderLength + optional.length + bodyBytes * 2;
  const fixed = [
    version,
    String(total).padStart(4, '0'),
    usage,
    algorithm,
    mode,
    keyVersion,
    exportability,
    String(blocks.length).padStart(2, '0'),
    '00',
  ].join('');
  const isSound =
    total <= longestBlock &&
    fixedHeader.test(fixed) &&
    printable.test(optional) &&
    blocks.every(({ id }) => /^[A-Z0-9]{2}$/.test(id));
  if (!isSound) throw new RangeError('a key block header of a wrong form');
  return concatBytes(ascii(fixed), ascii(optional));
}
