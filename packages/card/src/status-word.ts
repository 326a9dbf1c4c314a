/**
 * The status words this card answers with, and the two ways to build a response APDU.
 *
 * Invariant: every response is at least two bytes and ends with its status word.
 */
import { concatBytes, unhex } from '@cardwright/emv';

export const SW = {
  ok: '9000',
  cryptogramWrong: '6300',
  selectedFileInvalidated: '6283',
  lengthWrong: '6700',
  securityStatus: '6982',
  authenticationBlocked: '6983',
  conditionsNotSatisfied: '6985',
  dataWrong: '6A80',
  fileNotFound: '6A82',
  recordNotFound: '6A83',
  memoryFull: '6A84',
  parametersWrong: '6A86',
  referenceNotFound: '6A88',
  instructionUnknown: '6D00',
  classUnknown: '6E00',
  internalError: '6F00',
} as const;

/** A four-digit status word in upper-case hexadecimal. */
export type StatusWord = string;

/** A response with no data. */
export function refuse(statusWord: StatusWord): Uint8Array {
  return unhex(statusWord);
}

/** A successful response (9000), with data when given. */
export function accept(data?: Uint8Array): Uint8Array {
  return data === undefined ? unhex(SW.ok) : concatBytes(data, unhex(SW.ok));
}
