/**
 * Ports for a sandbox's processes, chosen before the processes are there.
 *
 * Invariants: a port is below the ephemeral range, where the system takes ports for outgoing connections that could
 * seize it; no two sandboxes of one machine choose the same one, also when they choose at the same moment: a port is
 * claimed by a file of its number until the claiming process ends.
 */
import { randomInt } from 'node:crypto';
import { closeSync, openSync, readFileSync, rmSync, writeSync } from 'node:fs';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { type SandboxPorts } from './layout.ts';

const firstPort = 20_000;
const endPort = 32_000;

const claims = new Set<string>();
process.once('exit', () => {
  for (const file of claims) rmSync(file, { force: true });
});

function isAlive(pid: number): boolean {
  try {
    process.kill(pid, 0);
    return true;
  } catch (error) {
    return (error as { code?: string }).code === 'EPERM';
  }
}

/** False when another living process has the port. */
function claim(port: number): boolean {
  const file = join(tmpdir(), `cardwright-port-${port}`);
  try {
    const handle = openSync(file, 'wx');
    writeSync(handle, String(process.pid));
    closeSync(handle);
    claims.add(file);
    return true;
  } catch {
    releaseDead(file);
    return false;
  }
}

/** A claim of a process that was killed goes; the port is free for the next who looks. */
function releaseDead(file: string): void {
  try {
    const pid = Number(readFileSync(file, 'utf8'));
    if (pid > 0 && !isAlive(pid)) rmSync(file, { force: true });
  } catch {
    // Gone meanwhile, or not ours to judge: another port will do.
  }
}

function canListen(port: number): Promise<boolean> {
  const server = createServer();
  return new Promise((resolve) => {
    server.once('error', () => {
      resolve(false);
    });
    server.listen(port, '127.0.0.1', () => {
      server.close(() => {
        resolve(true);
      });
    });
  });
}

async function freePort(): Promise<number> {
  for (;;) {
    const port = randomInt(firstPort, endPort);
    if (claim(port) && (await canListen(port))) return port;
  }
}

/** Ports that are free, and stay this process's until it ends. */
export async function freePorts(): Promise<SandboxPorts> {
  return {
    issuerApi: await freePort(),
    station: await freePort(),
    operator: await freePort(),
    vault: await freePort(),
    notifications: await freePort(),
    issuerApp: await freePort(),
    printer: await freePort(),
    chip: await freePort(),
  };
}
