/** The port's card verification values against published vectors: the iCVV in tag 57 is one of them. */
import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { mkdtemp, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { it } from 'node:test';
import { unhex } from '@cardwright/emv';
import { openSoftwareKeys } from '@cardwright/keys';

interface Vector {
  readonly cvk: string;
  readonly pan: string;
  readonly expiryYYMM: string;
  readonly service: string;
  readonly cvv: string;
}

it('every published CVV, CVV2 and iCVV comes out of the key port', async () => {
  const folder = await mkdtemp(join(tmpdir(), 'cardwright-cvv-'));
  const keys = await openSoftwareKeys({ folder, masterKey: randomBytes(32), environment: 'test' });
  const text = await readFile(join(import.meta.dirname, 'vectors/cvv.json'), 'utf8');
  const vectors = JSON.parse(text) as Vector[];
  assert(vectors.length >= 4);
  for (const [i, { cvk, pan, expiryYYMM, service, cvv }] of vectors.entries()) {
    const key = await keys.ensure(`cvk/${i}`, { algorithm: 'TDES-2KEY', usage: 'CVK', value: unhex(cvk) });
    assert.equal(await keys.cvv(key, pan, expiryYYMM, service), cvv);
  }
  await keys.close();
  await rm(folder, { recursive: true });
});
