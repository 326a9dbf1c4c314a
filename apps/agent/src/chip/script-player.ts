/**
 * Plays the vault's wrapped script on a chip, command by command, and kills the chip when it refuses one.
 *
 * Invariants: every command is sent once and its status word compared with what the vault expects; the first
 * command that may carry card data is announced before it is sent (write-ahead, I6); after a refusal nothing of
 * the script is sent any more.
 */
import { type ApduChannel } from '@cardwright/devices';
import { unhex } from '@cardwright/emv';
import { type ScriptStep } from '@cardwright/protocol';
import { exchange } from './apdu-exchange.ts';

export type ScriptResult =
  | { readonly kind: 'completed'; readonly commands: number }
  | {
      readonly kind: 'refused';
      /** 0-based place in the script. */
      readonly index: number;
      readonly label: string;
      readonly statusWord: string;
      /** True when the chip confirmed the terminate command. */
      readonly terminated: boolean;
    };

export interface ScriptPlay {
  readonly channel: ApduChannel;
  readonly script: readonly ScriptStep[];
  /** `terminate[k]` is good after exactly k script commands. */
  readonly terminate: readonly (ScriptStep | null)[];
  /** Called once, right before the first command that may bring card data to the chip. */
  readonly onPersonalization: () => void;
  readonly onTerminate: () => void;
  readonly onCommand?: (index: number) => void;
}

const insOffset = 1;
const externalAuthenticate = 0x82;

/** EXTERNAL AUTHENTICATE proves the host to the chip; everything after it is personalization. */
function isPersonalization(apdu: Uint8Array): boolean {
  return apdu[insOffset] !== externalAuthenticate;
}

/** @throws DeviceFault when the chip or the reader gives no answer: then what the chip took is unknown */
export async function playScript(play: ScriptPlay): Promise<ScriptResult> {
  let isAnnounced = false;
  for (const [index, step] of play.script.entries()) {
    const apdu = unhex(step.apdu);
    if (!isAnnounced && isPersonalization(apdu)) {
      play.onPersonalization();
      isAnnounced = true;
    }
    play.onCommand?.(index);
    const { statusWord } = await exchange(play.channel, apdu);
    if (!step.expect.includes(statusWord)) {
      // Without personalization the chip is as blank as before, and no session lives that could end it.
      const terminated = isAnnounced && (await terminateChip(play, index + 1));
      return { kind: 'refused', index, label: step.label, statusWord, terminated };
    }
  }
  return { kind: 'completed', commands: play.script.length };
}

/** Ends the chip's life inside the live session. A chip that does not confirm counts as alive. */
async function terminateChip(play: ScriptPlay, commandsSent: number): Promise<boolean> {
  const step = play.terminate[commandsSent];
  if (step === undefined || step === null) return false;
  play.onTerminate();
  try {
    const { statusWord } = await exchange(play.channel, unhex(step.apdu));
    return step.expect.includes(statusWord);
  } catch {
    // The reader lost the chip: the card goes to the reject bin either way, but not as a dead one.
    return false;
  }
}
