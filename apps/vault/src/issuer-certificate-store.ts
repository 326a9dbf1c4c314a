/**
 * Issuer certificates: made once for each issuer key and PAN prefix, kept as public files, loaded at every start.
 *
 * Invariant: a loaded certificate is recovered under the CA key of this vault before it is used; a file that does
 * not fit the keys stops the start, because every card made with it would be refused by terminals.
 */
import { mkdir, open, readFile, rename } from 'node:fs/promises';
import { join } from 'node:path';
import {
  createIssuerCertificate,
  isIssuerCertificateSound,
  IssuerCertificate,
  type ProductProfile,
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

/** Loads or makes the certificates of every issuer key of the products, for every PAN prefix. */
export async function openIssuerCertificates(
  keys: KeyPort,
  folder: string,
  products: readonly ProductProfile[],
  panPrefixes: readonly string[],
): Promise<IssuerCertificates> {
  await mkdir(folder, { recursive: true, mode: 0o700 });
  const byKey = new Map<string, IssuerCertificate[]>();
  for (const { emv, keys: profileKeys } of products) {
    for (const oda of Object.values(profileKeys.oda)) {
      if (byKey.has(oda.issuerKey)) continue;
      const ofKey: IssuerCertificate[] = [];
      for (const issuerNumber of panPrefixes) {
        const name = `${oda.issuerKey.replaceAll('/', '~')}~${issuerNumber}.json`;
        let certificate = await load(join(folder, name));
        if (certificate === undefined) {
          certificate = await createIssuerCertificate(keys, oda, { rid: emv.rid, issuerNumber });
          await writeAtomically(folder, name, `${JSON.stringify(certificate, null, 2)}\n`);
        }
        if (!(await isIssuerCertificateSound(keys, oda, certificate))) {
          throw new Error(`the issuer certificate for prefix ${issuerNumber} does not fit the keys`);
        }
        ofKey.push(certificate);
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
