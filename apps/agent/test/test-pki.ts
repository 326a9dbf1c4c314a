/** A CA, a server certificate and a station certificate for one test, as files. */
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { createEcKeyPair, type EcKeyPair } from '@cardwright/runtime/certificate-authority';
import { createTestAuthority } from '@cardwright/testkit';

export interface CertificateFiles {
  readonly certFile: string;
  readonly keyFile: string;
}

export interface TestCa {
  readonly caFile: string;
  issue(name: string, use: 'server' | 'client'): Promise<CertificateFiles>;
}

/** Makes a CA whose files go to `folder` under `name`. */
export async function makeTestCa(folder: string, name = 'ca'): Promise<TestCa> {
  const authority = await createTestAuthority(name);
  const caFile = join(folder, `${name}.pem`);
  writeFileSync(caFile, authority.ca);
  return {
    caFile,
    issue: async (subject, use) => {
      const { cert, key } = await authority.issue(subject, use);
      const files = { certFile: join(folder, `${subject}.pem`), keyFile: join(folder, `${subject}.key`) };
      writeFileSync(files.certFile, cert);
      writeFileSync(files.keyFile, key);
      return files;
    },
  };
}

/** A P-256 pair for payloads: the private half as a file, the public half as a JWK. */
export async function makePayloadKey(folder: string): Promise<{ file: string; jwk: EcKeyPair['publicJwk'] }> {
  const { privatePem, publicJwk } = await createEcKeyPair();
  const file = join(folder, 'payload.key');
  writeFileSync(file, privatePem);
  return { file, jwk: publicJwk };
}
