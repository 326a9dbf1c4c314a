/**
 * A small certificate authority: P-256, end-entity certificates for loopback servers and for clients. The sandbox
 * makes one per audience at first start; tests make throw-away ones. Keys are made here and live in memory; who
 * wants them on disk writes them.
 *
 * It is a sub-path of its own, so that no process loads the X.509 library that does not issue certificates.
 */
// The X.509 library needs the metadata shim before it is loaded.
import 'reflect-metadata';
import { randomBytes, type webcrypto } from 'node:crypto';
import * as x509 from '@peculiar/x509';

const algorithm = { name: 'ECDSA', namedCurve: 'P-256', hash: 'SHA-256' } as const;
/** Certificates start a little in the past, for clocks that are a little behind. */
const backdateMs = 5 * 60 * 1000;

/** PEM texts of a certificate and of its PKCS #8 key. */
export interface IssuedCertificate {
  readonly cert: string;
  readonly key: string;
  /** SHA-256 of the DER form, base64url: `x5t#S256`. */
  readonly thumbprint: string;
}

export interface CertificateAuthority {
  /** PEM of the authority's own certificate. */
  readonly ca: string;
  /** A fresh key with a certificate: for `localhost` and `127.0.0.1`, or for a client of that name. */
  issue(commonName: string, use: 'server' | 'client'): Promise<IssuedCertificate>;
}

/** A P-256 key pair: the private half as PKCS #8 PEM, the public half as JWK. */
export interface EcKeyPair {
  readonly privatePem: string;
  readonly publicJwk: { readonly kty: 'EC'; readonly crv: 'P-256'; readonly x: string; readonly y: string };
}

function makeKeys(): Promise<webcrypto.CryptoKeyPair> {
  return crypto.subtle.generateKey(algorithm, true, ['sign', 'verify']);
}

async function pemOf(key: webcrypto.CryptoKey): Promise<string> {
  return `${x509.PemConverter.encode(await crypto.subtle.exportKey('pkcs8', key), 'PRIVATE KEY')}\n`;
}

/** A bare key pair for signing or decryption. */
export async function createEcKeyPair(): Promise<EcKeyPair> {
  const keys = await makeKeys();
  const { x, y } = await crypto.subtle.exportKey('jwk', keys.publicKey);
  if (x === undefined || y === undefined) throw new Error('a P-256 key exports as a complete JWK');
  return { privatePem: await pemOf(keys.privateKey), publicJwk: { kty: 'EC', crv: 'P-256', x, y } };
}

/** A new authority that issues end-entity certificates only; two of them do not trust each other's. */
export async function createAuthority(commonName: string, validityMs: number): Promise<CertificateAuthority> {
  const keys = await makeKeys();
  const common = () => ({
    serialNumber: randomBytes(16).toString('hex'),
    signingAlgorithm: algorithm,
    notBefore: new Date(Date.now() - backdateMs),
    notAfter: new Date(Date.now() + validityMs),
  });
  const root = await x509.X509CertificateGenerator.createSelfSigned({
    ...common(),
    name: `CN=${commonName}`,
    keys,
    extensions: [
      new x509.BasicConstraintsExtension(true, 0, true),
      new x509.KeyUsagesExtension(x509.KeyUsageFlags.keyCertSign | x509.KeyUsageFlags.cRLSign, true),
      await x509.SubjectKeyIdentifierExtension.create(keys.publicKey),
    ],
  });
  const issue = async (name: string, use: 'server' | 'client'): Promise<IssuedCertificate> => {
    const own = await makeKeys();
    const usage = use === 'server' ? x509.ExtendedKeyUsage.serverAuth : x509.ExtendedKeyUsage.clientAuth;
    const loopbackNames = new x509.SubjectAlternativeNameExtension([
      { type: 'dns', value: 'localhost' },
      { type: 'ip', value: '127.0.0.1' },
    ]);
    const certificate = await x509.X509CertificateGenerator.create({
      ...common(),
      subject: `CN=${name}`,
      issuer: root.subject,
      publicKey: own.publicKey,
      signingKey: keys.privateKey,
      extensions: [
        new x509.BasicConstraintsExtension(false, undefined, true),
        new x509.KeyUsagesExtension(x509.KeyUsageFlags.digitalSignature, true),
        new x509.ExtendedKeyUsageExtension([usage], true),
        ...(use === 'server' ? [loopbackNames] : []),
      ],
    });
    const thumbprint = Buffer.from(await certificate.getThumbprint('SHA-256')).toString('base64url');
    return { cert: `${certificate.toString('pem')}\n`, key: await pemOf(own.privateKey), thumbprint };
  };
  return { ca: `${root.toString('pem')}\n`, issue };
}
