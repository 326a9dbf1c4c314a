/**
 * Names: which characters may be printed, which may stand on chip and stripe, and how the encoded name is made.
 *
 * Invariant: a name is never cut, transliterated or stripped of accents. What ISO/IEC 7813 cannot carry as it
 * stands must come as `encodedName` from the issuer (OD-3.7).
 */

/** The data characters of the 7-bit alphanumeric set of ISO/IEC 7811-2 / 7813, without control characters. */
const iso7813Pattern = /^[A-Z0-9 $().\-/]*$/;
export const encodedNameLength = { min: 2, max: 26 } as const;

/** Latin or Japanese text as it may be printed: letters of these scripts, digits, ordinary name punctuation. */
const printablePattern =
  /^(?:[\p{Script=Latin}\p{Script=Hiragana}\p{Script=Katakana}\p{Script=Han}]\p{Mn}?|[0-9 .,'’\-/()&・ーｰ　々〆゛゜])+$/u;
const letterPattern = /[\p{Script=Latin}\p{Script=Hiragana}\p{Script=Katakana}\p{Script=Han}]/u;

/** True when every character is in the ISO/IEC 7813 data set. */
export function isIso7813(text: string): boolean {
  return iso7813Pattern.test(text);
}

/** True for a printable Latin or Japanese name or line that holds at least one letter. */
export function isPrintableName(text: string): boolean {
  return printablePattern.test(text) && letterPattern.test(text) && text.trim() === text;
}

/** True for a value that may stand in tag 5F20 and on track 1 as it is. */
export function isEncodedName(text: string): boolean {
  return (
    text.length >= encodedNameLength.min &&
    text.length <= encodedNameLength.max &&
    isIso7813(text) &&
    /[A-Z]/.test(text)
  );
}

/**
 * The default rule: upper case, last word as surname, `A SAMPLE` → `SAMPLE/A`.
 * Undefined where the result would not be a valid encoded name; the issuer must then send one.
 */
export function encodeNameByRule(name: string): string | undefined {
  // A slash would be read as a second surname separator.
  if (name.includes('/')) return undefined;
  // Upper-casing must not change the number of characters (`ß` would become `SS`).
  const upper = name.toUpperCase();
  if (upper.length !== name.length || !isIso7813(upper)) return undefined;
  const words = upper.split(' ').filter((word) => word !== '');
  const surname = words.pop();
  if (surname === undefined) return undefined;
  const encoded = words.length === 0 ? surname : `${surname}/${words.join(' ')}`;
  return isEncodedName(encoded) ? encoded : undefined;
}
