/**
 * The chip before its script: which chip it is, and its answer to the vault's challenge.
 *
 * Invariant: identity is read before the secure channel, so that the vault knows which piece of silicon it
 * releases card data to (I11).
 */
import { type ApduChannel } from '@cardwright/devices';
import { hex, parseTlv, unhex } from '@cardwright/emv';
import { type ChipIdentity } from '@cardwright/protocol';
import { exchange, send } from './apdu-exchange.ts';

/** The chip answers, but not as a blank of ours should. */
export class ChipRefusal extends Error {
  override readonly name = 'ChipRefusal';
  /** Name of the command that was refused, for logs and evidence. */
  readonly command: string;
  readonly statusWord: string;

  constructor(command: string, statusWord: string) {
    super(`${command} was answered ${statusWord}`);
    this.command = command;
    this.statusWord = statusWord;
  }
}

/**
 * Selects the issuer security domain and reads chip production data (GET DATA 9F7F).
 * @throws ChipRefusal when there is no such security domain; DeviceFault from the reader
 */
export async function identifyChip(channel: ApduChannel, securityDomainAid: string): Promise<ChipIdentity> {
  const selected = await send(channel, {
    cla: 0x00,
    ins: 0xa4,
    p1: 0x04,
    p2: 0x00,
    data: unhex(securityDomainAid),
    le: 256,
  });
  if (selected.statusWord !== '9000') throw new ChipRefusal('SELECT', selected.statusWord);
  const answer = await send(channel, { cla: 0x80, ins: 0xca, p1: 0x9f, p2: 0x7f, le: 256 });
  // Chips without production data exist; the vault decides whether it talks to one.
  const cplc = answer.statusWord === '9000' ? hex(productionData(answer.data)) : null;
  return { atr: hex(channel.atr), cplc };
}

/** The 42 bytes, with or without their tag and length: chips differ. */
function productionData(data: Uint8Array): Uint8Array {
  if (data[0] !== 0x9f || data[1] !== 0x7f) return data;
  try {
    return parseTlv(data)[0]?.value ?? data;
  } catch {
    return data;
  }
}

/**
 * Sends the vault's INITIALIZE UPDATE and returns the chip's answer without status word, in hex.
 * @throws ChipRefusal, DeviceFault
 */
export async function initializeUpdate(channel: ApduChannel, command: string): Promise<string> {
  const answer = await exchange(channel, unhex(command));
  if (answer.statusWord !== '9000') throw new ChipRefusal('INITIALIZE UPDATE', answer.statusWord);
  return hex(answer.data);
}
