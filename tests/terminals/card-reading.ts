/** What independent programs read from one card, as the session prints it and the test judges it. */
import { type StripeTracks, type VerificationFacts } from '@cardwright/protocol';

/** One command and its answer with status word, hexadecimal. */
export interface Exchange {
  readonly command: string;
  readonly answer: string;
}

export interface CardReading {
  readonly productId: string;
  readonly profileId: string;
  readonly protocol: 'SCP02' | 'SCP03';
  readonly pan: string;
  readonly verification: VerificationFacts;
  readonly stripe: StripeTracks | undefined;
  /** What opensc-tool printed: ATR and the answer to SELECT PSE. */
  readonly opensc: string;
  /** What scriptor sent and received, in order. */
  readonly exchanges: readonly Exchange[];
  /** cardpeek's tree of the card, XML. */
  readonly cardpeek: string;
}
