/**
 * The application keys of one card: derived from the issuer's master keys when needed, released at once.
 *
 * Invariant: no derived key outlives the callback it was derived for.
 */
import { udkData } from '@cardwright/emv';
import { type KeyHandle, type KeyPort } from '@cardwright/keys';
import { type Plan } from './plan.ts';

type UdkSource = Plan['udk'];

async function deriveUdk(keys: KeyPort, source: UdkSource, masterKey: string): Promise<KeyHandle> {
  const data = udkData(source.option, source.pan, source.panSequenceNumber);
  return keys.deriveTdesEcb(await keys.find(masterKey), data, 'UDK', true);
}

/**
 * Derives the card's AC, MAC and encipherment keys (DGI 8000 order), gives them to `use`, releases them.
 * @throws KeyError KEY_NOT_FOUND when a master key is missing
 */
export async function withApplicationKeys<T>(
  keys: KeyPort,
  source: UdkSource,
  use: (udks: readonly KeyHandle[]) => Promise<T>,
): Promise<T> {
  const derived: KeyHandle[] = [];
  try {
    for (const masterKey of [source.ac, source.smi, source.smc]) {
      derived.push(await deriveUdk(keys, source, masterKey));
    }
    return await use(derived);
  } finally {
    for (const key of derived) await keys.release(key);
  }
}

/** As `withApplicationKeys`, for the cryptogram key alone. */
export async function withCryptogramKey<T>(
  keys: KeyPort,
  source: UdkSource,
  use: (udkAc: KeyHandle) => Promise<T>,
): Promise<T> {
  const udk = await deriveUdk(keys, source, source.ac);
  try {
    return await use(udk);
  } finally {
    await keys.release(udk);
  }
}
