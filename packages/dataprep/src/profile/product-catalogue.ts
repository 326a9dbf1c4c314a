/**
 * Reads a catalogue folder (`profiles/*.json`, `products/*.json`) and resolves every product to what data preparation
 * works with.
 *
 * Invariants: a catalogue is sound as a whole or it is refused with every fault; a resolved product is the same
 * whatever folder it came from; nothing here is read again later.
 */
import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { type ProductProfile } from '../product-profile.ts';
import { checkProduct } from './product-check.ts';
import { resolveProduct } from './product-resolution.ts';
import { checkProfile } from './profile-check.ts';
import { type ProfileFile } from './profile-file.ts';
import { type ProfileFault } from './structure-check.ts';

/** The profiles and products that come with this package. */
export const packagedCatalogue = fileURLToPath(new URL('../../', import.meta.url));

/** One file that cannot be used, with everything that is wrong in it. */
export interface FaultyFile {
  readonly file: string;
  readonly faults: readonly ProfileFault[];
}

/** Raised for a catalogue with faults; the message lists all of them. */
export class CatalogueError extends Error {
  override readonly name = 'CatalogueError';
  readonly code = 'CATALOGUE_INVALID';
  readonly files: readonly FaultyFile[];

  constructor(files: readonly FaultyFile[]) {
    super(`The catalogue cannot be used:\n${files.map(explainFaults).join('\n')}`);
    this.files = files;
  }
}

/** A file's faults as text, four facts each. */
export function explainFaults({ file, faults }: FaultyFile): string {
  return faults
    .map(
      ({ path, wrong, allowed, fix }) =>
        `${file}: ${path === '' ? '(the file)' : path} ${wrong}\n  allowed: ${allowed}\n  fix: ${fix}`,
    )
    .join('\n');
}

/** Parses a JSON file; what cannot be read or parsed is a fault like any other. */
export function readCatalogueFile(
  file: string,
): { readonly ok: true; readonly value: unknown } | { readonly ok: false; readonly fault: ProfileFault } {
  const refused = (wrong: string, fix: string) => ({
    ok: false as const,
    fault: { path: '', wrong, allowed: 'one JSON object in UTF-8', fix },
  });
  let text: string;
  try {
    text = readFileSync(file, 'utf8');
  } catch (error) {
    return refused(`cannot be read (${(error as { code?: string }).code ?? 'unknown'})`, 'check the path');
  }
  try {
    return { ok: true, value: JSON.parse(text) as unknown };
  } catch (error) {
    return refused(
      `is not JSON (${error instanceof Error ? error.message : 'unreadable'})`,
      'mend it at that place',
    );
  }
}

function jsonFiles(folder: string): string[] {
  return readdirSync(folder)
    .filter((name) => name.endsWith('.json') && !name.endsWith('.schema.json'))
    .sort()
    .map((name) => join(folder, name));
}

/** The sound profiles of one folder, by `profileId`; faulty ones are left out. */
export function readProfiles(folder: string): ReadonlyMap<string, ProfileFile> {
  return collectProfiles(folder, []);
}

function collectProfiles(folder: string, faulty: FaultyFile[]): ReadonlyMap<string, ProfileFile> {
  const profiles = new Map<string, ProfileFile>();
  for (const file of jsonFiles(folder)) {
    const read = readCatalogueFile(file);
    const verdict = read.ok ? checkProfile(read.value) : { ok: false as const, faults: [read.fault] };
    if (!verdict.ok) faulty.push({ file, faults: verdict.faults });
    else if (profiles.has(verdict.profile.profileId)) {
      faulty.push({ file, faults: [taken('profileId', verdict.profile.profileId)] });
    } else profiles.set(verdict.profile.profileId, verdict.profile);
  }
  return profiles;
}

export interface Catalogue {
  readonly profiles: ReadonlyMap<string, ProfileFile>;
  readonly products: readonly ProductProfile[];
}

/**
 * Reads and checks a whole catalogue.
 * @throws CatalogueError with every fault of every file; Error from node:fs when a folder is missing
 */
export function readCatalogue(folder: string): Catalogue {
  const faulty: FaultyFile[] = [];
  const profiles = collectProfiles(join(folder, 'profiles'), faulty);
  const products: ProductProfile[] = [];
  for (const file of jsonFiles(join(folder, 'products'))) {
    const read = readCatalogueFile(file);
    const verdict = read.ok
      ? checkProduct(read.value, profiles)
      : { ok: false as const, faults: [read.fault] };
    if (!verdict.ok) faulty.push({ file, faults: verdict.faults });
    else if (products.some(({ productId }) => productId === verdict.product.productId)) {
      faulty.push({ file, faults: [taken('productId', verdict.product.productId)] });
    } else products.push(resolveProduct(verdict.profile, verdict.product));
  }
  if (faulty.length > 0) throw new CatalogueError(faulty);
  return { profiles, products };
}

function taken(path: string, id: string): ProfileFault {
  return {
    path,
    wrong: `is "${id}", which another file has`,
    allowed: 'each id once',
    fix: 'choose another one',
  };
}
