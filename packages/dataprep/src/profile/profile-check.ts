/**
 * Judges a profile file: its structure, then everything that structure alone cannot say about a card.
 *
 * Invariants: a profile without faults makes cards that a terminal can read and that our own script can load; every
 * fault is told with its place, what is wrong, what is allowed and how to mend it.
 */
import { isConstructedTag, parseDol, unhex } from '@cardwright/emv';
import { certificateTags, computedTags, sourceFaults } from './tag-sources.ts';
import { iadForms, isIadForm } from './iad-layout.ts';
import { dgiFaults } from './dgi-template-check.ts';
import { ProfileFile } from './profile-file.ts';
import { type ProfileFault, structureFaults } from './structure-check.ts';
import { readTagValue, tagRule } from './tag-rules.ts';

export type ProfileVerdict =
  | { readonly ok: true; readonly profile: ProfileFile }
  | { readonly ok: false; readonly faults: readonly ProfileFault[] };

/** Checks a parsed profile file. Structural faults are told first: the rest needs a whole file. */
export function checkProfile(value: unknown): ProfileVerdict {
  const structural = structureFaults(ProfileFile, value);
  if (structural.length > 0) return { ok: false, faults: structural };
  const profile = value as ProfileFile;
  const faults = [
    ...valueFaults(profile),
    ...applicationFaults(profile),
    ...iadFaults(profile),
    ...fileFaults(profile),
    ...authenticationFaults(profile),
    ...dolFaults(profile),
    ...pinFaults(profile),
    ...dgiFaults(profile),
  ];
  return faults.length === 0 ? { ok: true, profile } : { ok: false, faults };
}

function valueFaults(profile: ProfileFile): ProfileFault[] {
  const faults: ProfileFault[] = [];
  for (const [tag, value] of Object.entries(profile.values)) {
    const path = `values.${tag}`;
    const computed = computedTags.get(tag);
    if (computed !== undefined) {
      faults.push({
        path,
        wrong: `fixes a tag that is computed for each card (${computed})`,
        allowed: 'tags that are not computed',
        fix: `remove values.${tag}`,
      });
    } else if (isConstructedTag(tag)) {
      faults.push({
        path,
        wrong: 'is a template and has no value of its own',
        allowed: 'primitive tags',
        fix: 'write the template where it stands, as { "tag": …, "items": […] }',
      });
    } else if (readTagValue(tag, value) === undefined) {
      const { allowed } = tagRule(tag);
      faults.push({ path, wrong: `is "${value}"`, allowed, fix: `write ${allowed}` });
    }
  }
  for (const [index, tag] of profile.fromProduct.entries()) {
    if (!Object.hasOwn(profile.values, tag) && !computedTags.has(tag)) continue;
    faults.push({
      path: `fromProduct[${String(index)}]`,
      wrong: `${tag} already has a source`,
      allowed: 'tags that are neither computed nor in values',
      fix: `remove ${tag} here, or values.${tag}`,
    });
  }
  return faults;
}

function applicationFaults({ application, issuerPrepared, values }: ProfileFile): ProfileFault[] {
  const faults: ProfileFault[] = [];
  if (!application.aid.startsWith(application.rid)) {
    faults.push({
      path: 'application.aid',
      wrong: 'does not begin with the RID',
      allowed: `an AID that begins with ${application.rid}`,
      fix: 'correct application.aid or application.rid',
    });
  }
  for (const [index, tag] of issuerPrepared.lockedTags.entries()) {
    if (Object.hasOwn(values, tag)) continue;
    faults.push({
      path: `issuerPrepared.lockedTags[${String(index)}]`,
      wrong: `${tag} has no value in this profile`,
      allowed: 'tags that stand in values',
      fix: `remove ${tag}, or add values.${tag}`,
    });
  }
  return faults;
}

function iadFaults({ cryptogram }: ProfileFile): ProfileFault[] {
  const { version, iad } = cryptogram;
  const faults: ProfileFault[] = [];
  for (const [index, part] of iad.entries()) {
    const needed = part.field === 'constant' ? 'value' : 'bytes';
    const isWhole =
      part.field === 'dki'
        ? part.value === undefined && part.bytes === undefined
        : (part.field === 'constant') === (part.value !== undefined) &&
          (part.field === 'constant') === (part.bytes === undefined);
    if (isWhole) continue;
    const allowed =
      part.field === 'dki' ? '{ "field": "dki" }' : `"${needed}" and nothing else beside "field"`;
    faults.push({
      path: `cryptogram.iad[${String(index)}]`,
      wrong: `does not say how long the ${part.field} is, or says it twice`,
      allowed,
      fix: `write ${allowed}`,
    });
  }
  if (faults.length === 0 && !isIadForm(version, iad)) {
    faults.push({
      path: 'cryptogram.iad',
      wrong: `is no layout that a ${version} card words its results in`,
      allowed: iadForms[version],
      fix: 'write the parts in this order, or choose another cryptogram.version',
    });
  }
  return faults;
}

function pinFaults({ pin, instances }: ProfileFile): ProfileFault[] {
  if (pin.cvmList === undefined) return [];
  const faults: ProfileFault[] = [];
  if (readTagValue('8E', pin.cvmList) === undefined) {
    const { allowed } = tagRule('8E');
    faults.push({ path: 'pin.cvmList', wrong: `is "${pin.cvmList}"`, allowed, fix: `write ${allowed}` });
  }
  if (!instances.application.some(({ secret }) => secret === 'reference-pin')) {
    faults.push({
      path: 'pin.cvmList',
      wrong: 'is for cards with a PIN, and no DGI loads one',
      allowed: 'a CVM list only beside { "id": "8010", "secret": "reference-pin" }',
      fix: 'add that DGI to instances.application, or remove pin.cvmList',
    });
  }
  return faults;
}

const requiredInRecords = ['5A', '5F24', '8C', '8D'];

function fileFaults(profile: ProfileFile): ProfileFault[] {
  const faults: ProfileFault[] = [];
  const seen = new Map<string, string>();
  const sfis = new Set<number>();
  for (const [fileIndex, file] of profile.files.entries()) {
    const path = `files[${String(fileIndex)}]`;
    if (sfis.has(file.sfi)) {
      faults.push({
        path: `${path}.sfi`,
        wrong: `is ${String(file.sfi)}, which another file has`,
        allowed: 'each SFI once',
        fix: 'merge the two files or choose another SFI',
      });
    }
    sfis.add(file.sfi);
    for (const [index, tag] of file.items.entries()) {
      const at = `${path}.items[${String(index)}]`;
      const earlier = seen.get(tag);
      if (earlier !== undefined) {
        faults.push({
          path: at,
          wrong: `${tag} stands at ${earlier} already`,
          allowed: 'each tag once over all records',
          fix: 'remove one of the two',
        });
      }
      seen.set(tag, at);
      faults.push(...sourceFaults(profile, tag, at));
      if (file.signed && certificateTags.has(tag)) {
        faults.push({
          path: at,
          wrong: `${tag} is made by certifying the signed records and cannot be one of them`,
          allowed: 'certificates and keys in a file with "signed": false',
          fix: `move ${tag} to an unsigned file`,
        });
      }
    }
    if (file.issuerMayPrepare === true && file.items.some((tag) => certificateTags.has(tag))) {
      faults.push({
        path: `${path}.issuerMayPrepare`,
        wrong: 'is true for a file with certificates of a key that the vault makes',
        allowed: 'false, or no such member',
        fix: 'remove "issuerMayPrepare"',
      });
    }
  }
  for (const tag of requiredInRecords) {
    if (!seen.has(tag)) faults.push(missingTag(tag, 'a terminal refuses a card without it'));
  }
  return faults;
}

function missingTag(tag: string, why: string): ProfileFault {
  return {
    path: 'files',
    wrong: `no file holds ${tag}: ${why}`,
    allowed: `${tag} in one file`,
    fix: `add "${tag}" to the items of a file`,
  };
}

const aipDda = 0x20;
const aipCda = 0x01;
const aipExternalAuthenticate = 0x04;
const authenticationTags = ['8F', '90', '9F32', '9F46', '9F47', '9F48', '92', '9F49', '9F4A'];
/** With a 32-byte IAD the signed answer to GENERATE AC must still be a short response. */
const maxCdaModulusBits = 1640;

function authenticationFaults(profile: ProfileFile): ProfileFault[] {
  const faults: ProfileFault[] = [];
  const aip = unhex(profile.values['82'] ?? '0000')[0] ?? 0;
  const tags = new Set(profile.files.flatMap(({ items }) => items));
  if ((aip & (aipDda | aipCda)) !== 0) {
    const why = 'values.82 offers DDA or CDA';
    for (const tag of authenticationTags) if (!tags.has(tag)) faults.push(missingTag(tag, why));
    if (!profile.files.some(({ signed }) => signed)) {
      faults.push({
        path: 'files',
        wrong: `no file is signed, but ${why}`,
        allowed: 'at least one file with "signed": true',
        fix: 'set "signed": true for the file that holds 5A',
      });
    }
    if (!profile.files.some(({ signed, items }) => signed && items.includes('5A'))) {
      faults.push({
        path: 'files',
        wrong: `5A is not in a signed file, but ${why}`,
        allowed: '5A in a file with "signed": true',
        fix: 'move "5A" to a signed file',
      });
    }
  }
  if ((aip & aipCda) !== 0 && profile.iccKey.bits > maxCdaModulusBits) {
    faults.push({
      path: 'iccKey.bits',
      wrong: `is ${String(profile.iccKey.bits)}: the signed answer to GENERATE AC would not fit 256 bytes`,
      allowed: `at most ${String(maxCdaModulusBits)} with CDA`,
      fix: 'write 1152, or take CDA (01) out of values.82',
    });
  }
  if ((aip & aipExternalAuthenticate) !== 0) {
    faults.push({
      path: 'values.82',
      wrong: 'promises EXTERNAL AUTHENTICATE (bit 04), which no profile here personalizes',
      allowed: 'an AIP with bit 04 of its first byte off; the issuer answer then comes in CDOL2',
      fix: 'clear the bit and put 9108 into values.8D',
    });
  }
  return faults;
}

function dolFaults(profile: ProfileFile): ProfileFault[] {
  const needed: readonly (readonly [tag: string, must: readonly string[], why: string])[] = [
    [
      '8C',
      ['9F02', '5F2A', '9A', '9F37'],
      'amount, currency, date and unpredictable number enter the cryptogram',
    ],
    ['8D', ['8A', '91', '9F37'], 'the card hears response code and issuer answer here'],
    ['9F49', ['9F37'], 'a signature without an unpredictable number can be replayed'],
  ];
  const faults = needed.flatMap(([tag, must, why]): ProfileFault[] => {
    const value = profile.values[tag];
    const bytes = value === undefined ? undefined : readTagValue(tag, value);
    if (bytes === undefined) return [];
    const listed = parseDol(bytes).map((entry) => entry.tag);
    const missing = must.filter((wanted) => !listed.includes(wanted));
    if (missing.length === 0) return [];
    return [
      {
        path: `values.${tag}`,
        wrong: `does not ask for ${missing.join(', ')}: ${why}`,
        allowed: `a list with ${must.join(', ')}`,
        fix: `add ${missing.join(', ')} to the list`,
      },
    ];
  });
  const fixed = ['82', '8C', '8D'].filter((tag) => !Object.hasOwn(profile.values, tag));
  return [
    ...faults,
    ...fixed.map((tag) => ({
      path: `values.${tag}`,
      wrong: 'is missing: cryptograms are checked against it',
      allowed: tagRule(tag).allowed,
      fix: `add values.${tag}`,
    })),
  ];
}
