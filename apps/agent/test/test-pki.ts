/** A CA, a server certificate and a station certificate for one test, as files. */
// The X.509 library needs the metadata shim before it is loaded.
import 'reflect-metadata';
import { randomBytes } from 'node:crypto';
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import * as x509 from '@peculiar/x509';

const algorithm = { name: 'ECDSA', namedCurve: 'P-256', hash: 'SHA-256' } as const;
const dayMs = 86_400_000;

export interface CertificateFiles {
  readonly certFile: string;
  readonly keyFile: string;
}

export interface TestCa {
  readonly caFile: string;
  issue(name: string, use: 'server' | 'client'): Promise<CertificateFiles>;
}

const makeKeys = () => crypto.subtle.generateKey(algorithm, true, ['sign', 'verify']);

/** Makes a CA whose files go to `folder` under `name`. */
export async function makeTestCa(folder: string, name = 'ca'): Promise<TestCa> {
  const keys = await makeKeys();
  const validity = { notBefore: new Date(Date.now() - dayMs), notAfter: new Date(Date.now() + dayMs) };
  const common = { signingAlgorithm: algorithm, ...validity };
  const ca = await x509.X509CertificateGenerator.createSelfSigned({
    ...common,
    serialNumber: randomBytes(8).toString('hex'),
    name: `CN=${name}`,
    keys,
    extensions: [new x509.BasicConstraintsExtension(true, 0, true)],
  });
  const caFile = join(folder, `${name}.pem`);
  writeFileSync(caFile, ca.toString('pem'));
  return {
    caFile,
    issue: async (subject, use) => {
      const own = await makeKeys();
      const usage = use === 'server' ? x509.ExtendedKeyUsage.serverAuth : x509.ExtendedKeyUsage.clientAuth;
      const certificate = await x509.X509CertificateGenerator.create({
        ...common,
        serialNumber: randomBytes(8).toString('hex'),
        subject: `CN=${subject}`,
        issuer: ca.subject,
        publicKey: own.publicKey,
        signingKey: keys.privateKey,
        extensions: [
          new x509.ExtendedKeyUsageExtension([usage], true),
          new x509.SubjectAlternativeNameExtension([{ type: 'ip', value: '127.0.0.1' }]),
        ],
      });
      const files = { certFile: join(folder, `${subject}.pem`), keyFile: join(folder, `${subject}.key`) };
      writeFileSync(files.certFile, certificate.toString('pem'));
      writeFileSync(files.keyFile, await privatePem(own.privateKey));
      return files;
    },
  };
}

async function privatePem(key: CryptoKey): Promise<string> {
  return x509.PemConverter.encode(await crypto.subtle.exportKey('pkcs8', key), 'PRIVATE KEY');
}

/** A P-256 pair for payloads: the private half as a file, the public half as a JWK. */
export async function makePayloadKey(
  folder: string,
): Promise<{ file: string; jwk: { kty: 'EC'; crv: 'P-256'; x: string; y: string } }> {
  const keys = await makeKeys();
  const file = join(folder, 'payload.key');
  writeFileSync(file, await privatePem(keys.privateKey));
  const { x = '', y = '' } = await crypto.subtle.exportKey('jwk', keys.publicKey);
  return { file, jwk: { kty: 'EC', crv: 'P-256', x, y } };
}
