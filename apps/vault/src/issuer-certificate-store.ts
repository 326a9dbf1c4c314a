/**
 * Issuer certificates: made by the test CA for each issuer key and PAN prefix, or imported from a payment system's
 * CA (`cardwright key certificate import`); kept as public files, loaded at every start.
 *
 * Invariants: a loaded certificate is recovered before it is used, under the CA key of this vault or, when it was
 * imported, under a CA key that the configuration names; a file that does not fit stops the start, because every card
 * made with it would be refused by terminals; an imported one that has expired is left out, which refuses the orders
 * that need it and no others.
 */
import { mkdir, open, readFile, rename } from 'node:fs/promises';
import { join } from 'node:path';
import {
  type CaPublicKey,
  createIssuerCertificate,
  isIssuerCertificateSound,
  IssuerCertificate,
  type ProductProfile,
  recheckIssuerCertificate,
} from '@cardwright/dataprep';
import { type KeyPort } from '@cardwright/keys';
import { check } from '@cardwright/protocol';

export interface IssuerCertificates {
  /** The certificate of an issuer key for a PAN: that of the longest prefix. Undefined when no prefix fits. */
  find(issuerKey: string, pan: string): IssuerCertificate | undefined;
  all(): readonly IssuerCertificate[];
}

async function writeAtomically(folder: string, name: string, text: string): Promise<void> {
  const aside = join(folder, `${name}.new`);
  const file = await open(aside, 'w', 0o600);
  try {
    await file.writeFile(text);
    await file.sync();
  } finally {
    await file.close();
  }
  await rename(aside, join(folder, name));
  const directory = await open(folder, 'r');
  try {
    await directory.sync();
  } finally {
    await directory.close();
  }
}

async function load(path: string): Promise<IssuerCertificate | undefined> {
  let text: string;
  try {
    text = await readFile(path, 'utf8');
  } catch (error) {
    if ((error as { code?: string }).code === 'ENOENT') return undefined;
    throw error;
  }
  const checked = check(IssuerCertificate, JSON.parse(text) as unknown);
  if (!checked.ok) throw new Error(`an issuer certificate file is wrong at ${checked.field}`);
  return checked.value;
}

/** Name of the file in the folder of certificates. */
export const issuerCertificateFile = (issuerKey: string, issuerNumber: string): string =>
  `${issuerKey.replaceAll('/', '~')}~${issuerNumber}.json`;

type OdaKeySet = ProductProfile['keys']['oda'][string];

/** CA keys of payment systems that the configuration trusts, and the month that is now. */
export interface SchemeTrust {
  readonly cas: readonly CaPublicKey[];
  /** YYMM */
  readonly todayYYMM: string;
  /** Told of each imported certificate that is left out. */
  readonly onExpired: (issuerKey: string, issuerNumber: string) => void;
}

/** Undefined when an imported certificate has expired. @throws Error when it does not fit */
async function soundCertificate(
  keys: KeyPort,
  oda: OdaKeySet,
  certificate: IssuerCertificate,
  { cas, todayYYMM, onExpired }: SchemeTrust,
): Promise<IssuerCertificate | undefined> {
  const { issuerNumber, rid, caIndex, caExpires } = certificate;
  if (caExpires === undefined) {
    if (await isIssuerCertificateSound(keys, oda, certificate)) return certificate;
    throw new Error(`the issuer certificate for prefix ${issuerNumber} does not fit the keys`);
  }
  const ca = cas.find((one) => one.rid === rid && one.index === caIndex);
  if (ca === undefined || caIndex !== oda.caIndex) {
    throw new Error(`the issuer certificate for prefix ${issuerNumber} is of a CA key that is not trusted`);
  }
  const refused = await recheckIssuerCertificate(keys, oda.issuerKey, certificate, { ca, todayYYMM });
  if (refused === undefined) return certificate;
  if (refused !== 'EXPIRED' && refused !== 'CA_EXPIRED') {
    throw new Error(`the imported issuer certificate for prefix ${issuerNumber} is refused: ${refused}`);
  }
  onExpired(oda.issuerKey, issuerNumber);
  return undefined;
}

/** Loads or makes the certificates of every issuer key of the products, for every PAN prefix. */
export async function openIssuerCertificates(
  keys: KeyPort,
  folder: string,
  products: readonly ProductProfile[],
  panPrefixes: readonly string[],
  trust: SchemeTrust,
): Promise<IssuerCertificates> {
  await mkdir(folder, { recursive: true, mode: 0o700 });
  const byKey = new Map<string, IssuerCertificate[]>();
  for (const { emv, keys: profileKeys } of products) {
    for (const oda of Object.values(profileKeys.oda)) {
      if (byKey.has(oda.issuerKey)) continue;
      const ofKey: IssuerCertificate[] = [];
      for (const issuerNumber of panPrefixes) {
        const name = issuerCertificateFile(oda.issuerKey, issuerNumber);
        let certificate = await load(join(folder, name));
        if (certificate === undefined) {
          certificate = await createIssuerCertificate(keys, oda, { rid: emv.rid, issuerNumber });
          await writeAtomically(folder, name, `${JSON.stringify(certificate, null, 2)}\n`);
        }
        const sound = await soundCertificate(keys, oda, certificate, trust);
        if (sound) ofKey.push(sound);
      }
      byKey.set(oda.issuerKey, ofKey);
    }
  }
  return {
    find: (issuerKey, pan) =>
      byKey
        .get(issuerKey)
        ?.filter((certificate) => pan.startsWith(certificate.issuerNumber))
        .sort((a, b) => b.issuerNumber.length - a.issuerNumber.length)[0],
    all: () => [...byKey.values()].flat(),
  };
}
