/** Plan preparation with a key from a filled pool, beside the raw RSA signature that it cannot do without. */
import { constants, generateKeyPairSync, privateEncrypt, randomBytes } from 'node:crypto';
import { type KeyHandle } from '@cardwright/keys';
import { sampleCardData } from './sample-card.ts';
import { type KeyFixture, planFor } from '../packages/dataprep/test/key-fixture.ts';
import { measure, type Measurement } from './measurement.ts';

export async function benchPlanPreparation(fixture: KeyFixture, count: number): Promise<Measurement[]> {
  const pool: KeyHandle[] = [];
  for (let i = 0; i < count + 2; i++) pool.push(await fixture.keys.generateRsa(1152, 3, 'ICC'));
  const pooled: KeyFixture = {
    ...fixture,
    iccKeys: {
      take: () => {
        const key = pool.pop();
        if (key === undefined) throw new Error('the pool of the benchmark is empty');
        return Promise.resolve(key);
      },
    },
  };
  const plans = await measure('plan preparation, key from the pool', count, () =>
    planFor(pooled, sampleCardData()),
  );
  const { privateKey } = generateKeyPairSync('rsa', { modulusLength: 1408, publicExponent: 3 });
  const block = Buffer.concat([Buffer.from([0]), randomBytes(1408 / 8 - 1)]);
  const floor = await measure('raw RSA-1408 signature (floor of the above)', count, () => {
    privateEncrypt({ key: privateKey, padding: constants.RSA_NO_PADDING }, block);
    return Promise.resolve();
  });
  return [plans, floor];
}
