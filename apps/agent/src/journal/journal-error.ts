/** Why a journal cannot be used. All of them stop the agent: without a journal nothing may move (I6). */
export type JournalErrorCode = 'JOURNAL_IN_USE' | 'JOURNAL_TOO_NEW' | 'JOURNAL_CHANGED';

export class JournalError extends Error {
  override readonly name = 'JournalError';
  readonly code: JournalErrorCode;

  constructor(code: JournalErrorCode, message: string) {
    super(`${code}: ${message}`);
    this.code = code;
  }
}
