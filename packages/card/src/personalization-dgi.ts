/**
 * Which DGIs an application takes and what each must look like on its own (EMV CPS, tables of section 2).
 *
 * Invariants: a secret DGI is refused in clear and a public one is refused enciphered; key check values are
 * compared as soon as keys and check values are both there.
 */
import { equalBytes, hex, parseTlv, tdesKcv } from '@cardwright/emv';
import { type ApplicationInstance, type ApplicationKind } from './card-memory.ts';
import { withoutPadding80 } from './padding.ts';
import { isRecordValue, recordPlace } from './record-files.ts';
import { type StatusWord, SW } from './status-word.ts';
import { type ReceivedDgi } from './store-data.ts';

const KEY_BYTES = 16;
const KCV_BYTES = 3;
const APPLICATION_KEYS = 3;
const PIN_BLOCK_BYTES = 8;

const CRT_DGIS = ['8201', '8202', '8203', '8204', '8205'] as const;

interface DgiRule {
  readonly isSecret: boolean;
  readonly isValid: (value: Uint8Array) => boolean;
}

const template: DgiRule = { isSecret: false, isValid: isTlv };
const rsaComponent: DgiRule = { isSecret: true, isValid: (value) => value.length > 0 };

const DIRECTORY_RULES: ReadonlyMap<string, DgiRule> = new Map([
  ['9102', template],
  ['7FFF', { isSecret: false, isValid: () => true }],
]);

const PAYMENT_RULES: readonly (readonly [string, DgiRule])[] = [
  ...DIRECTORY_RULES,
  ['9104', template],
  ['9200', template],
  ['8000', { isSecret: true, isValid: (value) => value.length === APPLICATION_KEYS * KEY_BYTES }],
  ['9000', { isSecret: false, isValid: (value) => value.length === APPLICATION_KEYS * KCV_BYTES }],
  ['8010', { isSecret: true, isValid: isPinBlock }],
  ['9010', { isSecret: false, isValid: isPinTryData }],
  ...CRT_DGIS.map((id): [string, DgiRule] => [id, rsaComponent]),
];

/** Internal data of VSDC-like applications; by their identifiers alone they would be records. */
const VSDC_INTERNAL_DGIS = ['0D01', '0E01'] as const;

const RULES: Readonly<Record<ApplicationKind, ReadonlyMap<string, DgiRule>>> = {
  directory: DIRECTORY_RULES,
  'payment-ccd': new Map([...PAYMENT_RULES, ['3000', template], ['3001', template]]),
  'payment-vsdc': new Map([
    ...PAYMENT_RULES,
    ['9103', template],
    ...VSDC_INTERNAL_DGIS.map((id): [string, DgiRule] => [id, template]),
  ]),
};

/** Where a record DGI of this kind of application belongs; undefined for DGIs that are no records there. */
export function recordDgiPlace(
  kind: ApplicationKind,
  id: string,
): { sfi: number; record: number } | undefined {
  if (kind === 'payment-vsdc' && VSDC_INTERNAL_DGIS.some((internal) => internal === id)) return undefined;
  return recordPlace(id);
}

/**
 * Stages one received DGI.
 *
 * @returns the status word of the refusal, or undefined when it was staged
 */
export function stageDgi(instance: ApplicationInstance, dgi: ReceivedDgi): StatusWord | undefined {
  const rule = ruleOf(instance.kind, dgi.id);
  if (rule === undefined) return SW.referenceNotFound;
  if (rule.isSecret !== dgi.wasEnciphered) return SW.dataWrong;
  const value = valueOf(dgi);
  if (value === undefined || !rule.isValid(value)) return SW.dataWrong;
  const before = instance.staged.get(dgi.id);
  instance.staged.set(dgi.id, value);
  if (areKeyCheckValuesWrong(instance.staged)) {
    if (before === undefined) instance.staged.delete(dgi.id);
    else instance.staged.set(dgi.id, before);
    return SW.dataWrong;
  }
  return undefined;
}

function ruleOf(kind: ApplicationKind, id: string): DgiRule | undefined {
  const place = recordDgiPlace(kind, id);
  if (place !== undefined) {
    return { isSecret: false, isValid: (value) => isRecordValue(place.sfi, value) };
  }
  return RULES[kind].get(id);
}

/** RSA components come with 80 padding, a PIN block only where the cipher block is longer than it is. */
function valueOf(dgi: ReceivedDgi): Uint8Array | undefined {
  const isComponent = CRT_DGIS.some((id) => id === dgi.id);
  const isLongPinBlock = dgi.id === '8010' && dgi.value.length > PIN_BLOCK_BYTES;
  return isComponent || isLongPinBlock ? withoutPadding80(dgi.value) : dgi.value;
}

function areKeyCheckValuesWrong(staged: ReadonlyMap<string, Uint8Array>): boolean {
  const keys = staged.get('8000');
  const checkValues = staged.get('9000');
  if (keys === undefined || checkValues === undefined) return false;
  for (let index = 0; index < APPLICATION_KEYS; index += 1) {
    const key = keys.subarray(index * KEY_BYTES, (index + 1) * KEY_BYTES);
    const expected = checkValues.subarray(index * KCV_BYTES, (index + 1) * KCV_BYTES);
    if (!equalBytes(tdesKcv(key).subarray(0, KCV_BYTES), expected)) return true;
  }
  return false;
}

function isTlv(value: Uint8Array): boolean {
  try {
    return parseTlv(value).length > 0;
  } catch {
    return false;
  }
}

/** ISO 9564 format 2: control nibble 2, length, digits, F fill. */
function isPinBlock(value: Uint8Array): boolean {
  const digits = Number.parseInt(hex(value.subarray(0, 1)), 16) & 0x0f;
  if (value.length !== PIN_BLOCK_BYTES || digits < 4 || digits > 12) return false;
  const fill = 14 - digits;
  return new RegExp(`^2.\\d{${String(digits)}}F{${String(fill)}}$`).test(hex(value));
}

/** Try counter, then try limit; a card must be issued with at least one and at most fifteen tries. */
function isPinTryData(value: Uint8Array): boolean {
  const [counter, limit] = value;
  if (value.length !== 2 || counter === undefined || limit === undefined) return false;
  return limit >= 1 && limit <= 15 && counter <= limit;
}
