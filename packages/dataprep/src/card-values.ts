/**
 * The verification values of one card: computed with the issuer's keys, or taken from the issuer where it sent them.
 *
 * Invariants: each value has its own service code and its own place (chip 999, print 000, stripe the card's own);
 * what no place asks for is not computed; a PIN is opened only inside the key port.
 */
import { cvv2ServiceCode, icvvServiceCode } from '@cardwright/emv';
import { type EncipheredPin, type KeyPort } from '@cardwright/keys';
import { type ValidatedCard } from './card-data-validation.ts';
import { DataPreparationError } from './data-preparation-error.ts';
import { type SelectedKeys } from './key-selection.ts';
import { type ProductProfile } from './product-profile.ts';
import { stripeNeeds, type StripeValues } from './stripe-data.ts';

export interface CardValues {
  /** For tag 57. */
  readonly icvv: string;
  /** Printed; absent where the product prints none. */
  readonly securityCode?: string;
  readonly stripe: StripeValues;
}

interface CardValueRequest {
  readonly profile: ProductProfile;
  readonly card: ValidatedCard;
  readonly selected: SelectedKeys;
}

/**
 * Computes what the product asks for.
 * @param pin the opened order's PIN block, where it has one
 * @throws DataPreparationError SECURITY_CODE_MISMATCH (field `cvv2`), KEY_INDEX_UNKNOWN (`paymentApplication.pvKeyIndex`)
 * @throws KeyError KEY_NOT_FOUND, PIN_BLOCK_INVALID
 */
export async function cardValues(
  keys: KeyPort,
  request: CardValueRequest,
  pin: EncipheredPin | undefined,
): Promise<CardValues> {
  const { profile, card, selected } = request;
  const cvk = await keys.find(selected.cv);
  const needs = stripeNeeds(profile, card);
  const cvv = needs.cvv
    ? (card.cvv1 ?? (await keys.cvv(cvk, card.pan, card.expiry, profile.serviceCode)))
    : undefined;
  const pvv = needs.pvv ? (card.pvv ?? (await computePvv(keys, selected, pin))) : undefined;
  const securityCode = await printedCode(keys, request);
  return {
    icvv: await keys.cvv(cvk, card.pan, card.expiry, icvvServiceCode),
    ...(securityCode !== undefined && { securityCode }),
    stripe: { ...(cvv !== undefined && { cvv }), ...(pvv !== undefined && { pvv }) },
  };
}

/** The issuer's code, or the computed one; where both are there they must be the same. */
async function printedCode(
  keys: KeyPort,
  { profile, card, selected }: CardValueRequest,
): Promise<string | undefined> {
  const { printsSecurityCode, computedSecurityCode: rule } = profile.print;
  if (!printsSecurityCode || rule === undefined) return card.securityCode;
  const { expiry } = card;
  const digits = rule.expiryOrder === 'YYMM' ? expiry : expiry.slice(2) + expiry.slice(0, 2);
  const computed = await keys.cvv(await keys.find(selected.cv), card.pan, digits, cvv2ServiceCode);
  if (card.securityCode !== undefined && card.securityCode !== computed) {
    throw new DataPreparationError(
      'SECURITY_CODE_MISMATCH',
      'the security code is not the one that the product computes',
      'cvv2',
    );
  }
  return computed;
}

async function computePvv(
  keys: KeyPort,
  { pv }: SelectedKeys,
  pin: EncipheredPin | undefined,
): Promise<string> {
  if (pin === undefined) throw new DataPreparationError('PIN_MISSING', 'a PVV needs a PIN', 'pvv');
  if (pv === undefined) {
    throw new DataPreparationError(
      'KEY_INDEX_UNKNOWN',
      'a PVV needs a PIN verification key',
      'paymentApplication.pvKeyIndex',
    );
  }
  return keys.pvv(await keys.find(pv.key), pv.pvki, pin);
}
