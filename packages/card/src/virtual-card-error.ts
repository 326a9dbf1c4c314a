/** The ways a virtual chip fails to answer at all. A refusal with a status word is an answer, not an error. */
export type VirtualCardErrorCode =
  | 'MUTE' // powered, but does not answer
  | 'REMOVED' // no longer in the reader
  | 'POWERED_OFF'; // in the reader, without power

export class VirtualCardError extends Error {
  override readonly name = 'VirtualCardError';
  readonly code: VirtualCardErrorCode;

  constructor(code: VirtualCardErrorCode) {
    super(`the virtual card gives no answer: ${code}`);
    this.code = code;
  }
}
