/** Raw clients of the simulated service: one that keeps to the protocol, one that sends what it likes. */
import { once } from 'node:events';
import { type Socket, connect } from 'node:net';

export interface RpcAnswer {
  readonly jsonrpc: string;
  readonly id: string | number | null;
  readonly result?: string;
  readonly error?: { readonly code: number; readonly message: string };
}

export async function openSocket(port: number): Promise<Socket> {
  const socket = connect({ host: '127.0.0.1', port, allowHalfOpen: true });
  await once(socket, 'connect');
  return socket;
}

/** Everything the service sends until it closes. */
export async function readToEnd(socket: Socket): Promise<string> {
  const chunks: Buffer[] = [];
  socket.on('data', (chunk: Buffer) => chunks.push(chunk));
  // A service that hangs up with our bytes unread resets the connection; what it said before counts.
  socket.on('error', () => undefined);
  await new Promise<void>((resolve) => {
    socket.once('end', resolve);
    socket.once('close', () => {
      resolve();
    });
  });
  socket.destroy();
  return Buffer.concat(chunks).toString('utf8');
}

/** Sends bytes, half-closes, and returns what came back. */
export async function sendRaw(port: number, bytes: string | Uint8Array): Promise<string> {
  const socket = await openSocket(port);
  socket.end(bytes);
  return readToEnd(socket);
}

export async function callService(
  port: number,
  method: string,
  params: Readonly<Record<string, unknown>> = {},
): Promise<RpcAnswer> {
  const text = await sendRaw(port, JSON.stringify({ jsonrpc: '2.0', id: '7', method, params }));
  return JSON.parse(text) as RpcAnswer;
}
