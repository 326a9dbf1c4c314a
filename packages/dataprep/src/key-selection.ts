/**
 * Which named keys an order uses: the profile's keys behind the order's indexes.
 *
 * Invariant: an index that the profile does not know is a refusal naming the order's field; no index is ever
 * replaced by another one.
 */
import { normalizeKeyIndex, type PaymentApplication } from '@cardwright/protocol';
import { type DerivationKeySet, type OdaKeySet, type ProductProfile } from './product-profile.ts';

export interface SelectedKeys {
  readonly oda: OdaKeySet;
  readonly derivation: DerivationKeySet;
  /** Name of the card verification key. */
  readonly cv: string;
  /** PIN verification key and its index digit; absent where the order names none or the product has none. */
  readonly pv?: { readonly key: string; readonly pvki: string };
}

export type KeySelection =
  { readonly ok: true; readonly keys: SelectedKeys } | { readonly ok: false; readonly field: string };

function behind<T>(keys: Readonly<Record<string, T>>, index: string | number): T | undefined {
  const name = normalizeKeyIndex(index);
  return Object.hasOwn(keys, name) ? keys[name] : undefined;
}

/** Looks up every key index of the order. A refusal names the first unknown one. */
export function selectKeys(profile: ProductProfile, order: PaymentApplication): KeySelection {
  const oda = behind(profile.keys.oda, order.odaKeyIndex);
  if (oda === undefined) return { ok: false, field: 'paymentApplication.odaKeyIndex' };
  const derivation = behind(profile.keys.derivation, order.derivationKeyIndex);
  if (derivation === undefined) return { ok: false, field: 'paymentApplication.derivationKeyIndex' };
  const cv = behind(profile.keys.cv, order.cvKeyIndex ?? profile.keys.defaultCvIndex);
  if (cv === undefined) return { ok: false, field: 'paymentApplication.cvKeyIndex' };
  if (order.pvKeyIndex === undefined) return { ok: true, keys: { oda, derivation, cv } };
  const key = behind(profile.keys.pv, order.pvKeyIndex);
  // The index is enciphered into the value, which has one digit for it.
  const pvki = normalizeKeyIndex(order.pvKeyIndex);
  if (key === undefined || (key !== null && !/^\d$/.test(pvki))) {
    return { ok: false, field: 'paymentApplication.pvKeyIndex' };
  }
  return { ok: true, keys: { oda, derivation, cv, ...(key !== null && { pv: { key, pvki } }) } };
}
