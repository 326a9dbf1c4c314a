/**
 * The fault deck of the virtual chip: every way in which it can be told to misbehave.
 *
 * Invariants: without knobs the card is strict and healthy; a knob changes exactly the behaviour it names.
 */
import { type StatusWord } from './status-word.ts';

/** What happens at the chosen STORE DATA. */
export type StoreDataFault =
  /** The chip stops answering for good, before it executes the block. */
  | { readonly kind: 'mute' }
  /** The card leaves the reader before it executes the block; it works again when it is inserted anew. */
  | { readonly kind: 'removed' }
  /** The card executes the block and leaves the reader before it answers. */
  | { readonly kind: 'response-lost' }
  /** The block passes secure messaging, is not executed, and is answered with this status word. */
  | { readonly kind: 'status-word'; readonly statusWord: StatusWord };

export interface CardKnobs {
  /** No ATR and no answer, from the first moment. */
  readonly isMute?: boolean;
  /** INITIALIZE UPDATE answers with a card cryptogram that does not verify. */
  readonly hasWrongCardCryptogram?: boolean;
  /** Version of the only key set (default 01); another one makes hosts see an unexpected key version. */
  readonly keyVersion?: number;
  /** All instances stand at PERSONALIZED, as on a card that went through a station before. */
  readonly isAlreadyPersonalized?: boolean;
  /** The card arrives locked by the issuer (CARD_LOCKED). */
  readonly isBlocked?: boolean;
  /**
   * A fault that strikes once. `block` counts the STORE DATA commands of the whole card from 0;
   * 'last' is the final block of the payment application.
   */
  readonly storeDataFault?: { readonly block: number | 'last'; readonly effect: StoreDataFault };
  /** The last byte of the payment application's first record is stored flipped: read-back must notice. */
  readonly corruptsRecord?: boolean;
  /** GENERATE AC with CDA signs an AAC too (needed by one foreign terminal). */
  readonly signsAac?: boolean;
  /** How long a STORE DATA takes in milliseconds; kept by the vpcd client, ignored in process. */
  readonly storeDataDelayMs?: number;
  /** Speaks like a T=0 card: other ATR, answers with data become 61xx and wait for GET RESPONSE. */
  readonly isT0?: boolean;
}
