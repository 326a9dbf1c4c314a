/**
 * A PC/SC service of its own: pcscd with the virtual reader in a network and mount namespace, so that it meets
 * neither another pcscd on the machine nor another test, and the reader's open port is reachable from nowhere.
 *
 * Runs as root inside `unshare --net --mount`; `inPrivateNamespace` starts a program there.
 */
import { execFileSync, spawn, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, mkdirSync } from 'node:fs';
import { type Readable } from 'node:stream';
import { setTimeout as delay } from 'node:timers/promises';
import { requirePackages } from '../../tools/debian-packages.ts';

export const readerName = 'Virtual PCD 00 00';
/** Where the virtual reader waits for a card: fixed by the Debian package. */
export const readerPort = 0x8c7b;
const socketFolder = '/run/pcscd';
const startLimitMs = 15_000;

/**
 * Runs a script in new namespaces and returns what it printed.
 * @throws Error when it fails, with what it wrote to standard error
 */
export function inPrivateNamespace(script: string, limitMs: number): string {
  requirePackages(['pcscd', 'vsmartcard-vpcd', 'opensc', 'pcsc-tools', 'cardpeek', 'iproute2', 'util-linux']);
  const run = spawnSync('unshare', ['--net', '--mount', process.execPath, script], {
    encoding: 'utf8',
    timeout: limitMs,
    maxBuffer: 64 * 1024 * 1024,
  });
  if (run.status === 0) return run.stdout;
  const cause = run.error?.message ?? `status ${String(run.status)}`;
  throw new Error(`${script} in a private namespace (needs root): ${cause}\n${run.stderr}`);
}

export interface PcscService {
  stop(): Promise<void>;
}

/** Starts pcscd; resolves when it takes clients. Only inside the namespace. */
export async function startPcsc(): Promise<PcscService> {
  execFileSync('ip', ['link', 'set', 'lo', 'up']);
  // The virtual reader writes length and body apart; without quick acknowledgement each command waits 40 ms.
  for (const network of ['127.0.0.0/8', '127.0.0.1']) {
    const route = ['local', network, 'dev', 'lo', 'table', 'local', 'proto', 'kernel', 'scope', 'host'];
    execFileSync('ip', ['route', 'change', ...route, 'src', '127.0.0.1', 'quickack', '1']);
  }
  mkdirSync(socketFolder, { recursive: true });
  execFileSync('mount', ['-t', 'tmpfs', 'tmpfs', socketFolder]);
  const service = spawn('pcscd', ['--foreground'], { stdio: 'ignore' });
  const ended = once(service, 'exit');
  const deadline = Date.now() + startLimitMs;
  while (!existsSync(`${socketFolder}/pcscd.comm`)) {
    if (service.exitCode !== null || Date.now() > deadline) throw new Error('pcscd did not start');
    await delay(20);
  }
  return {
    stop: async () => {
      service.kill();
      await ended;
    },
  };
}

/** A client that asks again and again because its input ended must not fill the memory. */
const maxOutputCharacters = 4 * 1024 * 1024;

async function collect(stream: Readable): Promise<string> {
  let text = '';
  for await (const chunk of stream.setEncoding('utf8')) {
    text += chunk as string;
    if (text.length > maxOutputCharacters) throw new Error(`endless output: ${text.slice(-200)}`);
  }
  return text;
}

/** Runs a PC/SC client with `input`; returns what it printed. @throws Error when it fails */
export async function runClient(
  command: string,
  args: readonly string[],
  input = '',
  environment: NodeJS.ProcessEnv = process.env,
): Promise<string> {
  const client = spawn(command, args, { stdio: ['pipe', 'pipe', 'pipe'], env: environment, timeout: 60_000 });
  // A client that does not read its input to the end is no failure.
  client.stdin.on('error', () => undefined);
  client.stdin.end(input);
  const ended = once(client, 'exit');
  const [output, errors] = await Promise.all([collect(client.stdout), collect(client.stderr)]).finally(() => {
    client.kill();
  });
  await ended;
  if (client.exitCode === 0) return output;
  throw new Error(`${command} ended with ${String(client.exitCode)}: ${errors}`);
}
