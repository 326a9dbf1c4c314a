/**
 * GlobalPlatform key derivation and cryptogram inputs for SCP02 and SCP03, and card key diversification.
 *
 * Invariant: everything here is a layout; no key takes part, so the vault and the card share one truth about what
 * goes into a cipher or MAC.
 */
import { concatBytes, uintBytes, unhex } from './bytes.ts';
import { EmvError } from './emv-error.ts';

/** The three static keys of a security domain: 1 ENC, 2 MAC, 3 DEK. */
export type CardKeyConstant = 1 | 2 | 3;

/** The AID of the issuer security domain and the instruction bytes of personalization. */
export const issuerSecurityDomainAid = 'A000000151000000';
export const ins = {
  select: 0xa4,
  getData: 0xca,
  initializeUpdate: 0x50,
  externalAuthenticate: 0x82,
  install: 0xe6,
  storeData: 0xe2,
  putKey: 0xd8,
  setStatus: 0xf0,
  getStatus: 0xf2,
  delete: 0xe4,
  getProcessingOptions: 0xa8,
  readRecord: 0xb2,
  internalAuthenticate: 0x88,
  generateAc: 0xae,
  verify: 0x20,
} as const;

function checkKeyData(keyData: Uint8Array): void {
  if (keyData.length !== 10) throw new EmvError('LENGTH_INVALID', 'key diversification data has 10 bytes');
}

function tdesTemplate(part: Uint8Array, constant: CardKeyConstant): Uint8Array {
  return concatBytes(part, Uint8Array.of(0xf0, constant), part, Uint8Array.of(0x0f, constant));
}

/**
 * EMV CPS card key diversification: the 16 bytes that 3DES-ECB under the KMC turns into K-ENC (1), K-MAC (2) or
 * K-DEK (3). Uses the last six bytes of KEYDATA.
 * @param keyData 10 bytes, as in the INITIALIZE UPDATE response
 * @throws EmvError LENGTH_INVALID
 */
export function cpsCardKeyData(keyData: Uint8Array, constant: CardKeyConstant): Uint8Array {
  checkKeyData(keyData);
  return tdesTemplate(keyData.subarray(4), constant);
}

/** The older VISA2 template: bytes 0, 1 and 4 to 7 of KEYDATA instead. @throws EmvError LENGTH_INVALID */
export function visa2CardKeyData(keyData: Uint8Array, constant: CardKeyConstant): Uint8Array {
  checkKeyData(keyData);
  return tdesTemplate(concatBytes(keyData.subarray(0, 2), keyData.subarray(4, 8)), constant);
}

/**
 * SCP03 card key diversification ("kdf3" of GlobalPlatformPro): one PRF input of an SP 800-108 counter KDF,
 * `counter | 00 00 00 constant | 00 | KEYDATA`, 16 bytes. An AES-128 card key is its AES-CMAC under the KMC;
 * longer keys take the CMACs of counters 1 and 2.
 * @throws EmvError LENGTH_INVALID
 */
export function kdf3Input(constant: CardKeyConstant, keyData: Uint8Array, counter: number = 1): Uint8Array {
  checkKeyData(keyData);
  return concatBytes(Uint8Array.of(counter, 0x00, 0x00, 0x00, constant, 0x00), keyData);
}

// --- SCP02 (GlobalPlatform Card Specification, appendix E) ---

export const scp02Constant = { enc: '0182', cMac: '0101', dek: '0181', rMac: '0102' } as const;

/**
 * Input of an SCP02 session key: 3DES-CBC with a zero IV of these 16 bytes under the static key.
 * @param constant two bytes in hexadecimal, see {@link scp02Constant}
 * @param sequence sequence counter, 2 bytes
 * @throws EmvError LENGTH_INVALID
 */
export function scp02SessionKeyData(constant: string, sequence: Uint8Array): Uint8Array {
  const constantBytes = unhex(constant);
  if (constantBytes.length !== 2 || sequence.length !== 2) {
    throw new EmvError('LENGTH_INVALID', 'constant and sequence counter have 2 bytes');
  }
  return concatBytes(constantBytes, sequence, new Uint8Array(12));
}

/** Parts of a secure channel's cryptograms. SCP02: sequence 2 bytes, card challenge 6 bytes. */
export interface Scp02Challenges {
  readonly hostChallenge: Uint8Array;
  readonly sequence: Uint8Array;
  readonly cardChallenge: Uint8Array;
}

/** Input of the SCP02 card cryptogram (full 3DES MAC under S-ENC). */
export function scp02CardCryptogramInput(challenges: Scp02Challenges): Uint8Array {
  return concatBytes(challenges.hostChallenge, challenges.sequence, challenges.cardChallenge);
}

/** Input of the SCP02 host cryptogram (full 3DES MAC under S-ENC). */
export function scp02HostCryptogramInput(challenges: Scp02Challenges): Uint8Array {
  return concatBytes(challenges.sequence, challenges.cardChallenge, challenges.hostChallenge);
}

/** What a card answers to INITIALIZE UPDATE under SCP02, 28 bytes. */
export interface Scp02InitializeUpdateResponse {
  readonly protocol: 'SCP02';
  readonly keyData: Uint8Array;
  readonly keyVersion: number;
  readonly sequence: Uint8Array;
  readonly cardChallenge: Uint8Array;
  readonly cardCryptogram: Uint8Array;
}

// --- SCP03 (GlobalPlatform Card Specification, amendment D) ---

export const scp03Constant = {
  cardCryptogram: 0x00,
  hostCryptogram: 0x01,
  cardChallenge: 0x02,
  enc: 0x04,
  mac: 0x06,
  rMac: 0x07,
} as const;

/**
 * One PRF input of the SCP03 KDF: eleven zeros and the constant as label, 00, the length in bits, the counter, the
 * context. AES-128 keys need counter 1 only; 192 and 256 bits take counters 1 and 2 with that length.
 * @param constant see {@link scp03Constant}
 * @param lengthBits 64 for cryptograms and challenges, else the key's length
 * @param context host challenge and card challenge; for the pseudo-random card challenge sequence and AID
 */
export function scp03KdfInput(
  constant: number,
  lengthBits: number,
  context: Uint8Array,
  counter: number = 1,
): Uint8Array {
  return concatBytes(
    new Uint8Array(11),
    Uint8Array.of(constant, 0x00),
    uintBytes(lengthBits, 2),
    Uint8Array.of(counter),
    context,
  );
}

/** What a card answers to INITIALIZE UPDATE under SCP03 S8: 29 bytes, 32 with the sequence counter. */
export interface Scp03InitializeUpdateResponse {
  readonly protocol: 'SCP03';
  readonly keyData: Uint8Array;
  readonly keyVersion: number;
  /** The i parameter: b5 pseudo-random card challenge, b6 R-MAC, b7 R-MAC and R-ENC. */
  readonly i: number;
  readonly cardChallenge: Uint8Array;
  readonly cardCryptogram: Uint8Array;
  /** Three bytes, only with pseudo-random challenges. */
  readonly sequence?: Uint8Array;
}

export type InitializeUpdateResponse = Scp02InitializeUpdateResponse | Scp03InitializeUpdateResponse;

/**
 * Takes an INITIALIZE UPDATE response apart; `data` is without its status word. SCP03 S16 mode is not supported.
 * @throws EmvError LENGTH_INVALID for any other protocol or length
 */
export function parseInitializeUpdateResponse(data: Uint8Array): InitializeUpdateResponse {
  const keyData = data.slice(0, 10);
  const keyVersion = data[10] ?? 0;
  if (data[11] === 0x02 && data.length === 28) {
    return {
      protocol: 'SCP02',
      keyData,
      keyVersion,
      sequence: data.slice(12, 14),
      cardChallenge: data.slice(14, 20),
      cardCryptogram: data.slice(20, 28),
    };
  }
  const i = data[12] ?? 0;
  const hasSequence = (i & 0x10) !== 0;
  if (data[11] === 0x03 && (i & 0x01) === 0 && data.length === (hasSequence ? 32 : 29)) {
    return {
      protocol: 'SCP03',
      keyData,
      keyVersion,
      i,
      cardChallenge: data.slice(13, 21),
      cardCryptogram: data.slice(21, 29),
      ...(hasSequence ? { sequence: data.slice(29, 32) } : {}),
    };
  }
  throw new EmvError('LENGTH_INVALID', 'not an INITIALIZE UPDATE response of SCP02 or SCP03 S8');
}
