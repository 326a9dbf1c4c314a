/**
 * The chip's answer to INITIALIZE UPDATE, judged against what the product allows.
 *
 * Invariant: every byte comes from an untrusted chip; whatever is not exactly an SCP02 or SCP03 S8 response is
 * refused before a key is touched.
 */
import { EmvError, type InitializeUpdateResponse, parseInitializeUpdateResponse } from '@cardwright/emv';

export type SecureChannelProtocol = InitializeUpdateResponse['protocol'];

type CardResponseDecision =
  | { readonly ok: true; readonly response: InitializeUpdateResponse }
  | { readonly ok: false; readonly reason: 'RESPONSE_MALFORMED' | 'PROTOCOL_NOT_ALLOWED' };

/** Response lengths with a status word: SCP02, SCP03 without and with a sequence counter. None is one without. */
const lengthsWithStatus: readonly number[] = [30, 31, 34];

/** @param bytes response data, with or without its status word 9000 */
export function decideCardResponse(
  bytes: Uint8Array,
  allowedProtocols: readonly SecureChannelProtocol[],
): CardResponseDecision {
  const response = parse(withoutStatus(bytes));
  if (!response) return { ok: false, reason: 'RESPONSE_MALFORMED' };
  if (!allowedProtocols.includes(response.protocol)) return { ok: false, reason: 'PROTOCOL_NOT_ALLOWED' };
  return { ok: true, response };
}

function withoutStatus(bytes: Uint8Array): Uint8Array {
  const hasStatus =
    lengthsWithStatus.includes(bytes.length) && bytes.at(-2) === 0x90 && bytes.at(-1) === 0x00;
  return hasStatus ? bytes.subarray(0, -2) : bytes;
}

function parse(data: Uint8Array): InitializeUpdateResponse | undefined {
  try {
    return parseInitializeUpdateResponse(data);
  } catch (error) {
    if (error instanceof EmvError) return undefined;
    throw error;
  }
}
