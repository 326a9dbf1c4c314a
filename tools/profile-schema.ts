/**
 * Writes the JSON schemas that profile and product files point at, so that an editor explains them while they are
 * written. `node tools/profile-schema.ts`; a test keeps files and types equal.
 */
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { packagedCatalogue, ProductFile, ProfileFile } from '@cardwright/dataprep';
import { format } from 'prettier';

/** Path below the catalogue to schema text. */
export async function profileSchemas(): Promise<ReadonlyMap<string, string>> {
  const text = (schema: object): Promise<string> =>
    format(JSON.stringify({ $schema: 'https://json-schema.org/draft/2020-12/schema', ...schema }), {
      parser: 'json',
      printWidth: 110,
    });
  return new Map([
    ['profiles/profile.schema.json', await text(ProfileFile)],
    ['products/product.schema.json', await text(ProductFile)],
  ]);
}

if (import.meta.main) {
  for (const [path, text] of await profileSchemas()) writeFileSync(join(packagedCatalogue, path), text);
}
