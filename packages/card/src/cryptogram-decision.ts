/**
 * The card's own decision in GENERATE AC, and how it words it: CID and CVR in the CCD layout (EMV Book 3, annexes
 * C7 and C9).
 *
 * Invariants: the card never answers with more than it was asked for (TC > ARQC > AAC); a transaction that went
 * online is approved only by a verified issuer answer, or offline when the terminal says it could not go online.
 */
import { hex } from '@cardwright/emv';

export type CryptogramType = 'AAC' | 'TC' | 'ARQC';

/** Cryptogram information data, also the coding of the request in P1. */
export const CRYPTOGRAM_CODE: Readonly<Record<CryptogramType, number>> = { AAC: 0x00, TC: 0x40, ARQC: 0x80 };

/** What the terminal asks for in P1; undefined for a reserved coding. */
export function requestedCryptogram(p1: number): { type: CryptogramType; isCda: boolean } | undefined {
  if ((p1 & 0x2f) !== 0) return undefined;
  const isCda = (p1 & 0x10) !== 0;
  switch (p1 & 0xc0) {
    case 0x00:
      return { type: 'AAC', isCda };
    case 0x40:
      return { type: 'TC', isCda };
    case 0x80:
      return { type: 'ARQC', isCda };
    default:
      return undefined;
  }
}

export interface RiskFacts {
  /** Transactions since the last one that was completed online, this one included. */
  readonly offlineTransactions: number;
  readonly lowerOfflineLimit: number;
  readonly upperOfflineLimit: number;
  /** The issuer asked for it, or the last online transaction was not completed. */
  readonly mustGoOnline: boolean;
}

/** First GENERATE AC: a TC becomes an ARQC when the card wants to hear its issuer. */
export function decideFirstCryptogram(requested: CryptogramType, facts: RiskFacts): CryptogramType {
  if (requested !== 'TC') return requested;
  return facts.mustGoOnline || facts.offlineTransactions > facts.lowerOfflineLimit ? 'ARQC' : 'TC';
}

/** What became of the issuer's answer. */
export type IssuerAuthentication =
  | { readonly kind: 'verified'; readonly isApproved: boolean }
  | { readonly kind: 'failed' }
  | { readonly kind: 'not-received'; readonly isUnableToGoOnline: boolean };

/** Second GENERATE AC: a TC only with the issuer's approval, or offline below the upper limit. */
export function decideSecondCryptogram(
  requested: 'AAC' | 'TC',
  issuer: IssuerAuthentication,
  facts: RiskFacts,
): 'AAC' | 'TC' {
  if (requested === 'AAC') return 'AAC';
  switch (issuer.kind) {
    case 'verified':
      return issuer.isApproved ? 'TC' : 'AAC';
    case 'failed':
      return 'AAC';
    case 'not-received':
      return issuer.isUnableToGoOnline && facts.offlineTransactions <= facts.upperOfflineLimit ? 'TC' : 'AAC';
  }
}

/** Everything the card verification results report. */
export interface VerificationFacts {
  readonly first: CryptogramType;
  readonly second: 'AAC' | 'TC' | 'not-requested';
  readonly isCdaPerformed: boolean;
  readonly isDdaPerformed: boolean;
  readonly issuer: IssuerAuthentication | undefined;
  readonly pinTriesLeft: number;
  readonly pin: 'not-performed' | 'failed' | 'verified';
  readonly risk: RiskFacts;
  readonly isLastOnlineIncomplete: boolean;
  readonly goesOnlineNext: boolean;
}

export const FIRST_BITS: Readonly<Record<CryptogramType, number>> = { AAC: 0x00, TC: 0x10, ARQC: 0x20 };
export const SECOND_BITS = { AAC: 0x00, TC: 0x40, 'not-requested': 0x80 } as const;

/** The five bytes of card verification results in the CCD layout. */
export function cardVerificationResults(facts: VerificationFacts): Uint8Array {
  const { issuer, risk } = facts;
  const isUnableToGoOnline = issuer?.kind === 'not-received' && issuer.isUnableToGoOnline;
  const isIssuerUnheard = issuer?.kind === 'not-received' && !issuer.isUnableToGoOnline;
  return Uint8Array.of(
    SECOND_BITS[facts.second] |
      FIRST_BITS[facts.first] |
      bit(4, facts.isCdaPerformed) |
      bit(3, facts.isDdaPerformed) |
      bit(2, isIssuerUnheard) |
      bit(1, issuer?.kind === 'failed'),
    ((facts.pinTriesLeft & 0x0f) << 4) |
      bit(4, facts.pin !== 'not-performed') |
      bit(3, facts.pin === 'failed') |
      bit(2, facts.pinTriesLeft === 0) |
      bit(1, facts.isLastOnlineIncomplete),
    bit(8, risk.offlineTransactions > risk.lowerOfflineLimit) |
      bit(7, risk.offlineTransactions > risk.upperOfflineLimit),
    bit(2, facts.goesOnlineNext) | bit(1, isUnableToGoOnline),
    0x00,
  );
}

/** The orders that a verified card status update (CSU, 4 bytes) carries. */
export interface IssuerOrders {
  readonly isApproved: boolean;
  readonly blocksCard: boolean;
  readonly blocksApplication: boolean;
  /** New PIN try counter, or undefined to leave it. */
  readonly pinTries: number | undefined;
  readonly goesOnlineNext: boolean;
  readonly resetsCounters: boolean;
}

export function issuerOrders(csu: Uint8Array): IssuerOrders {
  const first = csu[0] ?? 0;
  const second = csu[1] ?? 0;
  return {
    isApproved: (second & 0x80) !== 0,
    blocksCard: (second & 0x40) !== 0,
    blocksApplication: (second & 0x20) !== 0,
    pinTries: (second & 0x10) !== 0 ? first & 0x0f : undefined,
    goesOnlineNext: (second & 0x08) !== 0,
    resetsCounters: (second & 0x03) === 0x02,
  };
}

/** Authorization response codes with which a terminal says that it could not go online. */
export function isUnableToGoOnline(authorizationResponseCode: Uint8Array): boolean {
  const code = hex(authorizationResponseCode);
  return code === '5933' || code === '5A33'; // Y3, Z3
}

/** A bit by its number in a byte, 1 to 8. */
export function bit(number: number, isSet: boolean): number {
  return isSet ? 1 << (number - 1) : 0;
}
