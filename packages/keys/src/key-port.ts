/**
 * The key port: every operation with a secret key, behind opaque handles.
 *
 * Invariant: no method returns secret bytes. What leaves the port is ciphertext, MACs, signatures, card
 * verification values (which are card data, not keys) and public keys. An adapter may hold keys in software, in
 * PKCS#11 or elsewhere; callers cannot tell. Everything is asynchronous because tokens are slow.
 */
export type KeyAlgorithm = 'TDES-2KEY' | 'AES-128' | 'AES-256' | 'HMAC-SHA256' | 'RSA' | 'EC-P256';

/** What a key may be used for, in X9.143 terms where they exist. */
export type KeyUsage =
  | 'IMK-AC' // E0
  | 'IMK-SMI' // E2
  | 'IMK-SMC' // E1
  | 'CVK' // C0
  | 'PIN' // P0, an issuer's PIN encryption key
  | 'PVK' // V2, PIN verification values
  | 'KBPK' // K1, wraps and unwraps key blocks
  | 'KMC' // E5
  | 'CARD-STATIC' // derived from KMC for one card
  | 'CARD-SESSION' // derived from CARD-STATIC for one secure channel
  | 'UDK' // derived from an IMK for one card
  | 'AC-SESSION' // derived from a UDK for one transaction (EMV CSK): application cryptograms and ARPC
  | 'CA' // RSA, EMV test CA
  | 'ISSUER' // RSA, EMV issuer key
  | 'ICC' // RSA, one card's key
  | 'JWE-RECIPIENT' // EC, opens encryptedData
  | 'SEAL' // AES-256, seals plans, tickets, pool entries
  | 'TOKEN'; // HMAC, PAN tokens and fingerprints

export interface KeyHandle {
  /** Name for long-lived keys (`imk-ac/1`), a random id for derived ones. */
  readonly id: string;
  readonly algorithm: KeyAlgorithm;
  readonly usage: KeyUsage;
}

export interface RsaPublicKey {
  readonly modulus: Uint8Array;
  readonly exponent: Uint8Array;
}

export interface KeyInfo {
  readonly handle: KeyHandle;
  readonly environment: 'test' | 'production';
  /** Key check value and how it was computed, for symmetric keys. */
  readonly kcv?: { readonly method: 'TDES-ECB-0' | 'AES-CMAC-0'; readonly value: Uint8Array };
}

/** How a secret value is enciphered for the card: SCP02 (3DES-ECB) or SCP03 (AES-CBC, zero IV). */
export type DekMode = 'TDES-ECB' | 'AES-CBC';

/** ISO 9564 formats in which an issuer may send a PIN: 4 under AES, 0 and 3 under 3DES. */
export type IssuerPinFormat = 'ISO9564-4' | 'ISO9564-0' | 'ISO9564-3';

/** ISO 9564 formats of the reference PIN that a chip stores. */
export type ReferencePinFormat = 'ISO9564-2' | 'ISO9564-1';

/** A PIN as its issuer sent it. Nothing that is not a key adapter can open it. */
export interface EncipheredPin {
  /** The issuer's PIN key. */
  readonly key: KeyHandle;
  readonly format: IssuerPinFormat;
  /** 16 bytes for format 4, 8 bytes for formats 0 and 3. */
  readonly block: Uint8Array;
  /** The card number that the block is bound to, 12 to 19 digits. */
  readonly pan: string;
}

export interface KeyPort {
  readonly adapter: string;
  /** A long-lived key by name. @throws KeyError KEY_NOT_FOUND */
  find(name: string): Promise<KeyHandle>;
  list(): Promise<readonly KeyInfo[]>;
  /** Forgets a derived or generated key. Safe to call twice; a long-lived key stays. */
  release(key: KeyHandle): Promise<void>;
  /** Public random bytes (challenges). The only synchronous method: no key takes part. */
  randomBytes(length: number): Uint8Array;

  // --- symmetric primitives (used by secure channels and verification) ---
  /** 3DES-CBC encryption; data is a multiple of 8. */
  tdesCbcEncrypt(key: KeyHandle, iv: Uint8Array, data: Uint8Array): Promise<Uint8Array>;
  /** ISO/IEC 9797-1 MAC algorithm 3; `data` unpadded, `padding` 1 or 2; 8 bytes. `iv` defaults to zeros. */
  retailMac(key: KeyHandle, data: Uint8Array, padding: 1 | 2, iv?: Uint8Array): Promise<Uint8Array>;
  /** Single-DES ECB encryption of one block under the first half of a TDES session key (SCP02 ICV). */
  desFirstHalfEncrypt(key: KeyHandle, block: Uint8Array): Promise<Uint8Array>;
  aesCmac(key: KeyHandle, data: Uint8Array): Promise<Uint8Array>;
  aesEcbEncrypt(key: KeyHandle, block: Uint8Array): Promise<Uint8Array>;
  aesCbcEncrypt(key: KeyHandle, iv: Uint8Array, data: Uint8Array): Promise<Uint8Array>;
  hmac(key: KeyHandle, data: Uint8Array): Promise<Uint8Array>;

  // --- derivation: a new handle, never bytes ---
  /** new TDES key = 3DES-ECB(key, 16 bytes of data), optionally with odd parity. */
  deriveTdesEcb(key: KeyHandle, data: Uint8Array, usage: KeyUsage, oddParity: boolean): Promise<KeyHandle>;
  /** new TDES key = 3DES-CBC(key, iv 0, 16 bytes of data) (SCP02 session keys). */
  deriveTdesCbc(key: KeyHandle, data: Uint8Array, usage: KeyUsage): Promise<KeyHandle>;
  /** new AES key = SP800-108 counter KDF with AES-CMAC; `inputs` are the PRF inputs in order: 1 for AES-128, 2 for AES-256. */
  deriveAesCmac(key: KeyHandle, inputs: readonly Uint8Array[], usage: KeyUsage): Promise<KeyHandle>;

  // --- wrapping secrets for one chip ---
  /** UDKs (16 bytes each), concatenated without padding, enciphered under a card's data encryption key. */
  wrapForCard(dek: KeyHandle, mode: DekMode, keys: readonly KeyHandle[]): Promise<Uint8Array>;
  /**
   * The CRT parts of an RSA key in DGI order (q^-1 mod p, d mod (q-1), d mod (p-1), q, p), each left-padded to
   * half the modulus, always 80-padded to the cipher block, enciphered under the card's DEK.
   */
  wrapRsaForCard(dek: KeyHandle, mode: DekMode, key: KeyHandle): Promise<readonly Uint8Array[]>;
  /** The reference PIN (DGI 8010) in `format`, 80-padded where the cipher block is longer, under the card's DEK.
   * @throws KeyError PIN_BLOCK_INVALID */
  wrapPinForCard(
    dek: KeyHandle,
    mode: DekMode,
    pin: EncipheredPin,
    format: ReferencePinFormat,
  ): Promise<Uint8Array>;
  /** Key check value: TDES, 3 bytes, over zeros. */
  kcv(key: KeyHandle): Promise<Uint8Array>;

  // --- RSA ---
  generateRsa(bits: number, exponent: 3 | 65537, usage: 'CA' | 'ISSUER' | 'ICC'): Promise<KeyHandle>;
  rsaPublic(key: KeyHandle): Promise<RsaPublicKey>;
  /** Raw RSA (no padding) over a block as long as the modulus: EMV certificates. */
  rsaRawSign(key: KeyHandle, block: Uint8Array): Promise<Uint8Array>;

  // --- card verification values ---
  /** Three digits (ISO 7813 card verification value). `expiryYYMM`, `serviceCode` are digits. */
  cvv(cvk: KeyHandle, pan: string, expiryYYMM: string, serviceCode: string): Promise<string>;

  // --- PINs: opened, used and wiped inside; no method takes or returns a clear one ---
  /** Resolves when the block is a PIN of its card. @throws KeyError PIN_BLOCK_INVALID, alike for every cause */
  checkPinBlock(pin: EncipheredPin): Promise<void>;
  /** PIN verification value, four digits; `pvki` is one digit. @throws KeyError PIN_BLOCK_INVALID */
  pvv(pvk: KeyHandle, pvki: string, pin: EncipheredPin): Promise<string>;

  // --- sealing: authenticated encryption under a key that never leaves ---
  /** AES-256-GCM; `context` is bound as additional data. */
  seal(key: KeyHandle, plaintext: Uint8Array, context: string): Promise<Uint8Array>;
  /** @throws KeyError SEAL_BROKEN, alike for every cause */
  unseal(key: KeyHandle, sealed: Uint8Array, context: string): Promise<Uint8Array>;
  /** Seals a generated RSA key so that it can leave the process (pool, plan). */
  sealRsa(sealKey: KeyHandle, key: KeyHandle, context: string): Promise<Uint8Array>;
  /** @throws KeyError SEAL_BROKEN */
  unsealRsa(sealKey: KeyHandle, sealed: Uint8Array, context: string): Promise<KeyHandle>;

  // --- JWE ---
  /** Z of ECDH with an ephemeral P-256 key, run through the Concat KDF of RFC 7518 4.6 and used at once:
   * opens one compact JWE (ECDH-ES, A256GCM). The caller wipes the plaintext. @throws KeyError JWE_INVALID */
  openJwe(key: KeyHandle, jwe: string): Promise<Uint8Array>;
  /** Public half of a JWE-RECIPIENT key. */
  ecPublicJwk(key: KeyHandle): Promise<{ kty: 'EC'; crv: 'P-256'; x: string; y: string; kid: string }>;
}

export type KeyErrorCode =
  | 'KEY_NOT_FOUND'
  | 'KEY_USAGE'
  | 'KEY_RETIRED'
  | 'SEAL_BROKEN'
  | 'JWE_INVALID'
  | 'PIN_BLOCK_INVALID'
  | 'KEY_STORE'
  /** The adapter cannot do this operation, or not without showing key bytes to the host, which is forbidden. */
  | 'KEY_OPERATION_REFUSED';

/** Raised by adapters. Messages name keys, never their bytes or the data. */
export class KeyError extends Error {
  override readonly name = 'KeyError';
  readonly code: KeyErrorCode;

  constructor(code: KeyErrorCode, message: string) {
    super(message);
    this.code = code;
  }
}
