/** The published key blocks, derivations and check values, typed. */
import { readFileSync } from 'node:fs';

interface BlockVector {
  readonly ref: string;
  readonly kbpk: string;
  readonly block: string;
  readonly key: string;
  readonly kcv: string;
}

export const keyBlockVectors = JSON.parse(
  readFileSync(new URL('vectors/key-block-vectors.json', import.meta.url), 'utf8'),
) as {
  readonly tr31: readonly BlockVector[];
  readonly tr31Derivation: readonly { method: string; kbpk: string; kbek: string; kbak: string }[];
  readonly kcv: readonly { alg: string; key: string; kcv: string }[];
};
