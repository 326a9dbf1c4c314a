/**
 * Judges the DGI templates of a profile: identifiers, contents, what every instance must be loaded with.
 *
 * Invariant: a profile that passes gives a complete personalization run, with each DGI once and each secret where
 * card and script expect it.
 */
import { isConstructedTag } from '@cardwright/emv';
import { type DgiTemplate, type ProfileFile, type Secret, type TemplateItem } from './profile-file.ts';
import { type ProfileFault } from './structure-check.ts';
import { sourceFaults } from './tag-sources.ts';

const kinds = ['content', 'data', 'secret', 'records'] as const;

/** DGI that each secret is loaded with (EMV CPS, table A-1). */
const secretDgis: Readonly<Record<Secret, string>> = {
  'application-keys': '8000',
  'reference-pin': '8010',
  'icc-q-inverse': '8201',
  'icc-dq': '8202',
  'icc-dp': '8203',
  'icc-q': '8204',
  'icc-p': '8205',
};

/** CPS keeps these for payment systems and the card manager. */
function isReserved(id: string): boolean {
  const number = Number.parseInt(id, 16);
  return (
    (number >= 0x9f60 && number <= 0x9f6f) ||
    (number >= 0x7ff0 && number <= 0x7ffe) ||
    ['8F01', '7F01', '00CF', '0062'].includes(id)
  );
}

/** Every fault of the templates of all three instances. */
export function dgiFaults(profile: ProfileFile): ProfileFault[] {
  const { pse, ppse, application } = profile.instances;
  return [
    ...instanceFaults(profile, 'instances.pse', pse),
    ...instanceFaults(profile, 'instances.ppse', ppse),
    ...instanceFaults(profile, 'instances.application', application),
    ...directoryFaults('instances.pse', pse, ['9102', '0101']),
    ...directoryFaults('instances.ppse', ppse, ['9102']),
    ...applicationDgiFaults(profile),
  ];
}

function instanceFaults(profile: ProfileFile, path: string, dgis: readonly DgiTemplate[]): ProfileFault[] {
  const seen = new Set<string>();
  return dgis.flatMap((dgi, index) => {
    const at = `${path}[${String(index)}]`;
    const faults = kindFaults(dgi, at);
    if (dgi.id !== undefined) {
      faults.push(...idFaults(profile, dgi, dgi.id, at, seen));
      seen.add(dgi.id);
    }
    for (const [itemIndex, item] of (dgi.content ?? []).entries()) {
      faults.push(...itemFaults(profile, item, `${at}.content[${String(itemIndex)}]`));
    }
    return faults;
  });
}

function kindFaults(dgi: DgiTemplate, path: string): ProfileFault[] {
  const given = kinds.filter((kind) => dgi[kind] !== undefined);
  const faults: ProfileFault[] = [];
  if (given.length !== 1) {
    faults.push({
      path,
      wrong: given.length === 0 ? 'does not say what the DGI holds' : `holds ${given.join(' and ')} at once`,
      allowed: `one of ${kinds.join(', ')}`,
      fix: given.length === 0 ? 'add "content": [...]' : `keep one of ${given.join(', ')}`,
    });
  }
  if ((dgi.id === undefined) !== (dgi.records !== undefined)) {
    const isRecords = dgi.records !== undefined;
    faults.push({
      path: `${path}.id`,
      wrong: isRecords ? 'is given, but records have DGIs of their own' : 'is missing',
      allowed: isRecords ? 'no id beside "records"' : 'a DGI identifier such as 9102',
      fix: isRecords ? 'remove "id"' : 'add "id"',
    });
  }
  if (dgi.secret !== undefined && dgi.id !== undefined && secretDgis[dgi.secret] !== dgi.id) {
    faults.push({
      path: `${path}.id`,
      wrong: `is ${dgi.id} for the secret ${dgi.secret}`,
      allowed: secretDgis[dgi.secret],
      fix: `write "${secretDgis[dgi.secret]}"`,
    });
  }
  if (dgi.issuerMayPrepare === true && dgi.content === undefined) {
    faults.push({
      path: `${path}.issuerMayPrepare`,
      wrong: 'is true for a DGI that the vault makes',
      allowed: 'only beside "content"; files have a member of their own',
      fix: 'remove "issuerMayPrepare"',
    });
  }
  return faults;
}

function idFaults(
  profile: ProfileFile,
  dgi: DgiTemplate,
  id: string,
  path: string,
  seen: ReadonlySet<string>,
): ProfileFault[] {
  const faults: ProfileFault[] = [];
  const fault = (wrong: string, allowed: string, fix: string): void => {
    faults.push({ path: `${path}.id`, wrong, allowed, fix });
  };
  if (seen.has(id)) fault(`${id} stands in this instance already`, 'each DGI once', 'remove one of the two');
  if (isReserved(id)) {
    fault(
      `${id} is reserved (EMV CPS: 9F60 to 9F6F, 7FF0 to 7FFE, 8F01, 7F01, 00CF, 0062)`,
      'another DGI',
      'choose another identifier',
    );
  }
  const isSecretRange = /^8[0-3]/.test(id);
  if (isSecretRange && dgi.secret === undefined) {
    fault(
      `${id} is the DGI of a secret and would be loaded in clear`,
      '"secret" instead of its contents',
      'write "secret": …',
    );
  }
  const sfi = Number.parseInt(id.slice(0, 2), 16);
  if (path.startsWith('instances.application') && profile.files.some((file) => file.sfi === sfi)) {
    fault(
      `${id} is a record of SFI ${String(sfi)}, which is packed from files`,
      'DGIs outside the SFIs of files',
      'move its tags to that file',
    );
  }
  return faults;
}

function itemFaults(profile: ProfileFile, item: TemplateItem, path: string): ProfileFault[] {
  const tag = typeof item === 'string' ? item : item.tag;
  const isTemplate = typeof item !== 'string';
  if (isConstructedTag(tag) !== isTemplate) {
    return [
      {
        path,
        wrong: isTemplate
          ? `${tag} is a primitive tag and holds no others`
          : `${tag} is a template without items`,
        allowed: isTemplate ? 'a template tag, such as A5 or 70' : `{ "tag": "${tag}", "items": [...] }`,
        fix: isTemplate ? 'correct the tag' : 'say what the template holds',
      },
    ];
  }
  if (!isTemplate) return sourceFaults(profile, tag, path);
  return item.items.flatMap((inner, index) => itemFaults(profile, inner, `${path}.items[${String(index)}]`));
}

function missingDgi(path: string, id: string, what: string): ProfileFault {
  return {
    path,
    wrong: `has no DGI ${id} (${what})`,
    allowed: `${id} in this list`,
    fix: `add { "id": "${id}", … }`,
  };
}

function directoryFaults(
  path: string,
  dgis: readonly DgiTemplate[],
  needed: readonly string[],
): ProfileFault[] {
  const faults = needed
    .filter((id) => !dgis.some((dgi) => dgi.id === id))
    .map((id) => missingDgi(path, id, id === '9102' ? 'answer to SELECT' : 'directory record'));
  for (const [index, dgi] of dgis.entries()) {
    const isOwn = dgi.content !== undefined && dgi.issuerMayPrepare !== true;
    if (isOwn) continue;
    faults.push({
      path: `${path}[${String(index)}]`,
      wrong: 'is no content of our own',
      allowed: 'directories hold content only, and issuers prepare none of it',
      fix: 'remove it',
    });
  }
  return faults;
}

function holds(items: readonly TemplateItem[], tag: string): boolean {
  return items.some((item) => (typeof item === 'string' ? item === tag : holds(item.items, tag)));
}

const requiredDgis: readonly (readonly [id: string, what: string, tags: readonly string[]])[] = [
  ['9102', 'answer to SELECT', ['50']],
  ['9104', 'answer to GET PROCESSING OPTIONS', ['82', '94']],
  ['9200', 'issuer application data', ['9F10']],
];

function applicationDgiFaults({ instances }: ProfileFile): ProfileFault[] {
  const path = 'instances.application';
  const dgis = instances.application;
  const faults: ProfileFault[] = [];
  for (const [id, what, tags] of requiredDgis) {
    const index = dgis.findIndex((dgi) => dgi.id === id);
    if (index < 0) faults.push(missingDgi(path, id, what));
    for (const tag of index < 0 ? [] : tags) {
      if (holds(dgis[index]?.content ?? [], tag)) continue;
      faults.push({
        path: `${path}[${String(index)}].content`,
        wrong: `does not hold ${tag} (${what})`,
        allowed: `${tags.join(' and ')} in DGI ${id}`,
        fix: `add "${tag}"`,
      });
    }
  }
  for (const [secret, id] of Object.entries(secretDgis)) {
    const found = dgis.find((dgi) => dgi.secret === secret);
    if (found === undefined && secret !== 'reference-pin') faults.push(missingDgi(path, id, secret));
    if (found?.optional === true && secret !== 'reference-pin') {
      faults.push({
        path: `${path}[${String(dgis.indexOf(found))}].optional`,
        wrong: 'is true for a secret that every card has',
        allowed: 'optional only for 8010',
        fix: 'remove "optional"',
      });
    }
  }
  if (!dgis.some((dgi) => dgi.records === true)) {
    faults.push({
      path,
      wrong: 'does not say where the records go',
      allowed: '{ "records": true } once',
      fix: 'add { "records": true }',
    });
  }
  if (!dgis.some((dgi) => dgi.data?.includes('key-check-values') === true)) {
    faults.push(missingDgi(path, '9000', 'key check values of 8000'));
  }
  return faults;
}
