/**
 * The server's side of the vault's private API: one function for each question the vault answers.
 *
 * Invariants: every answer is checked against its schema before it is believed; what the vault decides about a
 * request is final, whatever else goes wrong is one fault, VAULT_UNAVAILABLE, that a caller may retry. The server
 * holds blobs that the vault sealed and never looks into them.
 */
import {
  check,
  FingerprintAnswer,
  type FingerprintRequest,
  parseStrictJson,
  PayloadAnswer,
  type PayloadRequest,
  PrepareAnswer,
  type PrepareRequest,
  VaultChipBeginAnswer,
  type VaultChipBeginRequest,
  VaultCryptogramAnswer,
  type VaultCryptogramRequest,
  vaultPaths,
  VaultPublicKeys,
  VaultScriptAnswer,
  type VaultScriptRequest,
} from '@cardwright/protocol';
import { type ClientAnswer, type MtlsClient } from '@cardwright/runtime';
import { type Static, type TSchema } from 'typebox';

/** The vault did not answer, or not as agreed. Always worth another try. */
export class VaultUnavailableError extends Error {
  override readonly name = 'VaultUnavailableError';
  readonly code = 'VAULT_UNAVAILABLE';
  /** Why, as a code for logs: `timeout`, `status-500`, `answer-malformed`. */
  readonly reason: string;

  constructor(reason: string) {
    super(`the vault is not available: ${reason}`);
    this.reason = reason;
  }
}

/** The vault has judged the request itself: asking again cannot help. */
export class VaultRefusedError extends Error {
  override readonly name = 'VaultRefusedError';
  /** The vault's own code, `PLAN_INVALID` for example, or `status-400` when it gave none that can be read. */
  readonly code: string;

  constructor(code: string) {
    super(`the vault refused: ${code}`);
    this.code = code;
  }
}

/** What the vault answers about a request. Other statuses tell of the vault, the way to it or who may use it. */
const finalStatuses: readonly number[] = [400, 413, 422];

export interface VaultLink {
  publicKeys(): Promise<VaultPublicKeys>;
  prepare(request: PrepareRequest): Promise<PrepareAnswer>;
  fingerprint(request: FingerprintRequest): Promise<FingerprintAnswer>;
  payload(request: PayloadRequest): Promise<PayloadAnswer>;
  chipBegin(request: VaultChipBeginRequest): Promise<Static<typeof VaultChipBeginAnswer>>;
  script(request: VaultScriptRequest): Promise<VaultScriptAnswer>;
  cryptogram(request: VaultCryptogramRequest): Promise<Static<typeof VaultCryptogramAnswer>>;
}

const quickMs = 8_000;
const prepareMs = 30_000;

function reasonOf(error: unknown): string {
  const code = (error as { code?: unknown } | null)?.code;
  if (typeof code === 'string') return code;
  return error instanceof Error ? error.name : 'unknown';
}

/** A refusal's code when it looks like one; never any other word of the answer. */
function refusalCodeOf(answer: ClientAnswer): string {
  const body = parseStrictJson(answer.body);
  const code = body.ok ? (body.value as { code?: unknown } | null)?.code : undefined;
  return typeof code === 'string' && /^[A-Z][A-Z_]{1,40}$/.test(code)
    ? code
    : `status-${String(answer.status)}`;
}

/** Speaks to the vault over `client`. Every function throws VaultUnavailableError and VaultRefusedError. */
export function createVaultLink(client: MtlsClient): VaultLink {
  const ask = async <S extends TSchema>(
    schema: S,
    path: string,
    json: unknown,
    timeoutMs: number,
  ): Promise<Static<S>> => {
    let answer;
    try {
      answer = await client.request(
        json === undefined ? { method: 'GET', path, timeoutMs } : { method: 'POST', path, json, timeoutMs },
      );
    } catch (error) {
      throw new VaultUnavailableError(reasonOf(error));
    }
    if (finalStatuses.includes(answer.status)) throw new VaultRefusedError(refusalCodeOf(answer));
    if (answer.status !== 200) throw new VaultUnavailableError(`status-${String(answer.status)}`);
    const body = parseStrictJson(answer.body);
    const checked = body.ok ? check(schema, body.value) : undefined;
    if (checked?.ok !== true) throw new VaultUnavailableError('answer-malformed');
    return checked.value;
  };
  return {
    publicKeys: () => ask(VaultPublicKeys, vaultPaths.publicKeys, undefined, quickMs),
    prepare: (request) => ask(PrepareAnswer, vaultPaths.prepare, request, prepareMs),
    fingerprint: (request) => ask(FingerprintAnswer, vaultPaths.fingerprint, request, quickMs),
    payload: (request) => ask(PayloadAnswer, vaultPaths.payload, request, quickMs),
    chipBegin: (request) => ask(VaultChipBeginAnswer, vaultPaths.chipBegin, request, quickMs),
    script: (request) => ask(VaultScriptAnswer, vaultPaths.script, request, quickMs),
    cryptogram: (request) => ask(VaultCryptogramAnswer, vaultPaths.cryptogram, request, quickMs),
  };
}
