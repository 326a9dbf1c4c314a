/**
 * What the card remembers without power (EEPROM): life cycles, key sets, counters, application instances.
 *
 * Invariants: nothing here is cleared by a reset; a terminated card never changes again; an instance
 * has `contents` only after a complete personalization.
 */
import { aesCmac, concatBytes, cpsCardKeyData, hex, kdf3Input, tdesEcbEncrypt, unhex } from '@cardwright/emv';
import { type ApplicationContents } from './application-contents.ts';

export type SecureChannelProtocol = 'SCP02' | 'SCP03';

/** GlobalPlatform card life cycle, with the coding of SET STATUS and GET STATUS. */
export const CARD_LIFE_CYCLE = {
  OP_READY: 0x01,
  INITIALIZED: 0x07,
  SECURED: 0x0f,
  CARD_LOCKED: 0x7f,
  TERMINATED: 0xff,
} as const;
export type CardLifeCycle = keyof typeof CARD_LIFE_CYCLE;

/** GlobalPlatform application life cycle; a lock is a flag on top of it (b8). */
export const APPLICATION_LIFE_CYCLE = { INSTALLED: 0x03, SELECTABLE: 0x07, PERSONALIZED: 0x0f } as const;
export type ApplicationLifeCycle = keyof typeof APPLICATION_LIFE_CYCLE;

/** One version of the three static keys of the security domain. */
export interface StaticKeySet {
  readonly version: number;
  readonly enc: Uint8Array;
  readonly mac: Uint8Array;
  readonly dek: Uint8Array;
}

/** A directory, or a payment application: CCD, or VSDC-like with cryptogram version number 18. */
export type ApplicationKind = 'directory' | 'payment-ccd' | 'payment-vsdc';

export interface ApplicationInstance {
  readonly aid: Uint8Array;
  readonly kind: ApplicationKind;
  lifeCycle: ApplicationLifeCycle;
  isLocked: boolean;
  /** DGIs received so far (deciphered), by upper-case DGI identifier. Empty once personalized. */
  readonly staged: Map<string, Uint8Array>;
  contents: ApplicationContents | undefined;
}

export interface CardMemory {
  readonly protocol: SecureChannelProtocol;
  readonly keyData: Uint8Array;
  readonly cplc: Uint8Array;
  lifeCycle: CardLifeCycle;
  /** Insertion order decides which key set answers key version 00. */
  keySets: StaticKeySet[];
  /** Sequence counter of the secure channel: 2 bytes under SCP02, 3 bytes under SCP03. */
  sequenceCounter: number;
  consecutiveAuthenticationFailures: number;
  instances: ApplicationInstance[];
}

export const ISD_AID = unhex('A000000151000000');
const PSE_AID = new TextEncoder().encode('1PAY.SYS.DDF01');
const PPSE_AID = new TextEncoder().encode('2PAY.SYS.DDF01');
export const REFERENCE_APPLICATION_AID = unhex('F0434152440001');
export const VSDC_APPLICATION_AID = unhex('F0434152440002');

/** The load file in ROM, and its modules: what INSTALL [for install] may instantiate. */
export const LOAD_FILE_AID = unhex('F0434152445000');
export const MODULES: readonly { readonly aid: Uint8Array; readonly kind: ApplicationKind }[] = [
  { aid: unhex('F043415244500001'), kind: 'directory' },
  { aid: unhex('F043415244500002'), kind: 'payment-ccd' },
  { aid: unhex('F043415244500003'), kind: 'payment-vsdc' },
];

/** After so many failed EXTERNAL AUTHENTICATE in a row the security domain stays shut. */
export const MAX_AUTHENTICATION_FAILURES = 10;

const KMC_ID = unhex('999900FFFFFF');

export function newInstance(aid: Uint8Array, kind: ApplicationKind): ApplicationInstance {
  return { aid, kind, lifeCycle: 'SELECTABLE', isLocked: false, staged: new Map(), contents: undefined };
}

export function findInstance(memory: CardMemory, aid: Uint8Array): ApplicationInstance | undefined {
  return memory.instances.find((instance) => hex(instance.aid) === hex(aid));
}

/**
 * The memory of a blank: two directories and both payment applications, selectable; a host personalizes one of them; diversified keys, CPLC with this chip's serial.
 *
 * @param blank.serial 4 to 6 bytes; the last four are the IC serial number (and the CSN of the key data), what
 *   precedes them is the batch.
 * @throws RangeError for a serial of another length
 */
export function blankCardMemory(blank: {
  readonly protocol: SecureChannelProtocol;
  readonly kmc: Uint8Array;
  readonly serial: Uint8Array;
  readonly keyVersion: number;
}): CardMemory {
  if (blank.serial.length < 4 || blank.serial.length > 6)
    throw new RangeError('a chip serial has 4 to 6 bytes');
  const chipSerial = blank.serial.subarray(-4);
  const keyData = concatBytes(KMC_ID, chipSerial);
  return {
    protocol: blank.protocol,
    keyData,
    cplc: cplcOf(chipSerial, blank.serial.subarray(0, -4)),
    lifeCycle: 'SECURED',
    keySets: [diversifiedKeySet(blank.protocol, blank.kmc, keyData, blank.keyVersion)],
    sequenceCounter: 0,
    consecutiveAuthenticationFailures: 0,
    instances: [
      newInstance(PSE_AID, 'directory'),
      newInstance(PPSE_AID, 'directory'),
      newInstance(REFERENCE_APPLICATION_AID, 'payment-ccd'),
      newInstance(VSDC_APPLICATION_AID, 'payment-vsdc'),
    ],
  };
}

/** Card keys from the master key: EMV CPS derivation under SCP02, SP800-108 over AES-CMAC under SCP03. */
function diversifiedKeySet(
  protocol: SecureChannelProtocol,
  kmc: Uint8Array,
  keyData: Uint8Array,
  version: number,
): StaticKeySet {
  const derive = (purpose: 1 | 2 | 3): Uint8Array =>
    protocol === 'SCP02'
      ? tdesEcbEncrypt(kmc, cpsCardKeyData(keyData, purpose))
      : aesCmac(kmc, kdf3Input(purpose, keyData));
  return { version, enc: derive(1), mac: derive(2), dek: derive(3) };
}

/** The 42 bytes of card production life cycle data; everything but the serial and batch is fixed. */
function cplcOf(chipSerial: Uint8Array, batch: Uint8Array): Uint8Array {
  const batchId = concatBytes(new Uint8Array(2 - batch.length), batch);
  return concatBytes(
    unhex('43570001435700010001'), // fabricator, IC type, operating system, its release date and level
    unhex('6001'), // fabrication date: year digit and day of the year
    chipSerial,
    batchId,
    unhex('4357600243576003'), // module and embedding
    unhex('43576004'), // pre-personalizer and date
    unhex('00000001'), // pre-personalization equipment
    unhex('0000000000000000'), // personalizer, date, equipment: not personalized by a bureau
  );
}
