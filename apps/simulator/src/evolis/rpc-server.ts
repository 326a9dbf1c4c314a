/**
 * The TCP side of the service: one request per connection. The client writes and half-closes, the service answers
 * and closes.
 *
 * Invariants: a request is bounded in size and in time; a connection that fails never disturbs another, and a client
 * that goes away does not stop what it has begun.
 */
import { type AddressInfo, type Server, type Socket, createServer } from 'node:net';
import { type Clock } from '@cardwright/runtime';
import { RpcFailure, type RpcRequest, parseRpcRequest, rpcError, rpcResult } from './rpc-message.ts';

export interface RpcServerOptions {
  readonly host: string;
  readonly port: number;
  readonly requestTimeoutMs: number;
  readonly clock: Clock;
  /** Answers a request with text. @throws RpcFailure for an error that the client is told */
  readonly serve: (request: RpcRequest) => Promise<string>;
  /** True while the service is cut off: nothing is answered any more. */
  readonly isSilent: () => boolean;
  /** Changes the bytes of an answer on their way out. */
  readonly garble: (method: string, answer: string) => string;
  /** An error that is a bug of the simulator. */
  readonly onBug: (error: unknown) => void;
}

/** Two sides in base64 fit; a request that is larger is none. */
export const maxRequestBytes = 8 * 1024 * 1024;

export interface RpcServer {
  readonly port: number;
  close(): Promise<void>;
}

export async function listenRpc(options: RpcServerOptions): Promise<RpcServer> {
  const sockets = new Set<Socket>();
  const server = createServer({ allowHalfOpen: true, noDelay: true }, (socket) => {
    sockets.add(socket);
    socket.once('close', () => sockets.delete(socket));
    // A client that goes away mid-way is no concern of the service.
    socket.on('error', () => undefined);
    receive(socket, options);
  });
  await listening(server, options);
  return {
    port: (server.address() as AddressInfo).port,
    close: async () => {
      const closed = new Promise<void>((resolve) => {
        server.close(() => {
          resolve();
        });
      });
      for (const socket of sockets) socket.destroy();
      await closed;
    },
  };
}

function listening(server: Server, options: RpcServerOptions): Promise<void> {
  return new Promise((resolve, reject) => {
    server.once('error', reject);
    server.listen(options.port, options.host, () => {
      server.off('error', reject);
      resolve();
    });
  });
}

function receive(socket: Socket, options: RpcServerOptions): void {
  const chunks: Buffer[] = [];
  let received = 0;
  const timer = options.clock.setTimeout(() => socket.destroy(), options.requestTimeoutMs);
  socket.once('close', () => {
    timer.cancel();
  });
  socket.on('data', (chunk: Buffer) => {
    received += chunk.length;
    if (received <= maxRequestBytes) {
      chunks.push(chunk);
      return;
    }
    timer.cancel();
    chunks.length = 0;
    socket.pause();
    socket.end(rpcError(null, new RpcFailure('request', `more than ${maxRequestBytes} bytes`)), () => {
      socket.destroy();
    });
  });
  socket.once('end', () => {
    timer.cancel();
    if (received > maxRequestBytes) return;
    void answer(socket, Buffer.concat(chunks), options);
  });
}

async function answer(socket: Socket, bytes: Uint8Array, options: RpcServerOptions): Promise<void> {
  if (options.isSilent()) return;
  let id: string | number | null = null;
  let method = '';
  let text: string;
  try {
    const request = parseRpcRequest(bytes);
    ({ id, method } = request);
    text = rpcResult(request.id, await options.serve(request));
  } catch (error) {
    if (!(error instanceof RpcFailure)) {
      options.onBug(error);
      socket.destroy();
      return;
    }
    text = rpcError(id, error);
  }
  // The cable may have gone while the printer worked.
  if (!options.isSilent()) socket.end(options.garble(method, text));
}
