/** Software keys in a folder of their own, removed when the test ends. */
import { randomBytes } from 'node:crypto';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { type TestContext } from 'node:test';
import { unhex } from '@cardwright/emv';
import { type KeyHandle, type KeyStore, openSoftwareKeys, type SoftwareKeys } from '@cardwright/keys';
import { type CardStaticKeys } from '../src/secure-channel.ts';

export async function openTestKeys(t: TestContext, maxTemporaryKeys = 4096): Promise<SoftwareKeys> {
  const folder = await mkdtemp(join(tmpdir(), 'cardwright-personalization-'));
  t.after(() => rm(folder, { recursive: true, force: true }));
  const masterKey = randomBytes(32);
  const keys = await openSoftwareKeys({ folder, masterKey, environment: 'test', maxTemporaryKeys });
  t.after(() => keys.close());
  return keys;
}

/** Published static keys of one chip, imported under names made of their values. */
export async function importStaticKeys(
  keys: KeyStore,
  protocol: 'SCP02' | 'SCP03',
  values: { enc: string; mac: string; dek: string },
): Promise<CardStaticKeys> {
  const put = (hexValue: string): Promise<KeyHandle> => {
    const value = unhex(hexValue);
    const algorithm = protocol === 'SCP02' ? 'TDES-2KEY' : value.length === 16 ? 'AES-128' : 'AES-256';
    return keys.ensure(`card-${protocol}/${hexValue}`, { algorithm, usage: 'CARD-STATIC', value });
  };
  return { enc: await put(values.enc), mac: await put(values.mac), dek: await put(values.dek) };
}
