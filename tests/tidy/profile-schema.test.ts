/** The JSON schemas beside the profiles say what the types say. */
import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { packagedCatalogue } from '@cardwright/dataprep';
import { profileSchemas } from '../../tools/profile-schema.ts';

test('the JSON schemas beside profiles and products are what the types say', async () => {
  for (const [path, text] of await profileSchemas()) {
    assert.equal(
      readFileSync(join(packagedCatalogue, path), 'utf8'),
      text,
      `run node tools/profile-schema.ts (${path})`,
    );
  }
});
