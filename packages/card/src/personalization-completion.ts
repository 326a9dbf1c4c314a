/**
 * The end of a personalization run: from staged DGIs to the contents of an application.
 *
 * Invariants: an application becomes PERSONALIZED only with everything its commands will need; what is missing
 * is 6A86, what is there but wrong is 6A80; the staged copy is wiped afterwards.
 */
import {
  type DolEntry,
  concatBytes,
  findTag,
  parseAfl,
  parseDol,
  parseTlv,
  tlv,
  unhex,
} from '@cardwright/emv';
import { type ApplicationContents, type PaymentContents } from './application-contents.ts';
import { type ApplicationInstance, type ApplicationKind } from './card-memory.ts';
import { type CryptogramVersion, isIadOf } from './cryptogram-version.ts';
import { type CrtPrivateKey, crtPrivateKeyOf } from './crt-private-key.ts';
import { recordDgiPlace } from './personalization-dgi.ts';
import { RecordFiles } from './record-files.ts';
import { type StatusWord, SW } from './status-word.ts';

type CompletionDecision =
  | { readonly ok: true; readonly contents: ApplicationContents }
  | { readonly ok: false; readonly statusWord: StatusWord };

type Staged = ReadonlyMap<string, Uint8Array>;

/** Aborts the building of contents; never leaves this file. */
class Incompletion extends Error {
  readonly statusWord: StatusWord;

  constructor(statusWord: StatusWord) {
    super(statusWord);
    this.statusWord = statusWord;
  }
}

const AIP_DDA = 0x20;
const AIP_CDA = 0x01;
const NO_OFFLINE_LIMIT = 0;
const DEFAULT_PIN_TRIES = 3;

/** Decides whether the staged DGIs make a complete application. Pure: changes nothing. */
export function decideCompletion(instance: ApplicationInstance): CompletionDecision {
  try {
    const contents =
      instance.kind === 'directory'
        ? directoryContents(instance.staged)
        : paymentContents(instance.kind, instance.staged);
    return { ok: true, contents };
  } catch (error) {
    if (error instanceof Incompletion) return { ok: false, statusWord: error.statusWord };
    // Whatever the parsers refuse is bad data.
    return { ok: false, statusWord: SW.dataWrong };
  }
}

/** Makes the application usable and wipes the staged values. */
export function performCompletion(instance: ApplicationInstance, contents: ApplicationContents): void {
  instance.contents = contents;
  instance.lifeCycle = 'PERSONALIZED';
  wipeStaged(instance);
}

/** Forgets a personalization run that was not finished. */
export function wipeStaged(instance: ApplicationInstance): void {
  for (const value of instance.staged.values()) value.fill(0);
  instance.staged.clear();
}

function directoryContents(staged: Staged): ApplicationContents {
  const fciTemplate = fciTemplateOf(staged);
  const records = recordsOf('directory', staged);
  const sfi = findTag(parseTlv(fciTemplate), '88')?.value[0];
  if (sfi !== undefined && !records.has(sfi, 1)) throw new Incompletion(SW.parametersWrong);
  return { kind: 'directory', fciTemplate, records };
}

/** Where each kind of payment application keeps its internal data, and which tags its offline limits have. */
const DIALECTS = {
  'payment-ccd': {
    version: 'CCI-A5',
    internal: { mandatory: '3000', optional: '3001' },
    limits: ['9F14', '9F23'],
  },
  'payment-vsdc': {
    version: 'CVN-18',
    internal: { mandatory: '0D01', optional: '0E01' },
    limits: ['9F58', '9F59'],
  },
} as const;
type PaymentKind = keyof typeof DIALECTS;

function paymentContents(kind: PaymentKind, staged: Staged): PaymentContents {
  const { version, internal: place, limits } = DIALECTS[kind];
  const fciTemplate = fciTemplateOf(staged);
  const gpoResponse = mandatory(staged, '9104').slice();
  const gpo = parseTlv(gpoResponse);
  const aip = requireLength(findTag(gpo, '82')?.value, 2);
  const records = recordsOf(kind, staged);
  requireFiles(records, findTag(gpo, '94')?.value);
  const recordNodes = parseTlv(concatRecords(records));
  const keys = mandatory(staged, '8000');
  mandatory(staged, '9000');
  const internal = internalData(staged, place);
  const pinTries = staged.get('9010');
  return {
    kind: 'payment',
    fciTemplate,
    records,
    pdol: dolOf(findTag(parseTlv(fciTemplate), '9F38')?.value),
    cdol1: mandatoryDol(findTag(recordNodes, '8C')?.value),
    cdol2: mandatoryDol(findTag(recordNodes, '8D')?.value),
    ddol: dolOf(findTag(recordNodes, '9F49')?.value ?? unhex('9F3704')),
    aip,
    gpoResponse,
    acMasterKey: keys.slice(0, 16),
    cryptogramVersion: version,
    defaultIad: iadOf(version, findTag(parseTlv(mandatory(staged, '9200')), '9F10')?.value),
    signingKey: signingKeyOf(staged, aip),
    referencePin: staged.get('8010')?.slice(),
    pinTryLimit: pinTries?.[1] ?? DEFAULT_PIN_TRIES,
    lowerOfflineLimit: internal(limits[0])?.[0] ?? NO_OFFLINE_LIMIT,
    upperOfflineLimit: internal(limits[1])?.[0] ?? NO_OFFLINE_LIMIT,
    logFormat: internal('9F4F'),
    counters: {
      atc: toNumber(requireLength(internal('9F36') ?? defaultAtc(kind), 2)),
      lastOnlineAtc: 0,
      pinTriesLeft: pinTries?.[0] ?? DEFAULT_PIN_TRIES,
      isLastOnlineIncomplete: false,
      goesOnlineNext: false,
    },
  };
}

function mandatory(staged: Staged, id: string): Uint8Array {
  const value = staged.get(id);
  if (value === undefined) throw new Incompletion(SW.parametersWrong);
  return value;
}

function fciTemplateOf(staged: Staged): Uint8Array {
  const nodes = parseTlv(mandatory(staged, '9102'));
  const [node] = nodes;
  if (nodes.length !== 1 || node?.tag !== 'A5') throw new Incompletion(SW.dataWrong);
  return tlv('A5', node.value);
}

/** A VSDC-like card counts from zero unless told otherwise; a CCD card is told. */
function defaultAtc(kind: PaymentKind): Uint8Array | undefined {
  return kind === 'payment-vsdc' ? new Uint8Array(2) : undefined;
}

function recordsOf(kind: ApplicationKind, staged: Staged): RecordFiles {
  const records = new RecordFiles();
  for (const [id, value] of staged) {
    const place = recordDgiPlace(kind, id);
    if (place !== undefined) records.store(place.sfi, place.record, value.slice());
  }
  return records;
}

/** Every record that the AFL names must be there. */
function requireFiles(records: RecordFiles, afl: Uint8Array | undefined): void {
  if (afl === undefined || afl.length === 0) throw new Incompletion(SW.parametersWrong);
  for (const { sfi, first, last } of parseAfl(afl)) {
    for (let record = first; record <= last; record += 1) {
      if (!records.has(sfi, record)) throw new Incompletion(SW.parametersWrong);
    }
  }
}

/** The contents of all templates 70, one after the other. */
function concatRecords(records: RecordFiles): Uint8Array {
  const values = records
    .all()
    .flatMap((record) => parseTlv(record))
    .filter((node) => node.tag === '70')
    .map((node) => node.value);
  return concatBytes(...values);
}

/** Looks tags up in the two DGIs of internal data, one after the other. */
function internalData(
  staged: Staged,
  place: { readonly mandatory: string; readonly optional: string },
): (tag: string) => Uint8Array | undefined {
  const common = parseTlv(mandatory(staged, place.mandatory));
  const own = staged.get(place.optional);
  const nodes = own === undefined ? common : [...common, ...parseTlv(own)];
  return (tag) => findTag(nodes, tag)?.value.slice();
}

function dolOf(value: Uint8Array | undefined): DolEntry[] {
  return value === undefined ? [] : parseDol(value);
}

function mandatoryDol(value: Uint8Array | undefined): DolEntry[] {
  if (value === undefined) throw new Incompletion(SW.parametersWrong);
  return parseDol(value);
}

function iadOf(version: CryptogramVersion, value: Uint8Array | undefined): Uint8Array {
  if (value === undefined) throw new Incompletion(SW.parametersWrong);
  if (!isIadOf(version, value)) throw new Incompletion(SW.dataWrong);
  return value.slice();
}

/** The RSA key must be there when the AIP promises DDA or CDA, and must be whole in any case. */
function signingKeyOf(staged: Staged, aip: Uint8Array): CrtPrivateKey | undefined {
  const isPromised = ((aip[0] ?? 0) & (AIP_DDA | AIP_CDA)) !== 0;
  const isAbsent = ['8201', '8202', '8203', '8204', '8205'].every((id) => !staged.has(id));
  if (isAbsent && !isPromised) return undefined;
  const key = crtPrivateKeyOf({
    qInv: mandatory(staged, '8201'),
    dQ: mandatory(staged, '8202'),
    dP: mandatory(staged, '8203'),
    q: mandatory(staged, '8204'),
    p: mandatory(staged, '8205'),
  });
  if (key === undefined) throw new Incompletion(SW.dataWrong);
  return key;
}

function requireLength(value: Uint8Array | undefined, length: number): Uint8Array {
  if (value === undefined) throw new Incompletion(SW.parametersWrong);
  if (value.length !== length) throw new Incompletion(SW.dataWrong);
  return value.slice();
}

function toNumber(bytes: Uint8Array): number {
  return bytes.reduce((sum, byte) => sum * 256 + byte, 0);
}
