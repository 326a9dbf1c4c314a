/** Requests as bytes, for what no HTTP client would send. */
import { connect } from 'node:tls';
import { readFileSync } from 'node:fs';
import { type ClientAnswer } from '@cardwright/runtime';
import { type World } from './server-fixture.ts';
import { type Thread } from './thread.ts';

/** Sends bytes as they are over the issuer client's TLS and reads until the server closes or answers once. */
export async function rawHttp(
  world: World,
  thread: Thread,
  text: string,
  files?: { readonly cert?: Buffer; readonly key?: Buffer },
): Promise<string> {
  const { issuerClient } = world.parties;
  const identity = files ?? {
    cert: readFileSync(issuerClient.certFile),
    key: readFileSync(issuerClient.keyFile),
  };
  const port = Number(new URL(thread.server.origins.issuer).port);
  return new Promise((resolve, reject) => {
    const socket = connect({
      ...identity,
      port,
      host: '127.0.0.1',
      servername: 'localhost',
      ca: readFileSync(`${world.folder}/server-ca.pem`),
    });
    let received = '';
    socket.on('secureConnect', () => socket.write(text));
    socket.on('data', (chunk: Buffer) => {
      received += chunk.toString('utf8');
      const end = received.indexOf('\r\n\r\n');
      const length = /content-length: (\d+)/i.exec(received)?.[1];
      if (end !== -1 && length !== undefined && received.length >= end + 4 + Number(length)) {
        socket.destroy();
        resolve(received);
      }
    });
    socket.on('error', reject);
    socket.on('close', () => {
      if (received === '') reject(new Error('closed without an answer'));
      else resolve(received);
    });
  });
}

/** A request with a body as it is, whatever it is. */
export async function rawRequest(
  world: World,
  thread: Thread,
  method: string,
  path: string,
  body: string,
  headers: Record<string, string>,
): Promise<ClientAnswer> {
  const head = Object.entries({
    host: 'localhost',
    authorization: `Bearer ${thread.token}`,
    'content-length': String(Buffer.byteLength(body)),
    ...headers,
  }).map(([name, content]) => `${name}: ${content}\r\n`);
  const text = await rawHttp(world, thread, `${method} ${path} HTTP/1.1\r\n${head.join('')}\r\n${body}`);
  const [start = '', ...rest] = text.split('\r\n\r\n');
  const [line = '', ...lines] = start.split('\r\n');
  const pairs = lines.map((one) => [
    one.slice(0, one.indexOf(':')).toLowerCase(),
    one.slice(one.indexOf(':') + 2),
  ]);
  return {
    status: Number(line.split(' ')[1]),
    headers: Object.fromEntries(pairs) as Record<string, string>,
    body: rest.join('\r\n\r\n'),
  };
}
