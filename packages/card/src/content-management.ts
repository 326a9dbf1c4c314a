/**
 * GlobalPlatform card content management: INSTALL, DELETE, PUT KEY, SET STATUS, GET STATUS. Commands arrive here
 * unwrapped, from an authenticated host.
 *
 * Invariants: nothing is changed before every field of the command was checked; a terminated card cannot come back;
 * the host cannot declare an application personalized, only the application can.
 */
import { aesGpKcv, concatBytes, equalBytes, hex, parseTlv, tdesKcv, tlv } from '@cardwright/emv';
import {
  type ApplicationInstance,
  type CardLifeCycle,
  type CardMemory,
  type StaticKeySet,
  APPLICATION_LIFE_CYCLE,
  CARD_LIFE_CYCLE,
  ISD_AID,
  LOAD_FILE_AID,
  MODULES,
  findInstance,
  newInstance,
} from './card-memory.ts';
import { wipeStaged } from './personalization-completion.ts';
import { type PlainCommand } from './secure-channel.ts';
import { SW, accept, refuse } from './status-word.ts';

const INSTALL_ANSWER = Uint8Array.of(0x00);
const LOCK_BIT = 0x80;
const KEY_BYTES = 16;
const KCV_BYTES = 3;
const LOADED = 0x01;

/** INSTALL [for install] (P1 04), [make selectable] (08) or both (0C): a new instance of a module in ROM. */
export function performInstall(memory: CardMemory, command: PlainCommand): Uint8Array {
  const fields = lengthValueFields(command.data, 6);
  if (command.p2 !== 0) return refuse(SW.parametersWrong);
  const [loadFile, moduleAid, aid, privileges] = fields ?? [];
  if (loadFile === undefined || moduleAid === undefined || aid === undefined || privileges === undefined) {
    return refuse(SW.dataWrong);
  }
  if (command.p1 === 0x08) return makeSelectable(memory, aid);
  const module = MODULES.find((candidate) => equalBytes(candidate.aid, moduleAid));
  if (!equalBytes(loadFile, LOAD_FILE_AID) || module === undefined) return refuse(SW.referenceNotFound);
  const isAidWrong = aid.length < 5 || aid.length > 16;
  if (isAidWrong || findInstance(memory, aid) !== undefined || equalBytes(aid, ISD_AID)) {
    return refuse(SW.dataWrong);
  }
  const instance = newInstance(aid, module.kind);
  if (command.p1 === 0x04) instance.lifeCycle = 'INSTALLED';
  memory.instances.push(instance);
  return accept(INSTALL_ANSWER);
}

function makeSelectable(memory: CardMemory, aid: Uint8Array): Uint8Array {
  const instance = findInstance(memory, aid);
  if (instance === undefined) return refuse(SW.referenceNotFound);
  if (instance.lifeCycle !== 'INSTALLED') return refuse(SW.conditionsNotSatisfied);
  instance.lifeCycle = 'SELECTABLE';
  return accept(INSTALL_ANSWER);
}

/** The instance that INSTALL [for personalization] names: `00 00 L AID 00 00 00`; undefined when malformed. */
export function personalizationTargetAid(data: Uint8Array): Uint8Array | undefined {
  const fields = lengthValueFields(data, 6);
  if (fields === undefined) return undefined;
  const [loadFile, module, aid, ...rest] = fields;
  const areOthersEmpty = [loadFile, module, ...rest].every((field) => field?.length === 0);
  return areOthersEmpty && aid !== undefined && aid.length > 0 ? aid : undefined;
}

/** DELETE an instance: `4F L AID`. */
export function performDelete(memory: CardMemory, command: PlainCommand): Uint8Array {
  if (command.p1 !== 0 || (command.p2 & 0x7f) !== 0) return refuse(SW.parametersWrong);
  const aid = singleAid(command.data);
  if (aid === undefined) return refuse(SW.dataWrong);
  const instance = findInstance(memory, aid);
  if (instance === undefined) return refuse(SW.referenceNotFound);
  wipeStaged(instance);
  memory.instances = memory.instances.filter((candidate) => candidate !== instance);
  return accept(Uint8Array.of(0x00));
}

/**
 * PUT KEY for a whole key set: new version, then three times type, enciphered key, check value.
 *
 * @param decipher the data encryption key of the session
 */
export function performPutKey(
  memory: CardMemory,
  command: PlainCommand,
  decipher: (value: Uint8Array) => Uint8Array | undefined,
): Uint8Array {
  if (command.p2 !== 0x81 || command.p1 > 0x7f) return refuse(SW.parametersWrong);
  const replaced = memory.keySets.find((keySet) => keySet.version === command.p1);
  if (command.p1 !== 0 && replaced === undefined) return refuse(SW.referenceNotFound);
  const version = command.data[0] ?? 0;
  const keys = readKeys(memory, command.data.subarray(1), decipher);
  const isVersionWrong = version === 0 || version > 0x7f;
  const isVersionTaken = memory.keySets.some((keySet) => keySet.version === version && keySet !== replaced);
  if (keys === undefined || isVersionWrong || isVersionTaken) return refuse(SW.dataWrong);
  const keySet: StaticKeySet = { version, enc: keys.enc.key, mac: keys.mac.key, dek: keys.dek.key };
  memory.keySets =
    replaced === undefined
      ? [...memory.keySets, keySet]
      : memory.keySets.map((candidate) => (candidate === replaced ? keySet : candidate));
  return accept(concatBytes(Uint8Array.of(version), keys.enc.kcv, keys.mac.kcv, keys.dek.kcv));
}

interface ReceivedKey {
  readonly key: Uint8Array;
  readonly kcv: Uint8Array;
}

function readKeys(
  memory: CardMemory,
  data: Uint8Array,
  decipher: (value: Uint8Array) => Uint8Array | undefined,
): { enc: ReceivedKey; mac: ReceivedKey; dek: ReceivedKey } | undefined {
  // AES keys carry their clear length in front of the cipher text, DES keys do not.
  const prefix = memory.protocol === 'SCP02' ? [0x80, KEY_BYTES] : [0x88, KEY_BYTES + 1, KEY_BYTES];
  const blockBytes = prefix.length + KEY_BYTES + 1 + KCV_BYTES;
  if (data.length !== 3 * blockBytes) return undefined;
  const readOne = (index: number): ReceivedKey | undefined => {
    const block = data.subarray(index * blockBytes, (index + 1) * blockBytes);
    const kcv = block.slice(-KCV_BYTES);
    const isFramed =
      equalBytes(block.slice(0, prefix.length), Uint8Array.from(prefix)) &&
      block[prefix.length + KEY_BYTES] === KCV_BYTES;
    const key = isFramed ? decipher(block.slice(prefix.length, prefix.length + KEY_BYTES)) : undefined;
    if (key === undefined) return undefined;
    const expected = memory.protocol === 'SCP02' ? tdesKcv(key) : aesGpKcv(key);
    return equalBytes(expected, kcv) ? { key, kcv } : undefined;
  };
  const [enc, mac, dek] = [readOne(0), readOne(1), readOne(2)];
  return enc === undefined || mac === undefined || dek === undefined ? undefined : { enc, mac, dek };
}

/** SET STATUS of the card (P1 80) or of an application (P1 40). */
export function performSetStatus(memory: CardMemory, command: PlainCommand): Uint8Array {
  switch (command.p1) {
    case 0x80:
      return setCardStatus(memory, command.p2);
    case 0x40:
      return setApplicationStatus(findInstance(memory, command.data), command.p2);
    default:
      return refuse(SW.parametersWrong);
  }
}

const CARD_TRANSITIONS: Readonly<Record<CardLifeCycle, readonly CardLifeCycle[]>> = {
  OP_READY: ['INITIALIZED', 'SECURED', 'TERMINATED'],
  INITIALIZED: ['SECURED', 'TERMINATED'],
  SECURED: ['CARD_LOCKED', 'TERMINATED'],
  CARD_LOCKED: ['SECURED', 'TERMINATED'],
  TERMINATED: [],
};

function setCardStatus(memory: CardMemory, code: number): Uint8Array {
  const wanted = CARD_TRANSITIONS[memory.lifeCycle].find((state) => CARD_LIFE_CYCLE[state] === code);
  if (wanted === undefined) return refuse(SW.conditionsNotSatisfied);
  memory.lifeCycle = wanted;
  return accept();
}

function setApplicationStatus(instance: ApplicationInstance | undefined, code: number): Uint8Array {
  if (instance === undefined) return refuse(SW.referenceNotFound);
  const isLock = (code & LOCK_BIT) !== 0;
  const isSameState = (code & ~LOCK_BIT) === APPLICATION_LIFE_CYCLE[instance.lifeCycle];
  if (!isLock && !isSameState) return refuse(SW.conditionsNotSatisfied);
  instance.isLocked = isLock;
  return accept();
}

/** GET STATUS: P1 80 the card, 40 applications, 20 load files, 10 load files and modules; P2 02 the TLV format. */
export function readStatus(memory: CardMemory, command: PlainCommand): Uint8Array {
  if (command.p2 !== 0x02) return refuse(SW.parametersWrong);
  const search = searchPrefix(command.data);
  if (search === undefined) return refuse(SW.dataWrong);
  const entries = statusEntries(memory, command.p1);
  if (entries === undefined) return refuse(SW.parametersWrong);
  const found = entries.filter(({ aid }) => hex(aid).startsWith(hex(search)));
  return found.length === 0
    ? refuse(SW.referenceNotFound)
    : accept(concatBytes(...found.map((entry) => statusTemplate(entry))));
}

interface StatusEntry {
  readonly aid: Uint8Array;
  readonly state: number;
  readonly privileges?: Uint8Array;
  readonly modules?: readonly Uint8Array[];
}

function statusEntries(memory: CardMemory, p1: number): StatusEntry[] | undefined {
  const moduleAids = MODULES.map((module) => module.aid);
  switch (p1) {
    case 0x80:
      return [
        { aid: ISD_AID, state: CARD_LIFE_CYCLE[memory.lifeCycle], privileges: Uint8Array.of(0x9e, 0, 0) },
      ];
    case 0x40:
      return memory.instances.map((instance) => ({
        aid: instance.aid,
        state: APPLICATION_LIFE_CYCLE[instance.lifeCycle] | (instance.isLocked ? LOCK_BIT : 0),
        privileges: Uint8Array.of(0, 0, 0),
      }));
    case 0x20:
      return [{ aid: LOAD_FILE_AID, state: LOADED }];
    case 0x10:
      return [{ aid: LOAD_FILE_AID, state: LOADED, modules: moduleAids }];
    default:
      return undefined;
  }
}

function statusTemplate(entry: StatusEntry): Uint8Array {
  return tlv('E3', [
    tlv('4F', entry.aid),
    tlv('9F70', Uint8Array.of(entry.state)),
    ...(entry.privileges === undefined ? [] : [tlv('C5', entry.privileges)]),
    ...(entry.modules ?? []).map((aid) => tlv('84', aid)),
  ]);
}

/** The AID prefix of the search criterion `4F L AID`; empty for all. */
function searchPrefix(data: Uint8Array): Uint8Array | undefined {
  if (data.length === 0) return data;
  return singleAid(data);
}

function singleAid(data: Uint8Array): Uint8Array | undefined {
  try {
    const [node, ...others] = parseTlv(data);
    return node?.tag === '4F' && others.length === 0 ? node.value : undefined;
  } catch {
    return undefined;
  }
}

/** Splits `L V L V …`; undefined unless it is exactly `count` fields. */
function lengthValueFields(data: Uint8Array, count: number): Uint8Array[] | undefined {
  const fields: Uint8Array[] = [];
  let offset = 0;
  while (offset < data.length) {
    const length = data[offset] ?? 0;
    const end = offset + 1 + length;
    if (end > data.length) return undefined;
    fields.push(data.slice(offset + 1, end));
    offset = end;
  }
  return fields.length === count ? fields : undefined;
}
