/** A throw-away certificate authority for tests over real TLS sockets: an hour, in memory, loopback names only. */
import {
  type CertificateAuthority,
  createAuthority,
  type IssuedCertificate,
} from '@cardwright/runtime/certificate-authority';

export type TestAuthority = CertificateAuthority;
export type TestCertificate = IssuedCertificate;

const hourMs = 3_600_000;

/** A new authority; two of them do not trust each other's certificates. */
export function createTestAuthority(commonName = 'Test CA'): Promise<TestAuthority> {
  return createAuthority(commonName, hourMs);
}
