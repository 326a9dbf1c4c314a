/**
 * The chip report: what a terminal read from the finished card and what it proved. Evidence for people.
 *
 * Invariants: no card number, name, track or any value they can be computed from (I7). Values are
 * written byte by byte, because no reader of logs could tell a long run of digits from a card number.
 */
import { isSensitiveTag, maskTagValue, primitiveNodes, tagName, type TlvNode } from '@cardwright/emv';
import { type ChipIdentity } from '@cardwright/protocol';
import { holdsCardNumber } from './card-number-search.ts';

export const verdictNames = [
  'directory',
  'contactlessDirectory',
  'application',
  'processingOptions',
  'records',
  'cardNumber',
  'issuerCertificate',
  'iccCertificate',
  'dynamicAuthentication',
  'combinedAuthentication',
  'cryptogram',
  'counters',
] as const;
export type VerdictName = (typeof verdictNames)[number];

/** `ok`, a reason in upper case, or `NOT_CHECKED` for what came after the first failure. */
export type Verdicts = Readonly<Record<VerdictName, string>>;

export interface ReportedTag {
  readonly tag: string;
  readonly name: string;
  /** Bytes in hexadecimal, separated by blanks; masked where the tag is sensitive. */
  readonly value: string;
  /** Where it was read: `PSE`, `SFI 2 record 1`, … */
  readonly source: string;
}

export interface ChipReport {
  readonly chip: ChipIdentity;
  readonly application: string;
  readonly tags: readonly ReportedTag[];
  readonly verdicts: Verdicts;
  /** Milliseconds per part. */
  readonly timings: Readonly<Record<string, number>>;
}

/** Certificates that hold the card number: the public key that opens them stands in the same report. */
const certificatesWithCardNumber = new Set(['9F46', '9F2D']);

/** A tag's value as it may be shown on the report of the card whose number has the hash `panSha256`. */
function shownValue(tag: string, value: Uint8Array, panSha256: string): string {
  if (certificatesWithCardNumber.has(tag)) return `(${value.length} bytes)`;
  if (!isSensitiveTag(tag) && holdsCardNumber(value, panSha256)) return `(${value.length} bytes)`;
  const masked = maskTagValue(tag, value);
  return /^([0-9A-F]{2})+$/.test(masked) ? (masked.match(/../g) ?? []).join(' ') : masked;
}

/** Every primitive data object of an answer. */
export function reportedTags(nodes: readonly TlvNode[], source: string, panSha256: string): ReportedTag[] {
  return primitiveNodes(nodes).map(({ tag, value }) => ({
    tag,
    name: tagName(tag),
    value: shownValue(tag, value, panSha256),
    source,
  }));
}
