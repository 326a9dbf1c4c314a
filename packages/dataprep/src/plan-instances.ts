/**
 * From a plan to what the personalization script is made of: the applications with their data groupings in order,
 * secrets as callbacks that encipher for the card in hand.
 *
 * Invariant: no secret is derived or opened before its callback runs, and none outlives it.
 */
import { unhex } from '@cardwright/emv';
import { type DekMode, type KeyHandle, type KeyPort } from '@cardwright/keys';
import { type PersonalizationInstance, type PreparedDgi } from '@cardwright/personalization';
import { withApplicationKeys } from './application-keys.ts';
import { DataPreparationError } from './data-preparation-error.ts';
import { type Plan, type PlanDgi } from './plan.ts';
import { wrapReferencePin } from './reference-pin.ts';

/**
 * The instances of a plan for one card.
 * @param sealKey the key under which the plan's ICC key was sealed
 */
export function planInstances(plan: Plan, keys: KeyPort, sealKey: KeyHandle): PersonalizationInstance[] {
  const wrapIccKey = iccKeyWrapper(plan, keys, sealKey);
  const prepared = (dgi: PlanDgi): PreparedDgi => {
    switch (dgi.kind) {
      case 'clear':
        return { id: dgi.id, value: unhex(dgi.value) };
      case 'udk':
        return {
          id: dgi.id,
          encrypt: (dek, mode) =>
            withApplicationKeys(keys, plan.udk, (udks) => keys.wrapForCard(dek, mode, udks)),
        };
      case 'pin':
        return { id: dgi.id, encrypt: (dek, mode) => wrapReferencePin(plan, keys, dek, mode) };
      case 'icc-crt':
        return {
          id: dgi.id,
          encrypt: async (dek, mode) => {
            const part = (await wrapIccKey(dek, mode))[dgi.part];
            if (part === undefined) throw new DataPreparationError('PLAN_INVALID', 'a CRT part is missing');
            return part;
          },
        };
    }
  };
  return plan.instances.map(({ aid, dgis }) => ({ aid: unhex(aid), dgis: dgis.map(prepared) }));
}

/** All five CRT parts are enciphered at once, and once per card: the key is opened a single time. */
function iccKeyWrapper(
  plan: Plan,
  keys: KeyPort,
  sealKey: KeyHandle,
): (dek: KeyHandle, mode: DekMode) => Promise<readonly Uint8Array[]> {
  const wrapped = new Map<string, Promise<readonly Uint8Array[]>>();
  const wrap = async (dek: KeyHandle, mode: DekMode): Promise<readonly Uint8Array[]> => {
    const { sealed, context } = plan.iccKey;
    const key = await keys.unsealRsa(sealKey, Buffer.from(sealed, 'base64url'), context);
    try {
      return await keys.wrapRsaForCard(dek, mode, key);
    } finally {
      await keys.release(key);
    }
  };
  return (dek, mode) => {
    const known = wrapped.get(dek.id) ?? wrap(dek, mode);
    wrapped.set(dek.id, known);
    return known;
  };
}
