/**
 * The canonical faults: one vocabulary for drivers, agent, server and the issuer (`errorCode`).
 *
 * `sentence` is the short English text that the issuer gets in `error` and `details.reason`: at most 128
 * characters and never card data (OD-5.10).
 */
export const faults = {
  STOCK_EMPTY: { sentence: 'The station has no blank cards' },
  FEED_FAIL: { sentence: 'A blank card could not be fed' },
  RIBBON_OUT: { sentence: 'The print ribbon has ended' },
  RIBBON_FAULT: { sentence: 'The print ribbon is faulty' },
  COVER_OPEN: { sentence: 'The printer cover was opened' },
  CARD_JAM: { sentence: 'Card jam in the printer' },
  OUTPUT_FULL: { sentence: 'The card output is full' },
  REJECT_FULL: { sentence: 'The reject bin is full' },
  MAG_FAIL: { sentence: 'The magnetic stripe could not be encoded' },
  CHIP_FAIL: { sentence: 'The chip could not be personalized' },
  CHIP_REFUSED: { sentence: 'The chip failed the secure channel check' },
  VERIFY_FAIL: { sentence: 'The finished card failed its verification' },
  ARTWORK_FAIL: { sentence: 'The card cannot be printed with the given texts' },
  PAYLOAD_FAIL: { sentence: 'The station could not open its production data' },
  OFFLINE: { sentence: 'The printer does not answer' },
  CARD_LOST: { sentence: 'A card is missing in the printer' },
  OUTCOME_UNKNOWN: { sentence: 'It is not known whether a card was made' },
  INTERRUPTED: { sentence: 'The station was interrupted while making the card' },
  DEVICE_FAULT: { sentence: 'The card device reported a fault' },
  STATION_TIMEOUT: { sentence: 'The station did not take the order in time' },
  NOT_PRODUCED: { sentence: 'Inspection found that no card was made' },
  CANCELED_BY_ISSUER: { sentence: 'Canceled by the issuer' },
  DATA_JWE_INVALID: { sentence: 'The encrypted card data cannot be opened' },
  DATA_FIELD_INVALID: { sentence: 'A card data field is not valid' },
  DATA_KEY_NOT_FOUND: { sentence: 'A key that the order names does not exist' },
  DATA_PREPARATION_FAILED: { sentence: 'The production data could not be prepared' },
} as const satisfies Record<string, { readonly sentence: string }>;

export type FaultCode = keyof typeof faults;
export const faultCodes = Object.keys(faults) as FaultCode[];

/** True when `code` names a canonical fault. */
export function isFaultCode(code: string): code is FaultCode {
  return Object.hasOwn(faults, code);
}
