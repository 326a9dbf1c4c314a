/**
 * What is printed on a card, and how a template's zone finds its text in it.
 *
 * Structurally the `PrintFields` of the station payload (a test keeps them equal), so that this package
 * needs no wire contract.
 */

export interface CardFields {
  /** Printed name, Latin or Japanese. */
  readonly name: string;
  readonly secondName?: string;
  /** The number in full or masked; grouped in fours by the template whatever the spacing given. */
  readonly pan: string;
  /** MM/YY */
  readonly expiry: string;
  readonly securityCode?: string;
  readonly customLines: readonly string[];
  readonly memberId?: string;
}

export type FieldPath =
  'name' | 'secondName' | 'pan' | 'expiry' | 'securityCode' | 'memberId' | `customLines[${number}]`;

const scalarFields = ['name', 'secondName', 'pan', 'expiry', 'securityCode', 'memberId'] as const;

/** Groups of four, as a card shows its number: `9999001234567890` → `9999 0012 3456 7890`. */
export function groupsOfFour(text: string): string {
  const compact = Array.from(text.replaceAll(/\s/gu, ''));
  const groups: string[] = [];
  for (let at = 0; at < compact.length; at += 4) groups.push(compact.slice(at, at + 4).join(''));
  return groups.join(' ');
}

/**
 * Every field that has something to print, by its path, in a fixed order. Surrounding white space is no
 * content; an empty field is treated as absent.
 */
export function printedFields(fields: CardFields): Map<FieldPath, string> {
  const texts = new Map<FieldPath, string>();
  for (const field of scalarFields) {
    const text = fields[field]?.trim() ?? '';
    if (text !== '') texts.set(field, field === 'pan' ? groupsOfFour(text) : text);
  }
  fields.customLines.forEach((line, index) => {
    if (line.trim() !== '') texts.set(`customLines[${index}]`, line.trim());
  });
  return texts;
}
