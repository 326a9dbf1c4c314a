/**
 * The keys that products name: which there must be, and of what kind, by the place that each is named in. Pure.
 *
 * Invariant: a key that no product names is not asked for; one that several products name is named once.
 */
import { type ProductProfile } from '@cardwright/dataprep';
import { type KeySpec } from '@cardwright/keys';

type OdaKeySet = ProductProfile['keys']['oda'][string];
export type NamedKey = readonly [name: string, spec: KeySpec];

/** GlobalPlatform's published default card key, which simulated blanks carry. */
const publishedCardKey = Uint8Array.from({ length: 16 }, (_, i) => 0x40 + i);

const tdes = (name: string, usage: 'IMK-AC' | 'IMK-SMI' | 'IMK-SMC' | 'CVK' | 'PVK'): NamedKey => [
  name,
  { algorithm: 'TDES-2KEY', usage },
];
const rsa = (name: string, usage: 'CA' | 'ISSUER'): NamedKey => [
  name,
  { algorithm: 'RSA', usage, bits: 1408, exponent: 3 },
];

function keysOf({ keys, secureChannels }: ProductProfile): NamedKey[] {
  return [
    ...Object.values(keys.derivation).flatMap(({ ac, smi, smc }) => [
      tdes(ac, 'IMK-AC'),
      tdes(smi, 'IMK-SMI'),
      tdes(smc, 'IMK-SMC'),
    ]),
    ...Object.values(keys.cv).map((name) => tdes(name, 'CVK')),
    ...Object.values(keys.pv).flatMap((name) => (name === null ? [] : [tdes(name, 'PVK')])),
    ...secureChannels.map(({ protocol, masterKey }): NamedKey => [
      masterKey,
      { algorithm: protocol === 'SCP02' ? 'TDES-2KEY' : 'AES-128', usage: 'KMC', value: publishedCardKey },
    ]),
    ...Object.values(keys.oda).flatMap(({ issuerKey, caKey }) => [
      rsa(issuerKey, 'ISSUER'),
      rsa(caKey, 'CA'),
    ]),
  ];
}

/** Every key, with the values of card keys that are published: for sandboxes. */
export function productKeys(products: readonly ProductProfile[]): readonly NamedKey[] {
  return [...new Map(products.flatMap(keysOf)).entries()];
}

/** Key pairs of offline data authentication that the products name. */
function odaKeySets(products: readonly ProductProfile[]): readonly OdaKeySet[] {
  return products.flatMap(({ keys }) => Object.values(keys.oda));
}

/**
 * What a vault in production lacks. A CA key is needed only where an issuer key has no certificate for a prefix.
 * @param hasCertificate whether an imported certificate is there
 */
export function missingProductKeys(
  products: readonly ProductProfile[],
  held: ReadonlySet<string>,
  panPrefixes: readonly string[],
  hasCertificate: (issuerKey: string, panPrefix: string) => boolean,
): readonly string[] {
  const oda = odaKeySets(products);
  const certified = oda.filter(({ issuerKey }) =>
    panPrefixes.every((prefix) => hasCertificate(issuerKey, prefix)),
  );
  const certifying = new Set(oda.filter((set) => !certified.includes(set)).map(({ caKey }) => caKey));
  const caKeys = new Set(oda.map(({ caKey }) => caKey));
  return productKeys(products)
    .map(([name]) => name)
    .filter((name) => !held.has(name) && (!caKeys.has(name) || certifying.has(name)));
}
