/**
 * The two ways in which payment applications on this chip word their results: the CCD layout (EMV Book 3, annexes
 * C7 and C9) and cryptogram version number 18 as VSDC-like cards have it.
 *
 * Invariants: an application is loaded with the IAD of its own version or not at all; the cryptogram itself is the
 * same for both (EMV common session key, the whole IAD at the end of the input).
 */
import { concatBytes } from '@cardwright/emv';
import { type VerificationFacts, cardVerificationResults } from './cryptogram-decision.ts';
import { cvn18VerificationResults, isCvn18Iad } from './cvn18-results.ts';

export type CryptogramVersion = 'CCI-A5' | 'CVN-18';

interface VersionRules {
  readonly isIad: (iad: Uint8Array) => boolean;
  readonly cvrOffset: number;
  readonly results: (facts: VerificationFacts) => Uint8Array;
}

const CCD_IAD_BYTES = 32;
const CCD_LENGTH_INDICATOR = 0x0f;
const CCI_TDES = 0xa5;

const RULES: Readonly<Record<CryptogramVersion, VersionRules>> = {
  'CCI-A5': {
    isIad: (iad) =>
      iad.length === CCD_IAD_BYTES &&
      iad[0] === CCD_LENGTH_INDICATOR &&
      iad[1] === CCI_TDES &&
      iad[16] === CCD_LENGTH_INDICATOR,
    cvrOffset: 3,
    results: cardVerificationResults,
  },
  'CVN-18': { isIad: isCvn18Iad, cvrOffset: 4, results: cvn18VerificationResults },
};

/** Whether an application of this version may be loaded with that default IAD. */
export function isIadOf(version: CryptogramVersion, iad: Uint8Array): boolean {
  return RULES[version].isIad(iad);
}

/** The IAD of one cryptogram: the loaded one with the card verification results in their place. */
export function issuerApplicationData(
  version: CryptogramVersion,
  defaultIad: Uint8Array,
  facts: VerificationFacts,
): Uint8Array {
  const { cvrOffset, results } = RULES[version];
  const cvr = results(facts);
  return concatBytes(defaultIad.subarray(0, cvrOffset), cvr, defaultIad.subarray(cvrOffset + cvr.length));
}
