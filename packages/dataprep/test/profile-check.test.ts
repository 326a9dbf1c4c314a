/** What is wrong with a profile or product is told exactly: where, what, what is allowed, how to mend it. */
import assert from 'node:assert/strict';
import { cp, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, it } from 'node:test';
import fc from 'fast-check';
import {
  CatalogueError,
  checkProduct,
  checkProfile,
  explainFaults,
  packagedCatalogue,
  type ProfileFault,
  type ProfileFile,
  readCatalogue,
  readCatalogueFile,
} from '../src/index.ts';
import { type ExpectedFault, profileFaults } from './profile-fault-table.ts';

type Json = Record<string, unknown>;

async function packaged(path: string): Promise<Json> {
  return JSON.parse(await readFile(join(packagedCatalogue, path), 'utf8')) as Json;
}

/** Sets the member at a path such as `files[2].items[0]`; undefined removes it. */
function changed(value: Json, path: string, member: unknown): Json {
  const copy = structuredClone(value);
  const parts = path.replaceAll(/\[(\d+)\]/g, '.$1').split('.');
  const last = parts.pop() ?? '';
  let place: Json = copy;
  for (const part of parts) place = place[part] as Json;
  if (member === undefined) Reflect.deleteProperty(place, last);
  else place[last] = member;
  return copy;
}

const faultsOf = (verdict: { ok: boolean; faults?: readonly ProfileFault[] }): readonly ProfileFault[] =>
  verdict.ok ? [] : (verdict.faults ?? []);

const productFaults: readonly ExpectedFault[] = [
  [
    'an unknown profile',
    'profile',
    'mchip',
    'profile',
    /no sound profile/,
    /ccd-3des, vsdc-cvn18/,
    /name one/,
  ],
  [
    'a value that the profile needs',
    'values.5F28',
    undefined,
    'values.5F28',
    /is missing: profile ccd-3des leaves it/,
    /4 decimal digits/,
    /add values\.5F28/,
  ],
  [
    'a value that is not the product’s',
    'values.82',
    '3900',
    'values.82',
    /not left to products/,
    /50, 5F2D/,
    /fromProduct/,
  ],
  ['a country with letters', 'values.5F28', 'JP', 'values.5F28', /is "JP"/, /4 decimal digits/, /write/],
  [
    'SCP02 without a waiver',
    'secureChannels[1].waiver',
    undefined,
    'secureChannels[1].waiver',
    /is missing: SCP02/,
    /a sentence/,
    /drop SCP02/,
  ],
  [
    'discretionary data that do not fit',
    'card.chipDiscretionary[0]',
    '000000',
    'card.chipDiscretionary',
    /makes 11 digits/,
    /at most 10/,
    /shorten/,
  ],
  [
    'an index with leading zeros',
    'keys.cv.01',
    'cvk/1',
    'keys.cv.01',
    /name that is not allowed/,
    /cvKeyIndex/,
    /rename or remove/,
  ],
  [
    'a default key that is not there',
    'keys.defaultCvIndex',
    '2',
    'keys.defaultCvIndex',
    /which keys\.cv does not have/,
    /1/,
    /name one/,
  ],
  [
    'a key instead of its name',
    'keys.cv.1',
    '0123456789ABCDEF',
    'keys.cv.1',
    /is "/,
    /name of a key/,
    /write/,
  ],
];

function assertFault(
  faults: readonly ProfileFault[],
  [, , , path, wrong, allowed, fix]: ExpectedFault,
): void {
  const text = explainFaults({ file: 'file', faults });
  const fault = faults.find((one) => one.path === path && wrong.test(one.wrong));
  assert(fault, `no such fault at ${path}:\n${text}`);
  assert.match(fault.allowed, allowed);
  assert.match(fault.fix, fix);
}

describe('a profile file', () => {
  for (const name of ['ccd-3des', 'vsdc-cvn18']) {
    it(`${name} is sound`, async () => {
      assert.deepEqual(faultsOf(checkProfile(await packaged(`profiles/${name}.json`))), []);
    });
  }

  for (const entry of profileFaults) {
    const [what, place, member, path] = entry;
    it(`with ${what} is refused at ${path}, with what is allowed and how to mend it`, async () => {
      const profile = changed(await packaged('profiles/ccd-3des.json'), place, member);
      assertFault(faultsOf(checkProfile(profile)), entry);
    });
  }

  it('tells all faults at once', async () => {
    let profile = changed(await packaged('profiles/ccd-3des.json'), 'values.82', '39');
    profile = changed(profile, 'application.aid', 'A0000000031010');
    assert.deepEqual(
      faultsOf(checkProfile(profile)).map(({ path }) => path),
      ['values.82', 'application.aid'],
    );
  });

  it('may be any JSON at all: the verdict is soundness or faults with four texts each', async () => {
    const base = await packaged('profiles/ccd-3des.json');
    const places = [
      'values',
      'files',
      'files[0]',
      'cryptogram.iad',
      'instances',
      'instances.application[3]',
      'pin',
    ];
    fc.assert(
      fc.property(fc.constantFrom(...places, ''), fc.jsonValue(), (place, value) => {
        const faults = faultsOf(checkProfile(place === '' ? value : changed(base, place, value)));
        for (const { wrong, allowed, fix } of faults) assert(wrong !== '' && allowed !== '' && fix !== '');
      }),
    );
  });
});

describe('a product file', () => {
  for (const entry of productFaults) {
    const [what, place, member, path] = entry;
    it(`with ${what} is refused at ${path}, with what is allowed and how to mend it`, async () => {
      const profiles = readCatalogue(packagedCatalogue).profiles;
      const product = changed(await packaged('products/debit-std.json'), place, member);
      assertFault(faultsOf(checkProduct(product, profiles)), entry);
    });
  }
});

describe('a catalogue', () => {
  it('is refused as a whole, naming every file in error', async () => {
    const folder = await mkdtemp(join(tmpdir(), 'cardwright-catalogue-'));
    try {
      for (const part of ['profiles', 'products']) {
        await cp(join(packagedCatalogue, part), join(folder, part), { recursive: true });
      }
      assert.equal(readCatalogue(folder).products.length, 2);
      await writeFile(join(folder, 'profiles', 'broken.json'), '{ "profileId": ');
      const copy = (await packaged('products/debit-std.json')) as unknown as ProfileFile;
      await writeFile(join(folder, 'products', 'twice.json'), JSON.stringify(copy));
      assert.throws(
        () => readCatalogue(folder),
        (error) =>
          error instanceof CatalogueError &&
          /broken\.json.* is not JSON/.test(error.message) &&
          /twice\.json: productId is "DEBIT_STD", which another file has/.test(error.message),
      );
    } finally {
      await rm(folder, { recursive: true });
    }
  });

  it('a file that is not there is a fault like any other', () => {
    const read = readCatalogueFile(join(packagedCatalogue, 'profiles', 'none.json'));
    assert(!read.ok);
    assert.equal(read.fault.wrong, 'cannot be read (ENOENT)');
  });
});
