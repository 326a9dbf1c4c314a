/** `cardwright key certificate request | import`: issuer keys that a payment system's CA certifies. */
import { closeSync, existsSync, fsyncSync, mkdirSync, openSync, renameSync, writeSync } from 'node:fs';
import { join } from 'node:path';
import {
  CaPublicKey,
  createIssuerKeyRequest,
  importIssuerCertificate,
  type IssuerCertificate,
  type IssuerCertificateRefusal,
  IssuerCertificateResponse,
  IssuerKeyRequest,
} from '@cardwright/dataprep';
import { check } from '@cardwright/protocol';
import { type Static, type TSchema } from 'typebox';
import { KeyCommandFault, readJsonOrFault, type VaultPlace, withVaultKeys } from '../keys/key-vault.ts';

function readChecked<S extends TSchema>(schema: S, file: string): Static<S> {
  const checked = check(schema, readJsonOrFault(file));
  if (checked.ok) return checked.value;
  throw new KeyCommandFault(`${file}: ${checked.field || 'the file'} is ${checked.problem}`);
}

/** Trust stands in the vault's configuration, so that a certificate never brings its own. */
function trustedCa(place: VaultPlace, rid: string, caIndex: string): CaPublicKey {
  const cas = place.schemeCaFiles.map((file) => readChecked(CaPublicKey, file));
  const ca = cas.find((one) => one.rid === rid && one.index === caIndex);
  if (ca) return ca;
  throw new KeyCommandFault(`${place.configFile} names no CA key ${rid} ${caIndex} in schemeCas`);
}

export interface RequestCertificateOptions {
  readonly vault?: string;
  readonly rid: string;
  readonly caIndex: string;
  readonly issuerNumber: string;
  readonly expires: string;
}

/** Prints the request for a certificate of an issuer key. */
export async function requestCertificateCommand(
  name: string,
  { vault, ...wanted }: RequestCertificateOptions,
): Promise<void> {
  await withVaultKeys(vault, async (keys, place) => {
    const ca = trustedCa(place, wanted.rid, wanted.caIndex);
    if (wanted.expires > ca.expires) throw new KeyCommandFault(`the CA key ends with ${ca.expires} (YYMM)`);
    const request = await createIssuerKeyRequest(keys, name, wanted);
    process.stdout.write(`${JSON.stringify(request, null, 2)}\n`);
  });
}

const explanations: Readonly<Record<IssuerCertificateRefusal, string>> = {
  CA_KEY_HASH: 'the CA key is not the one that its check sum is of',
  CA_EXPIRED: 'the CA key has expired',
  OTHER_CA: 'request, answer and CA key are not of one CA',
  OTHER_REQUEST: 'the answer is to another request',
  LENGTH: 'the certificate has not the length of the CA key',
  TRAILER: 'the certificate was not signed by this CA key',
  HEADER: 'the certificate was not signed by this CA key',
  FORMAT: 'it is no issuer certificate',
  HASH: 'the certificate, its remainder or its exponent was changed',
  ALGORITHM: 'an algorithm that EMV does not have',
  KEY: 'the lengths of key and certificate do not fit',
  EXPIRED: 'the certificate has expired',
  PADDING: 'the filling is not what EMV asks for',
  ISSUER_NUMBER: 'it is for another issuer number',
  OUTLIVES_CA: 'it would outlive the CA key',
  OTHER_KEY: 'it is for another issuer key',
};

function writeCertificate(file: string, certificate: IssuerCertificate): void {
  const aside = `${file}.new`;
  const open = openSync(aside, 'w', 0o600);
  try {
    writeSync(open, `${JSON.stringify(certificate, null, 2)}\n`);
    fsyncSync(open);
  } finally {
    closeSync(open);
  }
  renameSync(aside, file);
}

export interface ImportCertificateOptions {
  readonly vault?: string;
  readonly name: string;
  readonly request: string;
  readonly replace?: boolean;
}

/** Judges what the CA sent back and, when it is sound, puts it where the vault looks for it. */
export async function importCertificateCommand(
  responseFile: string,
  { vault, name, request: requestFile, replace }: ImportCertificateOptions,
): Promise<void> {
  await withVaultKeys(vault, async (keys, place) => {
    const request = readChecked(IssuerKeyRequest, requestFile);
    const response = readChecked(IssuerCertificateResponse, responseFile);
    const ca = trustedCa(place, request.rid, request.caIndex);
    const todayYYMM = new Date().toISOString().slice(2, 7).replace('-', '');
    const imported = await importIssuerCertificate(keys, name, request, response, { ca, todayYYMM });
    if (!imported.ok) {
      throw new KeyCommandFault(`refused (${imported.reason}): ${explanations[imported.reason]}`);
    }
    const folder = join(place.dataFolder, 'certificates');
    mkdirSync(folder, { recursive: true, mode: 0o700 });
    const { issuerNumber, expires } = imported.certificate;
    const file = join(folder, `${name.replaceAll('/', '~')}~${issuerNumber}.json`);
    if (existsSync(file) && replace !== true) {
      throw new KeyCommandFault(`${name} has a certificate for ${issuerNumber}; --replace replaces it`);
    }
    writeCertificate(file, imported.certificate);
    process.stdout.write(`Imported the certificate of ${name} for ${issuerNumber}, valid until ${expires}\n`);
  });
}
