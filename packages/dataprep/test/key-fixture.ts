/** Keys of a small vault in a temporary folder, and ICC keys made on demand. */
import { randomBytes } from 'node:crypto';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { type KeyHandle, openSoftwareKeys, type SoftwareKeys } from '@cardwright/keys';
import {
  ccd3desProfile,
  createIssuerCertificate,
  type IccKeySource,
  type IssuerCertificate,
  type IssuerPermissions,
  type Plan,
  preparePlan,
  type ProductProfile,
  selectKeys,
  validateCardData,
} from '../src/index.ts';
import { testPrefix, today } from './card-data-generator.ts';

/** GlobalPlatform's published test key: what a simulated blank carries. */
export const publishedKmc = Uint8Array.from({ length: 16 }, (_, i) => 0x40 + i);

/** The issuer's PIN key: known to the test, which plays the issuer. */
export const issuerPinKey = Uint8Array.from(randomBytes(16));

export interface KeyFixture {
  readonly keys: SoftwareKeys;
  readonly sealKey: KeyHandle;
  readonly issuerCertificate: IssuerCertificate;
  readonly iccKeys: IccKeySource;
  close(): Promise<void>;
}

export async function openKeyFixture(): Promise<KeyFixture> {
  const folder = await mkdtemp(join(tmpdir(), 'cardwright-dataprep-'));
  const keys = await openSoftwareKeys({ folder, masterKey: randomBytes(32), environment: 'test' });
  for (const version of ['1', '2']) {
    await keys.ensure(`imk-ac/${version}`, { algorithm: 'TDES-2KEY', usage: 'IMK-AC' });
    await keys.ensure(`imk-smi/${version}`, { algorithm: 'TDES-2KEY', usage: 'IMK-SMI' });
    await keys.ensure(`imk-smc/${version}`, { algorithm: 'TDES-2KEY', usage: 'IMK-SMC' });
    await keys.ensure(`cvk/${version}`, { algorithm: 'TDES-2KEY', usage: 'CVK' });
    await keys.ensure(`pvk/${version}`, { algorithm: 'TDES-2KEY', usage: 'PVK' });
    await keys.ensure(`ca/${version}`, { algorithm: 'RSA', usage: 'CA', bits: 1408 });
    await keys.ensure(`issuer/${version}`, { algorithm: 'RSA', usage: 'ISSUER', bits: 1408 });
  }
  await keys.ensure('pin/ISS0000001/1', { algorithm: 'AES-128', usage: 'PIN', value: issuerPinKey });
  await keys.ensure('kmc-scp02/1', { algorithm: 'TDES-2KEY', usage: 'KMC', value: publishedKmc });
  await keys.ensure('kmc-scp03/1', { algorithm: 'AES-128', usage: 'KMC', value: publishedKmc });
  const sealKey = await keys.ensure('seal/1', { algorithm: 'AES-256', usage: 'SEAL' });
  return {
    keys,
    sealKey,
    issuerCertificate: await certificateFor(keys, ccd3desProfile),
    iccKeys: { take: (bits) => keys.generateRsa(bits, 3, 'ICC') },
    close: async () => {
      await keys.close();
      await rm(folder, { recursive: true });
    },
  };
}

/** The issuer certificate that cards of a product get. */
export async function certificateFor(
  keys: SoftwareKeys,
  { keys: { oda }, emv: { rid } }: ProductProfile,
): Promise<IssuerCertificate> {
  const set = oda['1'];
  if (set === undefined) throw new Error('the profile has no ODA key 1');
  return createIssuerCertificate(keys, set, { rid, issuerNumber: testPrefix });
}

/** Validates `data` and prepares its plan; both must succeed. */
export async function planFor(
  fixture: KeyFixture,
  data: unknown,
  profile: ProductProfile = ccd3desProfile,
  issuerCertificate: IssuerCertificate = fixture.issuerCertificate,
  permissions: IssuerPermissions = {},
): Promise<Plan> {
  const plaintext = new TextEncoder().encode(JSON.stringify(data));
  const result = validateCardData(plaintext, profile, today, [testPrefix], permissions);
  if (!result.ok) throw new Error(`refused: ${result.field}`);
  const selection = selectKeys(profile, {
    config: profile.config,
    odaKeyIndex: '01',
    derivationKeyIndex: 1,
    pvKeyIndex: '01',
  });
  if (!selection.ok) throw new Error(`unknown: ${selection.field}`);
  return preparePlan(fixture.keys, fixture.iccKeys, fixture.sealKey, {
    issuerId: 'ISS0000001',
    operationId: 'operation-1',
    cardId: 'card-1',
    cardDesign: { customLines: ['DEBIT'], memberId: 'M123456' },
    profile,
    card: result.card,
    selected: selection.keys,
    issuerCertificate,
  });
}
