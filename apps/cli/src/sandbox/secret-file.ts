/** Files of the sandbox: secrets only their owner can read, everything below folders only their owner can enter. */
import { chmodSync, mkdirSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { type CertificateAuthority } from '@cardwright/runtime/certificate-authority';

/** Writes a file that only its owner can read. */
export function writeSecret(file: string, content: string | Uint8Array): void {
  mkdirSync(dirname(file), { recursive: true, mode: 0o700 });
  writeFileSync(file, content, { mode: 0o600 });
  chmodSync(file, 0o600);
}

export function writePublic(file: string, content: string): void {
  mkdirSync(dirname(file), { recursive: true, mode: 0o700 });
  writeFileSync(file, content);
}

/** Issues a certificate with a fresh key and writes `<name>.pem` and `<name>.key`. Returns its thumbprint. */
export async function issueInto(
  folder: string,
  name: string,
  authority: CertificateAuthority,
  commonName: string,
  use: 'server' | 'client',
): Promise<string> {
  const { cert, key, thumbprint } = await authority.issue(commonName, use);
  writePublic(join(folder, `${name}.pem`), cert);
  writeSecret(join(folder, `${name}.key`), key);
  return thumbprint;
}
