/**
 * From the templates of a profile to records and data groupings, for values that are given.
 *
 * Invariants: order is the template's; a value that is missing is a fault unless its tag is optional; data prepared
 * by the issuer replaces ours byte for byte.
 */
import { concatBytes, hex, tlv } from '@cardwright/emv';
import { DataPreparationError } from './data-preparation-error.ts';
import { type PlanDgi } from './plan.ts';
import {
  type DgiTemplate,
  type FileTemplate,
  type RawData,
  type Secret,
  type TemplateItem,
} from './profile/profile-file.ts';
import { certificateTags, optionalTags } from './profile/tag-sources.ts';
import { type CardRecord, packRecords, recordDgi } from './record-packing.ts';

export type TagValues = ReadonlyMap<string, Uint8Array>;
/** DGIs that the issuer prepared, by identifier. */
export type PreparedDgis = ReadonlyMap<string, Uint8Array>;

function encodeItem(item: TemplateItem, values: TagValues): Uint8Array[] {
  if (typeof item !== 'string') {
    return [tlv(item.tag, concatBytes(...item.items.flatMap((inner) => encodeItem(inner, values))))];
  }
  const value = values.get(item);
  if (value !== undefined) return [tlv(item, value)];
  if (optionalTags.has(item)) return [];
  throw new DataPreparationError(
    'TEMPLATE_VALUE_MISSING',
    `the template asks for tag ${item}, which has no value`,
  );
}

/** True for a file that can be packed only after the ICC key was certified. */
export function holdsCertificates(file: FileTemplate): boolean {
  return file.items.some((tag) => certificateTags.has(tag));
}

/**
 * The records of one file: the issuer's own where it prepared them, else packed from values.
 * @throws DataPreparationError RECORD_TOO_LONG, TEMPLATE_VALUE_MISSING
 */
export function fileRecords(file: FileTemplate, values: TagValues, prepared: PreparedDgis): CardRecord[] {
  const given = [...prepared]
    .filter(([id]) => Number.parseInt(id.slice(0, 2), 16) === file.sfi && file.issuerMayPrepare === true)
    .sort(([left], [right]) => (left < right ? -1 : 1))
    .map(([id, bytes]) => ({
      sfi: file.sfi,
      record: Number.parseInt(id.slice(2), 16),
      bytes,
      isSigned: file.signed,
    }));
  if (given.length > 0) return given;
  const objects = file.items.flatMap((tag) => encodeItem(tag, values));
  return packRecords(file.sfi, objects, file.signed);
}

const crtParts: Readonly<Partial<Record<Secret, number>>> = {
  'icc-q-inverse': 0,
  'icc-dq': 1,
  'icc-dp': 2,
  'icc-q': 3,
  'icc-p': 4,
};

function secretDgi(id: string, secret: Secret, hasPin: boolean): PlanDgi[] {
  if (secret === 'application-keys') return [{ kind: 'udk', id }];
  if (secret === 'reference-pin') return hasPin ? [{ kind: 'pin', id }] : [];
  const part = crtParts[secret];
  return part === undefined ? [] : [{ kind: 'icc-crt', id, part }];
}

/** What the DGIs of one instance are made from. */
export interface DgiSources {
  readonly values: TagValues;
  readonly data: Readonly<Record<RawData, Uint8Array>>;
  readonly records: readonly CardRecord[];
  readonly prepared: PreparedDgis;
  /** Whether this card got a reference PIN. */
  readonly hasPin: boolean;
}

const clear = (id: string, value: Uint8Array): PlanDgi => ({ kind: 'clear', id, value: hex(value) });

/** The DGIs of one instance in the order of loading. @throws DataPreparationError TEMPLATE_VALUE_MISSING */
export function expandDgis(templates: readonly DgiTemplate[], sources: DgiSources): PlanDgi[] {
  return templates.flatMap(({ id = '', content, data, secret }): PlanDgi[] => {
    if (secret !== undefined) return secretDgi(id, secret, sources.hasPin);
    if (data !== undefined) return [clear(id, concatBytes(...data.map((part) => sources.data[part])))];
    if (content === undefined) return sources.records.map((record) => clear(recordDgi(record), record.bytes));
    const prepared = sources.prepared.get(id);
    if (prepared !== undefined) return [clear(id, prepared)];
    return [clear(id, concatBytes(...content.flatMap((item) => encodeItem(item, sources.values))))];
  });
}
