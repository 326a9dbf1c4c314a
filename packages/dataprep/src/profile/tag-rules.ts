/**
 * The type of every tag that a profile or a prepared data set may carry: how its value is written in a file, and
 * which bytes it may hold.
 *
 * Invariant: a refusal says what is allowed and never repeats a value.
 */
import { ascii, bcd, EmvError, parseDol, unhex } from '@cardwright/emv';

export interface TagRule {
  /** How the value is written: hexadecimal, decimal digits, or text. */
  readonly form: 'hex' | 'digits' | 'text';
  /** What is allowed, for people. */
  readonly allowed: string;
  readonly isValid: (bytes: Uint8Array) => boolean;
}

const range = (min: number, max: number): string =>
  min === max ? String(min) : `${String(min)} to ${String(max)}`;

const binary = (min: number, max = min): TagRule => ({
  form: 'hex',
  allowed: `${range(min, max)} ${max === 1 ? 'byte' : 'bytes'} in upper-case hexadecimal`,
  isValid: ({ length }) => length >= min && length <= max,
});
const digits = (count: number): TagRule => ({
  form: 'digits',
  allowed: `${String(count)} decimal digits`,
  isValid: (bytes) => bytes.length * 2 === count && /^\d*$/.test(Buffer.from(bytes).toString('hex')),
});
const text = (min: number, max: number, pattern = /^[ -~]*$/): TagRule => ({
  form: 'text',
  allowed: `${range(min, max)} characters${pattern.source === '^[ -~]*$' ? '' : ` matching ${pattern.source}`}`,
  isValid: (bytes) =>
    bytes.length >= min && bytes.length <= max && pattern.test(Buffer.from(bytes).toString('latin1')),
});
const dol: TagRule = {
  form: 'hex',
  allowed: 'a data object list in hexadecimal: tag, length, tag, length, …',
  isValid: isDol,
};

function isDol(bytes: Uint8Array): boolean {
  try {
    return parseDol(bytes).length > 0;
  } catch (error) {
    if (error instanceof EmvError) return false;
    throw error;
  }
}

/** Two amounts, then rules of two bytes: method (b8 0) and condition. */
function isCvmList(bytes: Uint8Array): boolean {
  if (bytes.length < 10 || bytes.length > 252 || bytes.length % 2 !== 0) return false;
  return Array.from(bytes.subarray(8)).every((byte, index) =>
    index % 2 === 0 ? (byte & 0x80) === 0 : byte <= 0x09 || byte >= 0x80,
  );
}

function isCompressedPan(bytes: Uint8Array): boolean {
  return bytes.length <= 10 && /^\d{12,19}f?$/.test(Buffer.from(bytes).toString('hex'));
}

function isTrack2(bytes: Uint8Array): boolean {
  return bytes.length <= 19 && /^\d{12,19}d\d{7,}f?$/.test(Buffer.from(bytes).toString('hex'));
}

const rules: ReadonlyMap<string, TagRule> = new Map<string, TagRule>([
  ['50', text(1, 16, /^[A-Za-z0-9 ]*$/)],
  ['57', { form: 'hex', allowed: 'PAN, D, expiry, service code, discretionary data', isValid: isTrack2 }],
  ['5A', { form: 'hex', allowed: '12 to 19 digits, padded with F', isValid: isCompressedPan }],
  ['5F20', text(2, 26, /^[A-Z0-9 $().\-/]*$/)],
  ['5F24', digits(6)],
  ['5F25', digits(6)],
  ['5F28', digits(4)],
  ['5F2D', text(2, 8, /^([a-z]{2})*$/)],
  ['5F30', digits(4)],
  ['5F34', digits(2)],
  ['82', binary(2)],
  ['87', binary(1)],
  ['88', binary(1)],
  ['8C', dol],
  ['8D', dol],
  ['8E', { form: 'hex', allowed: 'two amounts of 4 bytes, then rules of 2 bytes', isValid: isCvmList }],
  ['8F', binary(1)],
  ['9F07', binary(2)],
  ['9F08', binary(2)],
  ['9F0D', binary(5)],
  ['9F0E', binary(5)],
  ['9F0F', binary(5)],
  ['9F10', binary(7, 32)],
  ['9F11', binary(1)],
  ['9F12', text(1, 16)],
  ['9F14', binary(1)],
  ['9F1F', text(1, 40)],
  ['9F23', binary(1)],
  ['9F24', text(29, 29, /^[A-Z0-9]*$/)],
  ['9F36', binary(2)],
  ['9F38', dol],
  ['9F42', digits(4)],
  ['9F44', digits(2)],
  ['9F49', dol],
  ['9F4A', { form: 'hex', allowed: '82, the only tag that may be signed with the records', isValid: isAip }],
  ['9F4F', dol],
  ['9F51', binary(2)],
  ['9F52', binary(2, 6)],
  ['9F56', binary(1)],
  ['9F57', binary(2)],
  ['9F58', binary(1)],
  ['9F59', binary(1)],
  ['9F5D', binary(1, 6)],
  ['9F68', binary(4)],
  ['9F6C', binary(2)],
]);

function isAip(bytes: Uint8Array): boolean {
  return bytes.length === 1 && bytes[0] === 0x82;
}

const anyBytes = binary(1, 252);

/** The rule of a tag; tags without one hold 1 to 252 bytes. */
export function tagRule(tag: string): TagRule {
  return rules.get(tag) ?? anyBytes;
}

/** The bytes of a value as it stands in a file, or undefined when it is not what the tag holds. */
export function readTagValue(tag: string, value: string): Uint8Array | undefined {
  const rule = tagRule(tag);
  const bytes = encode(rule.form, value);
  return bytes !== undefined && rule.isValid(bytes) ? bytes : undefined;
}

function encode(form: TagRule['form'], value: string): Uint8Array | undefined {
  switch (form) {
    case 'hex':
      return /^([0-9A-F]{2})*$/.test(value) ? unhex(value) : undefined;
    case 'digits':
      return /^\d*$/.test(value) && value.length % 2 === 0 ? bcd(value) : undefined;
    case 'text':
      return /^[ -~]*$/.test(value) ? ascii(value) : undefined;
  }
}
