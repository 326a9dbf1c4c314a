/**
 * A product for a profile that is looked at alone: what every profile leaves to its products, filled with samples.
 *
 * Invariant: sample values are of the right type and mean nothing.
 */
import { type ProductFile, type ProfileFile, readTagValue } from '@cardwright/dataprep';

const samples: Readonly<Record<string, string>> = {
  '50': 'SAMPLE',
  '5F2D': 'en',
  '5F28': '0392',
  '9F42': '0392',
  '9F44': '00',
};
const maxSampleBytes = 64;

/** A value that the tag may hold. */
function sampleValue(tag: string): string {
  const known = samples[tag];
  if (known !== undefined) return known;
  for (let length = 1; length <= maxSampleBytes; length++) {
    for (const value of ['00'.repeat(length), 'A'.repeat(length), '9F3704']) {
      if (readTagValue(tag, value) !== undefined) return value;
    }
  }
  throw new Error(`no sample value for tag ${tag}`);
}

/** The product file that the preview makes its card with. */
export function sampleProduct(profile: ProfileFile): ProductFile {
  return {
    formatVersion: 1,
    productId: 'SAMPLE',
    config: 'SAMPLE_01',
    profile: profile.profileId,
    card: {
      expiryOrder: 'YYMM',
      panLength: { min: 12, max: 19 },
      serviceCode: '201',
      chipDiscretionary: ['00000', 'icvv', '00'],
      stripe: { track1: '000000|cvv|000000', track2: '0000|cvv|000' },
    },
    values: Object.fromEntries(profile.fromProduct.map((tag) => [tag, sampleValue(tag)])),
    keys: {
      oda: { '1': { caKey: 'ca/1', caIndex: '01', issuerKey: 'issuer/1' } },
      derivation: { '1': { ac: 'imk-ac/1', smi: 'imk-smi/1', smc: 'imk-smc/1', dki: '01' } },
      cv: { '1': 'cvk/1' },
      pv: { '1': null },
      defaultCvIndex: '1',
    },
    secureChannels: [{ protocol: 'SCP03', masterKey: 'kmc-scp03/1' }],
    print: { design: 'aurora', printsName: true, pan: 'full', printsSecurityCode: true },
    stock: { blank: 'sample', ribbon: 'RC_YMCKO' },
    policies: { remake: { maxRemakes: 1, remakeAfterTerminate: false } },
  };
}
