/**
 * The numbers of PKCS#11 2.40 (pkcs11t.h) that this adapter uses, under their names in the standard.
 *
 * Invariant: only numbers that are used stand here.
 */
export const CKF = { rwSession: 0x2, serialSession: 0x4, osLockingOk: 0x2 } as const;

/** CKU_USER */
export const normalUser = 1;

export const CKO = { publicKey: 2, privateKey: 3, secretKey: 4 } as const;

export const CKK = { rsa: 0x00, ec: 0x03, genericSecret: 0x10, des2: 0x14, aes: 0x1f } as const;

export const CKA = {
  class: 0x000,
  token: 0x001,
  private: 0x002,
  label: 0x003,
  value: 0x011,
  keyType: 0x100,
  id: 0x102,
  sensitive: 0x103,
  encrypt: 0x104,
  decrypt: 0x105,
  wrap: 0x106,
  unwrap: 0x107,
  sign: 0x108,
  verify: 0x10a,
  derive: 0x10c,
  modulus: 0x120,
  modulusBits: 0x121,
  publicExponent: 0x122,
  privateExponent: 0x123,
  prime1: 0x124,
  prime2: 0x125,
  exponent1: 0x126,
  exponent2: 0x127,
  coefficient: 0x128,
  valueLength: 0x161,
  extractable: 0x162,
  modifiable: 0x170,
  ecParameters: 0x180,
  ecPoint: 0x181,
  /** NSS keeps the public value of a private key under this attribute and needs it at import. */
  nssDatabase: 0xd5a0db00,
} as const;

export const CKM = {
  rsaKeyPairGen: 0x0000,
  rsaX509: 0x0003,
  des2KeyGen: 0x0130,
  des3Ecb: 0x0132,
  des3Cbc: 0x0133,
  sha256Hmac: 0x0251,
  genericSecretKeyGen: 0x0350,
  concatenateBaseAndData: 0x0362,
  concatenateDataAndBase: 0x0363,
  sha256KeyDerivation: 0x0393,
  ecKeyPairGen: 0x1040,
  ecdh1Derive: 0x1050,
  aesKeyGen: 0x1080,
  aesEcb: 0x1081,
  aesCbc: 0x1082,
  aesGcm: 0x1087,
  aesCmac: 0x108a,
  des3EcbEncryptData: 0x1102,
  des3CbcEncryptData: 0x1103,
  aesEcbEncryptData: 0x1104,
  aesKeyWrapPad: 0x210a,
} as const;

/** CKD_NULL: the agreed secret as it is. */
export const noKeyDerivation = 1;

/** Return values by name: what a log or an error says instead of a number. */
const returnValueNames: ReadonlyMap<number, string> = new Map([
  [0x002, 'CKR_HOST_MEMORY'],
  [0x005, 'CKR_GENERAL_ERROR'],
  [0x006, 'CKR_FUNCTION_FAILED'],
  [0x007, 'CKR_ARGUMENTS_BAD'],
  [0x010, 'CKR_ATTRIBUTE_READ_ONLY'],
  [0x011, 'CKR_ATTRIBUTE_SENSITIVE'],
  [0x012, 'CKR_ATTRIBUTE_TYPE_INVALID'],
  [0x013, 'CKR_ATTRIBUTE_VALUE_INVALID'],
  [0x020, 'CKR_DATA_INVALID'],
  [0x021, 'CKR_DATA_LEN_RANGE'],
  [0x030, 'CKR_DEVICE_ERROR'],
  [0x031, 'CKR_DEVICE_MEMORY'],
  [0x032, 'CKR_DEVICE_REMOVED'],
  [0x040, 'CKR_ENCRYPTED_DATA_INVALID'],
  [0x041, 'CKR_ENCRYPTED_DATA_LEN_RANGE'],
  [0x054, 'CKR_FUNCTION_NOT_SUPPORTED'],
  [0x060, 'CKR_KEY_HANDLE_INVALID'],
  [0x062, 'CKR_KEY_SIZE_RANGE'],
  [0x063, 'CKR_KEY_TYPE_INCONSISTENT'],
  [0x068, 'CKR_KEY_FUNCTION_NOT_PERMITTED'],
  [0x069, 'CKR_KEY_NOT_WRAPPABLE'],
  [0x06a, 'CKR_KEY_UNEXTRACTABLE'],
  [0x070, 'CKR_MECHANISM_INVALID'],
  [0x071, 'CKR_MECHANISM_PARAM_INVALID'],
  [0x082, 'CKR_OBJECT_HANDLE_INVALID'],
  [0x090, 'CKR_OPERATION_ACTIVE'],
  [0x0a0, 'CKR_PIN_INCORRECT'],
  [0x0a4, 'CKR_PIN_LOCKED'],
  [0x0b0, 'CKR_SESSION_CLOSED'],
  [0x0b3, 'CKR_SESSION_HANDLE_INVALID'],
  [0x0c0, 'CKR_SIGNATURE_INVALID'],
  [0x0d0, 'CKR_TEMPLATE_INCOMPLETE'],
  [0x0d1, 'CKR_TEMPLATE_INCONSISTENT'],
  [0x0e0, 'CKR_TOKEN_NOT_PRESENT'],
  [0x100, 'CKR_USER_ALREADY_LOGGED_IN'],
  [0x101, 'CKR_USER_NOT_LOGGED_IN'],
  [0x110, 'CKR_WRAPPED_KEY_INVALID'],
  [0x150, 'CKR_BUFFER_TOO_SMALL'],
  [0x190, 'CKR_CRYPTOKI_NOT_INITIALIZED'],
  [0x191, 'CKR_CRYPTOKI_ALREADY_INITIALIZED'],
]);

export const CKR = {
  ok: 0x000,
  generalError: 0x005,
  functionFailed: 0x006,
  attributeSensitive: 0x011,
  attributeTypeInvalid: 0x012,
  dataInvalid: 0x020,
  deviceError: 0x030,
  deviceRemoved: 0x032,
  encryptedDataInvalid: 0x040,
  encryptedDataLengthRange: 0x041,
  functionNotSupported: 0x054,
  sessionClosed: 0x0b0,
  sessionHandleInvalid: 0x0b3,
  signatureInvalid: 0x0c0,
  tokenNotPresent: 0x0e0,
  userAlreadyLoggedIn: 0x100,
  userNotLoggedIn: 0x101,
  cryptokiNotInitialized: 0x190,
} as const;

export function returnValueName(returnValue: number): string {
  return returnValueNames.get(returnValue) ?? `CKR_0x${returnValue.toString(16).padStart(8, '0')}`;
}
