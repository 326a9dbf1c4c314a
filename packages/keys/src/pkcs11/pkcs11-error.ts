/** A refusal of a PKCS#11 module: which function said what. The text carries no data and no key. */
import { CKR, returnValueName } from './cryptoki-constants.ts';

const refusalsOfData: ReadonlySet<number> = new Set([
  CKR.generalError,
  CKR.functionFailed,
  CKR.dataInvalid,
  CKR.encryptedDataInvalid,
  CKR.encryptedDataLengthRange,
  CKR.signatureInvalid,
]);
const lostToken: ReadonlySet<number> = new Set([
  CKR.deviceError,
  CKR.deviceRemoved,
  CKR.sessionClosed,
  CKR.sessionHandleInvalid,
  CKR.tokenNotPresent,
  CKR.userNotLoggedIn,
  CKR.cryptokiNotInitialized,
]);

export class Pkcs11Error extends Error {
  override readonly name = 'Pkcs11Error';
  readonly functionName: string;
  readonly returnValue: number;

  constructor(functionName: string, returnValue: number) {
    super(`${functionName} answered ${returnValueName(returnValue)}`);
    this.functionName = functionName;
    this.returnValue = returnValue;
  }

  /** A decryption that the data is to blame for. Modules do not agree on a value for a wrong tag. */
  get isDataRefused(): boolean {
    return this.functionName === 'C_Decrypt' && refusalsOfData.has(this.returnValue);
  }

  /** The token, the login or the session is gone: only a new start helps. */
  get isTokenLost(): boolean {
    return lostToken.has(this.returnValue);
  }
}
