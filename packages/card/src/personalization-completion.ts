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
import { type ApplicationInstance } from './card-memory.ts';
import { type CrtPrivateKey, crtPrivateKeyOf } from './crt-private-key.ts';
import { RecordFiles, recordPlace } from './record-files.ts';
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

const CCD_IAD_BYTES = 32;
const CCD_LENGTH_INDICATOR = 0x0f;
const CCI_TDES = 0xa5;
const AIP_DDA = 0x20;
const AIP_CDA = 0x01;
const NO_OFFLINE_LIMIT = 0;
const DEFAULT_PIN_TRIES = 3;

/** Decides whether the staged DGIs make a complete application. Pure: changes nothing. */
export function decideCompletion(instance: ApplicationInstance): CompletionDecision {
  try {
    const contents =
      instance.kind === 'directory' ? directoryContents(instance.staged) : paymentContents(instance.staged);
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
  const records = recordsOf(staged);
  const sfi = findTag(parseTlv(fciTemplate), '88')?.value[0];
  if (sfi !== undefined && !records.has(sfi, 1)) throw new Incompletion(SW.parametersWrong);
  return { kind: 'directory', fciTemplate, records };
}

function paymentContents(staged: Staged): PaymentContents {
  const fciTemplate = fciTemplateOf(staged);
  const gpoResponse = mandatory(staged, '9104').slice();
  const gpo = parseTlv(gpoResponse);
  const aip = requireLength(findTag(gpo, '82')?.value, 2);
  const records = recordsOf(staged);
  requireFiles(records, findTag(gpo, '94')?.value);
  const recordNodes = parseTlv(concatRecords(records));
  const keys = mandatory(staged, '8000');
  mandatory(staged, '9000');
  const internal = internalData(staged);
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
    defaultIad: iadOf(findTag(parseTlv(mandatory(staged, '9200')), '9F10')?.value),
    signingKey: signingKeyOf(staged, aip),
    referencePin: staged.get('8010')?.slice(),
    pinTryLimit: pinTries?.[1] ?? DEFAULT_PIN_TRIES,
    lowerOfflineLimit: internal('9F14')?.[0] ?? NO_OFFLINE_LIMIT,
    upperOfflineLimit: internal('9F23')?.[0] ?? NO_OFFLINE_LIMIT,
    logFormat: internal('9F4F'),
    counters: {
      atc: toNumber(requireLength(internal('9F36'), 2)),
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

function recordsOf(staged: Staged): RecordFiles {
  const records = new RecordFiles();
  for (const [id, value] of staged) {
    const place = recordPlace(id);
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

/** Looks tags up in the internal data of 3000, then 3001. */
function internalData(staged: Staged): (tag: string) => Uint8Array | undefined {
  const common = parseTlv(mandatory(staged, '3000'));
  const own = staged.get('3001');
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

/** Only the CCD layout with 3DES cryptograms: 0F | CCI | DKI | CVR 5 | counters 8 | 0F | discretionary 15. */
function iadOf(value: Uint8Array | undefined): Uint8Array {
  const iad = requireLength(value, CCD_IAD_BYTES);
  const isCcd = iad[0] === CCD_LENGTH_INDICATOR && iad[1] === CCI_TDES && iad[16] === CCD_LENGTH_INDICATOR;
  if (!isCcd) throw new Incompletion(SW.dataWrong);
  return iad;
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
