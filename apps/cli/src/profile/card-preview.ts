/**
 * Prepares one card of a product with throw-away keys and test data, to show what a profile leads to.
 *
 * Invariants: the keys exist for one preview, in a folder that is removed; the card number is a test number; what is
 * shown comes from the plan that real data preparation makes, not from the profile's text.
 */
import { randomBytes } from 'node:crypto';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import {
  createIssuerCertificate,
  pinKeyName,
  type Plan,
  preparePlan,
  type ProductProfile,
  selectKeys,
  validateCardData,
} from '@cardwright/dataprep';
import { luhnCheckDigit } from '@cardwright/domain';
import { encipherPinBlockFormat4, hex } from '@cardwright/emv';
import { openSoftwareKeys, type SoftwareKeys } from '@cardwright/keys';
import { sandboxFacts } from '../sandbox/layout.ts';

const issuerKeyBits = 1408;
const pinKeyIndex = '1';

function firstOf<T>(keys: Readonly<Record<string, T>>): readonly [index: string, value: T] {
  const [first] = Object.entries(keys);
  if (first === undefined) throw new Error('a checked product has a key for each index');
  return first;
}

async function makeKeys(keys: SoftwareKeys, product: ProductProfile): Promise<void> {
  const [, oda] = firstOf(product.keys.oda);
  const [, derivation] = firstOf(product.keys.derivation);
  await keys.ensure(oda.caKey, { algorithm: 'RSA', usage: 'CA', bits: issuerKeyBits });
  await keys.ensure(oda.issuerKey, { algorithm: 'RSA', usage: 'ISSUER', bits: issuerKeyBits });
  await keys.ensure(derivation.ac, { algorithm: 'TDES-2KEY', usage: 'IMK-AC' });
  await keys.ensure(derivation.smi, { algorithm: 'TDES-2KEY', usage: 'IMK-SMI' });
  await keys.ensure(derivation.smc, { algorithm: 'TDES-2KEY', usage: 'IMK-SMC' });
  for (const name of Object.values(product.keys.cv)) {
    await keys.ensure(name, { algorithm: 'TDES-2KEY', usage: 'CVK' });
  }
  for (const name of Object.values(product.keys.pv)) {
    if (name !== null) await keys.ensure(name, { algorithm: 'TDES-2KEY', usage: 'PVK' });
  }
}

const samplePin = Uint8Array.of(1, 2, 3, 4);

/** Test card data that the product accepts; the PIN block is under `pinKey`. */
function testCardData(product: ProductProfile, now: Date, pinKey: Uint8Array): Uint8Array {
  const { panLength, expiryOrder, pin, stripe } = product;
  const usesPvv = `${stripe?.track1 ?? ''}|${stripe?.track2 ?? ''}`.split('|').includes('pvv');
  const length = Math.min(Math.max(16, panLength.min), panLength.max);
  const body = sandboxFacts.testPanPrefix.padEnd(length - 1, '0');
  const year = String((now.getUTCFullYear() + 4) % 100).padStart(2, '0');
  const pan = body + luhnCheckDigit(body);
  const pinBlock = {
    format: 'ISO9564-4',
    value: hex(encipherPinBlockFormat4(pinKey, samplePin, pan, randomBytes(8))),
    keyIndex: pinKeyIndex,
  };
  const data = {
    pan,
    exp: expiryOrder === 'YYMM' ? `${year}12` : `12${year}`,
    name: 'A SAMPLE',
    ...(product.print.computedSecurityCode === undefined && { cvv2: '123' }),
    ...((pin !== undefined || usesPvv) && { pinBlock }),
  };
  return new TextEncoder().encode(JSON.stringify(data));
}

/**
 * The plan of one test card.
 * @throws DataPreparationError when the product's data do not fit a card, e.g. RECORD_TOO_LONG
 */
export async function previewPlan(product: ProductProfile, now: Date): Promise<Plan> {
  const folder = await mkdtemp(join(tmpdir(), 'cardwright-preview-'));
  const keys = await openSoftwareKeys({ folder, masterKey: randomBytes(32), environment: 'test' });
  try {
    await makeKeys(keys, product);
    const pinKey = randomBytes(16);
    const pinKeyId = pinKeyName(sandboxFacts.issuerId, pinKeyIndex);
    await keys.ensure(pinKeyId, { algorithm: 'AES-128', usage: 'PIN', value: pinKey });
    const sealKey = await keys.ensure('seal/1', { algorithm: 'AES-256', usage: 'SEAL' });
    const [odaKeyIndex, oda] = firstOf(product.keys.oda);
    const [derivationKeyIndex] = firstOf(product.keys.derivation);
    const [pvKeyIndex] = Object.entries(product.keys.pv).find(([, name]) => name !== null) ?? [];
    const selection = selectKeys(product, {
      config: product.config,
      odaKeyIndex,
      derivationKeyIndex,
      ...(pvKeyIndex !== undefined && { pvKeyIndex }),
    });
    const data = testCardData(product, now, pinKey);
    const card = validateCardData(data, product, now, [sandboxFacts.testPanPrefix]);
    if (!selection.ok) throw new Error(`the preview lacks ${selection.field}`);
    if (!card.ok) throw new Error(`the product refuses the preview's own ${card.field}`);
    const iccKeys = { take: (bits: number) => keys.generateRsa(bits, 3, 'ICC') };
    return await preparePlan(keys, iccKeys, sealKey, {
      issuerId: sandboxFacts.issuerId,
      operationId: 'preview',
      cardId: 'preview',
      profile: product,
      card: card.card,
      selected: selection.keys,
      issuerCertificate: await createIssuerCertificate(keys, oda, {
        rid: product.emv.rid,
        issuerNumber: sandboxFacts.testPanPrefix,
      }),
    });
  } finally {
    await keys.close();
    await rm(folder, { recursive: true, force: true });
  }
}
