/** `cardwright profile check FILE`: explains what is wrong with a profile or product, or shows the card it makes. */
import { basename, dirname, join } from 'node:path';
import { existsSync } from 'node:fs';
import {
  checkProduct,
  checkProfile,
  DataPreparationError,
  explainFaults,
  packagedCatalogue,
  type ProductFile,
  type ProfileFault,
  type ProfileFile,
  readCatalogueFile,
  readProfiles,
  resolveProduct,
} from '@cardwright/dataprep';
import { previewPlan } from '../profile/card-preview.ts';
import { previewLines } from '../profile/preview-text.ts';
import { sampleProduct } from '../profile/sample-product.ts';

type Checked =
  | {
      readonly ok: true;
      readonly profile: ProfileFile;
      readonly product: ProductFile;
      readonly title: string;
    }
  | { readonly ok: false; readonly faults: readonly ProfileFault[] };

const isProduct = (value: unknown): boolean =>
  typeof value === 'object' && value !== null && 'productId' in value;

function checkFile(file: string): Checked {
  const read = readCatalogueFile(file);
  if (!read.ok) return { ok: false, faults: [read.fault] };
  if (isProduct(read.value)) {
    // A product belongs to the profiles beside it; a lone file to those that come with Cardwright.
    const beside = join(dirname(dirname(file)), 'profiles');
    const profiles = readProfiles(existsSync(beside) ? beside : join(packagedCatalogue, 'profiles'));
    const verdict = checkProduct(read.value, profiles);
    return verdict.ok ? { ...verdict, title: `product ${verdict.product.productId}` } : verdict;
  }
  const verdict = checkProfile(read.value);
  if (!verdict.ok) return verdict;
  const { profile } = verdict;
  return {
    ok: true,
    profile,
    product: sampleProduct(profile),
    title: `profile ${profile.profileId}: ${profile.title}`,
  };
}

const say = (lines: readonly string[]): void => void process.stdout.write(`${lines.join('\n')}\n`);

export async function checkProfileCommand(file: string): Promise<void> {
  const checked = checkFile(file);
  if (!checked.ok) {
    const count = checked.faults.length;
    say([
      `${basename(file)} cannot be used: ${count} ${count === 1 ? 'fault' : 'faults'}`,
      '',
      explainFaults({ file: basename(file), faults: checked.faults }),
    ]);
    process.exitCode = 1;
    return;
  }
  const resolved = resolveProduct(checked.profile, checked.product);
  say([
    `${basename(file)} is sound: ${checked.title}`,
    '',
    'The card that would result, with test data:',
    '',
  ]);
  try {
    say(previewLines(await previewPlan(resolved, new Date()), resolved.iccKeyBits));
  } catch (error) {
    if (!(error instanceof DataPreparationError)) throw error;
    say([`No card can be made of it: ${error.message} (${error.code})`]);
    process.exitCode = 1;
  }
}
