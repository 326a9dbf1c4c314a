/**
 * One command and its whole answer, over T=1 as over T=0.
 *
 * Invariant: a command under secure messaging is sent exactly once; a second copy would carry a used MAC.
 */
import { type ApduChannel } from '@cardwright/devices';
import { type CommandApdu, concatBytes, encodeCommand, responseData, statusWord } from '@cardwright/emv';

export interface ApduAnswer {
  readonly data: Uint8Array;
  /** Four upper-case hexadecimal digits. */
  readonly statusWord: string;
}

/** A chip hands out at most this many pieces of one answer before we call it broken. */
const maxPieces = 16;
const secureMessagingBit = 0x04;

/**
 * Sends a command. `61xx` fetches the waiting data, `6Cxx` repeats an unsecured command with the right length
 * (ISO/IEC 7816-3, T=0).
 * @throws DeviceFault from the reader
 */
export async function exchange(channel: ApduChannel, command: Uint8Array): Promise<ApduAnswer> {
  let response = await channel.transmit(command);
  let data: Uint8Array = responseData(response);
  const first = statusWord(response);
  if (first.startsWith('6C') && ((command[0] ?? 0) & secureMessagingBit) === 0) {
    response = await channel.transmit(
      Uint8Array.from([...command.slice(0, -1), parseInt(first.slice(2), 16)]),
    );
    data = responseData(response);
  }
  for (let piece = 0; piece < maxPieces && statusWord(response).startsWith('61'); piece++) {
    response = await channel.transmit(Uint8Array.of(0x00, 0xc0, 0x00, 0x00, response.at(-1) ?? 0));
    data = concatBytes(data, responseData(response));
  }
  return { data, statusWord: statusWord(response) };
}

/** The same for a command that is not encoded yet. */
export function send(channel: ApduChannel, command: CommandApdu): Promise<ApduAnswer> {
  return exchange(channel, encodeCommand(command));
}
