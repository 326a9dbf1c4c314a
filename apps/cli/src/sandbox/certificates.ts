/**
 * Certificates for the sandbox: one small CA per audience, so that a station's certificate opens nothing on the
 * issuer's listener and the other way round. P-256, one year, test use only.
 */
// The X.509 library needs the metadata shim before it is loaded.
import 'reflect-metadata';
import { randomBytes, type webcrypto } from 'node:crypto';
import { chmodSync, mkdirSync, writeFileSync } from 'node:fs';
import { dirname } from 'node:path';
import * as x509 from '@peculiar/x509';

const algorithm = { name: 'ECDSA', namedCurve: 'P-256', hash: 'SHA-256' } as const;
const validityMs = 365 * 24 * 3600 * 1000;
/** Certificates start a little in the past, for clocks that are a little behind. */
const backdateMs = 5 * 60 * 1000;

export interface KeyPairFiles {
  readonly certFile: string;
  readonly keyFile: string;
}

export interface Authority {
  readonly certificate: x509.X509Certificate;
  readonly keys: webcrypto.CryptoKeyPair;
}

async function makeKeys(): Promise<webcrypto.CryptoKeyPair> {
  return crypto.subtle.generateKey(algorithm, true, ['sign', 'verify']);
}

/** Writes a file only its owner can read. */
export function writeSecret(file: string, content: string | Uint8Array): void {
  mkdirSync(dirname(file), { recursive: true, mode: 0o700 });
  writeFileSync(file, content, { mode: 0o600 });
  chmodSync(file, 0o600);
}

export function writePublic(file: string, content: string): void {
  mkdirSync(dirname(file), { recursive: true, mode: 0o700 });
  writeFileSync(file, content);
}

/** PKCS#8 PEM of a private key. */
async function privatePem(key: webcrypto.CryptoKey): Promise<string> {
  const der = await crypto.subtle.exportKey('pkcs8', key);
  return x509.PemConverter.encode(der, 'PRIVATE KEY') + '\n';
}

/** A self-signed CA that can issue end-entity certificates only. */
export async function makeAuthority(commonName: string): Promise<Authority> {
  const keys = await makeKeys();
  const now = Date.now();
  const certificate = await x509.X509CertificateGenerator.createSelfSigned({
    serialNumber: randomBytes(16).toString('hex'),
    name: `CN=${commonName}`,
    keys,
    signingAlgorithm: algorithm,
    notBefore: new Date(now - backdateMs),
    notAfter: new Date(now + validityMs),
    extensions: [
      new x509.BasicConstraintsExtension(true, 0, true),
      new x509.KeyUsagesExtension(x509.KeyUsageFlags.keyCertSign | x509.KeyUsageFlags.cRLSign, true),
      await x509.SubjectKeyIdentifierExtension.create(keys.publicKey),
    ],
  });
  return { certificate, keys };
}

export interface IssueOptions {
  readonly commonName: string;
  readonly use: 'server' | 'client';
}

/** Issues a certificate with a fresh key and writes both files. Returns the SHA-256 thumbprint, base64url. */
export async function issueCertificate(
  authority: Authority,
  options: IssueOptions,
  files: KeyPairFiles,
): Promise<string> {
  const keys = await makeKeys();
  const now = Date.now();
  const usage =
    options.use === 'server' ? x509.ExtendedKeyUsage.serverAuth : x509.ExtendedKeyUsage.clientAuth;
  const certificate = await x509.X509CertificateGenerator.create({
    serialNumber: randomBytes(16).toString('hex'),
    subject: `CN=${options.commonName}`,
    issuer: authority.certificate.subject,
    publicKey: keys.publicKey,
    signingKey: authority.keys.privateKey,
    signingAlgorithm: algorithm,
    notBefore: new Date(now - backdateMs),
    notAfter: new Date(now + validityMs),
    extensions: [
      new x509.BasicConstraintsExtension(false, undefined, true),
      new x509.KeyUsagesExtension(x509.KeyUsageFlags.digitalSignature, true),
      new x509.ExtendedKeyUsageExtension([usage], true),
      ...(options.use === 'server'
        ? [
            new x509.SubjectAlternativeNameExtension([
              { type: 'dns', value: 'localhost' },
              { type: 'ip', value: '127.0.0.1' },
            ]),
          ]
        : []),
    ],
  });
  writePublic(files.certFile, certificate.toString('pem') + '\n');
  writeSecret(files.keyFile, await privatePem(keys.privateKey));
  return Buffer.from(await certificate.getThumbprint('SHA-256')).toString('base64url');
}

/** A bare P-256 key pair for signing or decryption: writes the private half, returns the public JWK. */
export async function makeEcKey(keyFile: string): Promise<webcrypto.JsonWebKey> {
  const keys = await makeKeys();
  writeSecret(keyFile, await privatePem(keys.privateKey));
  const { kty, crv, x, y } = await crypto.subtle.exportKey('jwk', keys.publicKey);
  if (kty === undefined || crv === undefined || x === undefined || y === undefined) {
    throw new Error('a P-256 key exports as a complete JWK');
  }
  return { kty, crv, x, y };
}
