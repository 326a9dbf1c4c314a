/**
 * Where one transaction of the payment application stands between two commands. RAM only: gone with a reset or a
 * new SELECT.
 *
 * Invariant: each state holds exactly the data that exists in it, so a command that comes too early or too late
 * finds nothing to work with and is refused.
 */
type PinVerification = 'not-performed' | 'failed' | 'verified';

export interface InitiatedTransaction {
  readonly stage: 'initiated';
  /** The PDOL values of the GPO command. */
  readonly pdolData: Uint8Array;
  readonly isDdaPerformed: boolean;
  readonly pin: PinVerification;
  /** Flags of the transaction before this one, as they stood at GPO. */
  readonly wasLastOnlineIncomplete: boolean;
  readonly hadToGoOnline: boolean;
}

export interface OnlineTransaction extends Omit<InitiatedTransaction, 'stage'> {
  readonly stage: 'online';
  readonly cdol1Data: Uint8Array;
  readonly sessionKey: Uint8Array;
  readonly arqc: Uint8Array;
  readonly isCdaPerformed: boolean;
}

export type PaymentTransaction =
  { readonly stage: 'selected' } | InitiatedTransaction | OnlineTransaction | { readonly stage: 'finished' };
