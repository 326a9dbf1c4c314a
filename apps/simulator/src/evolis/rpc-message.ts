/**
 * The messages of the service: JSON-RPC 2.0 with text results.
 *
 * Invariant: pure; a request that is not one is answered with the error that JSON-RPC has for it.
 */

export interface RpcRequest {
  readonly id: string | number;
  readonly method: string;
  readonly params: Readonly<Record<string, unknown>>;
}

/**
 * Error codes: JSON-RPC's own, and after libevolis the groups −10 session, −20 print, −60 printer, −200 card move.
 * Which code the real service gives for what is not known.
 */
export const rpcErrors = {
  parse: -32700,
  request: -32600,
  method: -32601,
  params: -32602,
  sessionUnknown: -10,
  sessionBusy: -11,
  printFailed: -20,
  printerUnknown: -60,
  printerBusy: -63,
  moveFailed: -200,
} as const;

/** An error that the client is told. */
export class RpcFailure extends Error {
  override readonly name = 'RpcFailure';
  readonly code: number;

  constructor(kind: keyof typeof rpcErrors, message: string) {
    super(message);
    this.code = rpcErrors[kind];
  }
}

/** @throws RpcFailure for bytes that are no request */
export function parseRpcRequest(bytes: Uint8Array): RpcRequest {
  let message: unknown;
  try {
    message = JSON.parse(new TextDecoder('utf-8', { fatal: true }).decode(bytes));
  } catch {
    throw new RpcFailure('parse', 'the request is not JSON');
  }
  if (typeof message !== 'object' || message === null || Array.isArray(message)) {
    throw new RpcFailure('request', 'the request is not an object');
  }
  const { jsonrpc, id, method, params } = message as Record<string, unknown>;
  const hasId = typeof id === 'string' || typeof id === 'number';
  if (jsonrpc !== '2.0' || !hasId || typeof method !== 'string') {
    throw new RpcFailure('request', 'the request is not JSON-RPC 2.0');
  }
  if (typeof params !== 'object' || params === null || Array.isArray(params)) {
    throw new RpcFailure('params', 'params is not an object');
  }
  return { id, method, params: params as Record<string, unknown> };
}

/** @throws RpcFailure when the parameter is missing or not text */
export function textParam(request: RpcRequest, name: string): string {
  const value = request.params[name];
  if (typeof value === 'string') return value;
  throw new RpcFailure('params', `${request.method} needs the text ${name}`);
}

export function rpcResult(id: string | number, result: string): string {
  return JSON.stringify({ jsonrpc: '2.0', id, result });
}

export function rpcError(id: string | number | null, failure: RpcFailure): string {
  return JSON.stringify({ jsonrpc: '2.0', id, error: { code: failure.code, message: failure.message } });
}
