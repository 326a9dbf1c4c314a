/**
 * The JSON-RPC client of the Evolis service: one request per TCP connection. The client writes its request and
 * half-closes; the service writes one answer and closes.
 *
 * Invariants: an answer is bounded in size and time and fully checked before anybody sees it; a failure says
 * whether the request can have reached the service (`unreachable` means it cannot).
 */
import { randomUUID } from 'node:crypto';
import { connect } from 'node:net';
import { type Clock } from '@cardwright/runtime';

export interface EvolisEndpoint {
  readonly host: string;
  readonly port: number;
}

export interface EvolisRequest {
  /** `SERVICE.Method`. */
  readonly method: string;
  readonly params: Readonly<Record<string, string>>;
  readonly timeoutMs: number;
  readonly signal?: AbortSignal;
}

/**
 * `unreachable`: never connected, nothing was sent. `lost`: connected, but the connection ended without a complete
 * answer. `timeout`: no answer in time. `malformed`: an answer, but not one of this protocol. `refused`: the
 * service answered with an error. `aborted`: the caller gave up.
 */
export type EvolisRpcFailure = 'unreachable' | 'lost' | 'timeout' | 'malformed' | 'refused' | 'aborted';

export class EvolisRpcError extends Error {
  override readonly name = 'EvolisRpcError';
  readonly failure: EvolisRpcFailure;
  /** What the service said, or what went wrong with the connection; never what was sent. */
  readonly detail: string;

  constructor(failure: EvolisRpcFailure, method: string, detail: string) {
    super(`${method}: ${failure} (${detail})`);
    this.failure = failure;
    this.detail = detail;
  }
}

/** Answers of this protocol are short texts; more than this is not one of them. */
const maxAnswerBytes = 64 * 1024;
const maxDetailLength = 200;

/**
 * Sends one request and returns its result as text.
 * @throws EvolisRpcError
 */
export function callEvolis(endpoint: EvolisEndpoint, clock: Clock, request: EvolisRequest): Promise<string> {
  const id = randomUUID();
  const text = JSON.stringify({ jsonrpc: '2.0', id, method: request.method, params: request.params });
  return new Promise((resolve, reject) => {
    const chunks: Buffer[] = [];
    let received = 0;
    let isConnected = false;
    const socket = connect({
      host: endpoint.host,
      port: endpoint.port,
      allowHalfOpen: true,
      noDelay: true,
      keepAlive: true,
    });

    const finish = (end: () => void): void => {
      timer.cancel();
      request.signal?.removeEventListener('abort', abort);
      socket.destroy();
      end();
    };
    const fail = (failure: EvolisRpcFailure, detail: string): void => {
      finish(() => {
        reject(new EvolisRpcError(failure, request.method, detail));
      });
    };
    const abort = (): void => {
      fail('aborted', 'given up by the caller');
    };
    const timer = clock.setTimeout(() => {
      fail(isConnected ? 'timeout' : 'unreachable', `nothing in ${request.timeoutMs} ms`);
    }, request.timeoutMs);

    socket.once('connect', () => {
      isConnected = true;
      socket.end(text);
    });
    socket.on('data', (chunk: Buffer) => {
      received += chunk.length;
      chunks.push(chunk);
      if (received > maxAnswerBytes) fail('malformed', `more than ${maxAnswerBytes} bytes`);
    });
    socket.on('error', (error) => {
      fail(isConnected ? 'lost' : 'unreachable', (error as { code?: string }).code ?? 'socket error');
    });
    socket.once('end', () => {
      if (received === 0) {
        fail('lost', 'closed without an answer');
        return;
      }
      const answer = readAnswer(Buffer.concat(chunks), id);
      if (answer.kind === 'result') {
        finish(() => {
          resolve(answer.text);
        });
      } else fail(answer.kind, answer.detail);
    });
    if (request.signal?.aborted === true) abort();
    else request.signal?.addEventListener('abort', abort, { once: true });
  });
}

type Answer =
  | { readonly kind: 'result'; readonly text: string }
  | { readonly kind: 'malformed' | 'refused'; readonly detail: string };

function malformed(detail: string): Answer {
  return { kind: 'malformed', detail };
}

/** Checks one answer against JSON-RPC 2.0. Only scalar results exist in this protocol. */
function readAnswer(bytes: Uint8Array, id: string): Answer {
  let answer: unknown;
  try {
    answer = JSON.parse(new TextDecoder('utf-8', { fatal: true }).decode(bytes));
  } catch {
    return malformed('not JSON');
  }
  if (typeof answer !== 'object' || answer === null || Array.isArray(answer))
    return malformed('not an object');
  const { jsonrpc, id: answeredId, result, error } = answer as Record<string, unknown>;
  if (jsonrpc !== '2.0') return malformed('not JSON-RPC 2.0');
  // An error about a request that could not be read has no id.
  if (answeredId !== id && !(error !== undefined && answeredId === null))
    return malformed('answers another request');
  if (result !== undefined && error !== undefined) return malformed('both result and error');
  if (error !== undefined) return readError(error);
  if (typeof result === 'string') return { kind: 'result', text: result };
  if (typeof result === 'number' || typeof result === 'boolean')
    return { kind: 'result', text: String(result) };
  return malformed('no result');
}

function readError(error: unknown): Answer {
  if (typeof error !== 'object' || error === null) return malformed('error is not an object');
  const { code, message } = error as Record<string, unknown>;
  if (typeof code !== 'number' || typeof message !== 'string')
    return malformed('error without code or message');
  return { kind: 'refused', detail: `${code} ${message.slice(0, maxDetailLength)}` };
}
