/**
 * An order's PIN block on its way through data preparation: checked when the plan is made, kept in the plan as the
 * issuer sent it, enciphered for the chip when a script is written.
 *
 * Invariant: between the issuer and the chip the PIN is opened only inside the key port; a plan holds the issuer's
 * cipher text, so that an opened plan still tells no PIN.
 */
import { unhex } from '@cardwright/emv';
import { type DekMode, type EncipheredPin, KeyError, type KeyHandle, type KeyPort } from '@cardwright/keys';
import { type ValidatedCard } from './card-data-validation.ts';
import { DataPreparationError } from './data-preparation-error.ts';
import { type Plan } from './plan.ts';

/** Name of an issuer's PIN key. `index` is normalised (`normalizeKeyIndex`). */
export const pinKeyName = (issuerId: string, index: string): string => `pin/${issuerId}/${index}`;

/**
 * The order's PIN block with its key, checked to be a PIN of this card; undefined where the order has none.
 * @throws DataPreparationError PIN_KEY_UNKNOWN (field `pinBlock.keyIndex`), PIN_BLOCK_INVALID (`pinBlock.value`)
 */
export async function findPin(
  keys: KeyPort,
  issuerId: string,
  card: ValidatedCard,
): Promise<EncipheredPin | undefined> {
  if (card.pinBlock === undefined) return undefined;
  const { format, value, keyIndex } = card.pinBlock;
  try {
    const key = await keys.find(pinKeyName(issuerId, keyIndex));
    const pin = { key, format, block: unhex(value), pan: card.pan };
    await keys.checkPinBlock(pin);
    return pin;
  } catch (error) {
    throw refusalOf(error);
  }
}

function refusalOf(error: unknown): unknown {
  if (!(error instanceof KeyError)) return error;
  switch (error.code) {
    case 'KEY_NOT_FOUND':
    case 'KEY_USAGE':
      // A key of another kind is, for this format, no key at all.
      return new DataPreparationError('PIN_KEY_UNKNOWN', 'no PIN key of that index', 'pinBlock.keyIndex');
    case 'PIN_BLOCK_INVALID':
      return new DataPreparationError('PIN_BLOCK_INVALID', 'the PIN block was refused', 'pinBlock.value');
    default:
      return error;
  }
}

/**
 * DGI 8010 for one card.
 * @throws DataPreparationError PLAN_INVALID where the plan holds no PIN; KeyError
 */
export async function wrapReferencePin(
  plan: Plan,
  keys: KeyPort,
  dek: KeyHandle,
  mode: DekMode,
): Promise<Uint8Array> {
  if (plan.pin === undefined) throw new DataPreparationError('PLAN_INVALID', 'the plan holds no PIN');
  const { key, format, block, reference } = plan.pin;
  const pin = { key: await keys.find(key), format, block: unhex(block), pan: plan.udk.pan };
  return keys.wrapPinForCard(dek, mode, pin, reference);
}
