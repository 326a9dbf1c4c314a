/**
 * Cryptogram version number 18: `06 | DKI | 12 | 03 | card verification results (3) | discretionary data`.
 *
 * Invariant: the results say the same facts as the CCD layout, as far as three bytes have room for them; what this
 * card does not do (issuer scripts, offline declines remembered) stays zero.
 */
import { type VerificationFacts, FIRST_BITS, SECOND_BITS, bit } from './cryptogram-decision.ts';

const FIXED_PART_BYTES = 7;
const MAX_IAD_BYTES = 32;
const LENGTH_INDICATOR = 0x06;
const VERSION_NUMBER = 0x12;
const CVR_LENGTH = 0x03;

export function isCvn18Iad(iad: Uint8Array): boolean {
  const isLengthFitting = iad.length >= FIXED_PART_BYTES && iad.length <= MAX_IAD_BYTES;
  return isLengthFitting && iad[0] === LENGTH_INDICATOR && iad[2] === VERSION_NUMBER && iad[3] === CVR_LENGTH;
}

/** The three bytes of card verification results. */
export function cvn18VerificationResults(facts: VerificationFacts): Uint8Array {
  const { issuer, risk } = facts;
  const isUnheard = issuer?.kind === 'not-received';
  return Uint8Array.of(
    SECOND_BITS[facts.second] |
      FIRST_BITS[facts.first] |
      bit(4, issuer?.kind === 'failed') |
      bit(3, facts.pin !== 'not-performed') |
      bit(2, facts.pin === 'failed') |
      bit(1, isUnheard && issuer.isUnableToGoOnline),
    bit(8, facts.isLastOnlineIncomplete) |
      bit(7, facts.pinTriesLeft === 0) |
      bit(6, risk.offlineTransactions > risk.lowerOfflineLimit) |
      bit(3, isUnheard && !issuer.isUnableToGoOnline),
    bit(2, facts.isDdaPerformed),
  );
}
