/** The published vectors of this folder, typed. */
import { readFileSync } from 'node:fs';

interface UdkOf {
  readonly option: 'A' | 'B';
  readonly imk: string;
  readonly pan: string;
  readonly psn: string;
}

interface SymmetricKeyVectors {
  readonly kcv: readonly { alg: string; key: string; kcv: string }[];
  readonly udk: readonly (UdkOf & { udk?: string; udkKcv?: string })[];
  readonly cvv: readonly { cvk: string; pan: string; expiryYYMM: string; service: string; cvv: string }[];
  readonly applicationCryptogram: readonly {
    name: string;
    udkOf?: UdkOf;
    r?: string | null;
    padding: 1 | 2;
    data: string;
    ac: string;
  }[];
}

export const vectors = JSON.parse(
  readFileSync(new URL('vectors/symmetric-key-vectors.json', import.meta.url), 'utf8'),
) as SymmetricKeyVectors;
