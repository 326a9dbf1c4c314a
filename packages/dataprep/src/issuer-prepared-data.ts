/**
 * Data that the issuer prepared itself (model 2, member `emvData`): judged against the profile before it is loaded.
 *
 * Invariants: only DGIs that the profile leaves to issuers are taken, never a secret one; what identifies the card
 * (PAN, expiry, sequence number) must agree with the order; a refusal names DGIs and tags of the profile and nothing
 * else, because what an issuer made up, or what wrong data look like, could be card data; what is taken is loaded byte
 * for byte.
 */
import { EmvError, hex, isConstructedTag, parseTlv, type TlvNode, unhex } from '@cardwright/emv';
import { type EmvData } from '@cardwright/protocol';
import { type ProductProfile } from './product-profile.ts';
import { isIadOfLayout } from './profile/iad-layout.ts';
import { type DgiTemplate, type FileTemplate, type TemplateItem } from './profile/profile-file.ts';
import { tagRule } from './profile/tag-rules.ts';
import { computedTags, optionalTags } from './profile/tag-sources.ts';
import { maxRecordBytes } from './record-packing.ts';

/** What of a card the data set must agree with. */
export interface CardIdentity {
  readonly pan: string;
  /** YYMM */
  readonly expiry: string;
  /** YYMMDD */
  readonly expirationDate: string;
  readonly panSequenceNumber: string;
}

export type PreparedData =
  | { readonly ok: true; readonly dgis: ReadonlyMap<string, Uint8Array> }
  /** `field`: `emvData.dgis.0301.5A` */
  | { readonly ok: false; readonly field: string };

const member = 'emvData';

/** Ends the judging at the first fault; never leaves this file. */
class Refusal extends Error {
  readonly field: string;

  constructor(...path: readonly string[]) {
    super('refused');
    this.field = [member, ...path].join('.');
  }
}

/** Judges a data set for one card of a product. */
export function validatePreparedData(
  data: EmvData,
  profile: ProductProfile,
  card: CardIdentity,
): PreparedData {
  try {
    if (data.profile !== profile.chip.profileId) throw new Refusal('profile');
    const dgis = new Map<string, Uint8Array>();
    for (const [id, value] of Object.entries(data.dgis)) {
      requireAllowed(profile, id);
      if (!/^([0-9A-F]{2})+$/.test(value)) throw new Refusal('dgis', id);
      dgis.set(id, unhex(value));
    }
    for (const template of profile.chip.instances.application) judgeDgi(template, dgis, profile);
    for (const file of profile.chip.files) judgeFile(file, dgis, profile, card);
    return { ok: true, dgis };
  } catch (error) {
    if (error instanceof Refusal) return { ok: false, field: error.field };
    throw error;
  }
}

function sfiOf(id: string): number {
  return Number.parseInt(id.slice(0, 2), 16);
}

function requireAllowed({ chip }: ProductProfile, id: string): void {
  const template = chip.instances.application.find((dgi) => dgi.id === id);
  const file = template === undefined ? chip.files.find(({ sfi }) => sfi === sfiOf(id)) : undefined;
  if (template === undefined && file === undefined) throw new Refusal('dgis');
  if ((template ?? file)?.issuerMayPrepare !== true) throw new Refusal('dgis', id);
}

function parsed(id: string, value: Uint8Array): TlvNode[] {
  try {
    return parseTlv(value);
  } catch (error) {
    if (error instanceof EmvError) throw new Refusal('dgis', id);
    throw error;
  }
}

/** The tags of a template from the outside in: `A5`, `A5/50`. */
function tagPaths(items: readonly TemplateItem[], prefix = ''): string[] {
  return items.flatMap((item) =>
    typeof item === 'string'
      ? [prefix + item]
      : [prefix + item.tag, ...tagPaths(item.items, `${prefix}${item.tag}/`)],
  );
}

interface PlacedNode {
  readonly path: string;
  readonly node: TlvNode;
}

function nodePaths(nodes: readonly TlvNode[], prefix = ''): PlacedNode[] {
  return nodes.flatMap((node) => [
    { path: prefix + node.tag, node },
    ...(isConstructedTag(node.tag) ? nodePaths(node.children, `${prefix}${node.tag}/`) : []),
  ]);
}

/** Every tag of the template once, nothing else, each value of its tag's type. */
function judgeDgi(
  { id = '', content }: DgiTemplate,
  dgis: ReadonlyMap<string, Uint8Array>,
  profile: ProductProfile,
): void {
  const value = dgis.get(id);
  if (value === undefined || content === undefined) return;
  const wanted = tagPaths(content);
  const seen = new Set<string>();
  for (const { path, node } of nodePaths(parsed(id, value))) {
    if (!wanted.includes(path)) throw new Refusal('dgis', id);
    if (seen.has(path)) throw new Refusal('dgis', id, node.tag);
    seen.add(path);
    judgeValue(id, node, profile);
  }
  const missing = wanted.find((path) => !seen.has(path));
  if (missing !== undefined) throw new Refusal('dgis', id, missing.split('/').at(-1) ?? '');
}

function judgeValue(id: string, { tag, value }: TlvNode, profile: ProductProfile): void {
  if (isConstructedTag(tag)) return;
  if (!tagRule(tag).isValid(value)) throw new Refusal('dgis', id, tag);
  const { chip, keys } = profile;
  const isLocked = chip.lockedTags.includes(tag);
  if (isLocked && hex(value) !== hex(chip.values.get(tag) ?? new Uint8Array(0))) {
    throw new Refusal('dgis', id, tag);
  }
  if (tag !== '9F10') return;
  const isOurs = Object.values(keys.derivation).some(({ dki }) => isIadOfLayout(chip.iad, dki, hex(value)));
  if (!isOurs) throw new Refusal('dgis', id, tag);
}

/** The records of one file: numbered from 1 without a gap, each a template 70, together with the file's tags. */
function judgeFile(
  file: FileTemplate,
  dgis: ReadonlyMap<string, Uint8Array>,
  profile: ProductProfile,
  card: CardIdentity,
): void {
  const { instances } = profile.chip;
  const ids = [...dgis.keys()]
    .filter((id) => sfiOf(id) === file.sfi && !instances.application.some((dgi) => dgi.id === id))
    .sort();
  if (ids.length === 0) return;
  const seen = new Set<string>();
  for (const [index, id] of ids.entries()) {
    const value = dgis.get(id) ?? new Uint8Array(0);
    if (Number.parseInt(id.slice(2), 16) !== index + 1) throw new Refusal('dgis', id);
    const [record, ...others] = parsed(id, value);
    if (record?.tag !== '70' || others.length > 0 || value.length > maxRecordBytes)
      throw new Refusal('dgis', id);
    for (const node of record.children) {
      if (!file.items.includes(node.tag)) throw new Refusal('dgis', id);
      if (seen.has(node.tag)) throw new Refusal('dgis', id, node.tag);
      seen.add(node.tag);
      judgeValue(id, node, profile);
      if (!agreesWithCard(node, card, profile)) throw new Refusal('dgis', id, node.tag);
    }
  }
  const missing = file.items.find((tag) => !seen.has(tag) && !optionalTags.has(tag));
  if (missing !== undefined) throw new Refusal('dgis', ids[0] ?? '', missing);
}

/** Whether a value that identifies the card says what the order says. */
function agreesWithCard({ tag, value }: TlvNode, card: CardIdentity, profile: ProductProfile): boolean {
  if (!computedTags.has(tag)) return true;
  const text = hex(value);
  switch (tag) {
    case '5A':
      return text === card.pan + (card.pan.length % 2 === 0 ? '' : 'F');
    case '57':
      return text.startsWith(`${card.pan}D${card.expiry}${profile.serviceCode}`);
    case '5F24':
      return text === card.expirationDate;
    case '5F25':
      return text <= card.expirationDate;
    case '5F30':
      return text === profile.serviceCode.padStart(4, '0');
    case '5F34':
      return text === card.panSequenceNumber;
    default:
      return true;
  }
}
