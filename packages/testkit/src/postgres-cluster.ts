/**
 * A private PostgreSQL for tests: its own folder, socket and loopback port, its own processes, gone afterwards.
 *
 * Invariants: it is the real server of the Debian package with every durability setting as it comes; it never runs
 * as root; what is killed here are only processes that were started here.
 */
import { type ChildProcess, spawn, spawnSync } from 'node:child_process';
import { randomBytes, randomInt } from 'node:crypto';
import { once } from 'node:events';
import { chownSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { setTimeout as pause } from 'node:timers/promises';
import { requirePackages } from '../../../tools/debian-packages.ts';

const installationFolder = '/usr/lib/postgresql';
const startLimitMs = 60_000;

export interface PostgresCluster {
  readonly port: number;
  readonly user: string;
  readonly password: string;
  /** Address over loopback, with the password. */
  readonly url: string;
  /** Folder of the local socket, which asks for no password. */
  readonly socketFolder: string;
  readonly dataFolder: string;
  /** Runs SQL as the superuser over the socket and returns the lines of its answer. */
  sql(text: string): string[];
  /** Runs one of PostgreSQL's programs as the user that owns the cluster. */
  run(program: string, args: readonly string[]): void;
  /** kill -9 of the server; resolves when all of its processes are gone. */
  kill(): Promise<void>;
  /** Starts it again after `kill` or `stop`; resolves when it takes connections. */
  start(): Promise<void>;
  /** An orderly stop that ends connections. */
  stop(): Promise<void>;
  /** Stops it and removes everything. */
  close(): Promise<void>;
}

interface Owner {
  readonly uid: number;
  readonly gid: number;
}

function ownerOf(): Owner | undefined {
  if (process.getuid?.() !== 0) return undefined;
  const entry = readFileSync('/etc/passwd', 'utf8')
    .split('\n')
    .map((line) => line.split(':'))
    .find(([name]) => name === 'postgres');
  if (entry === undefined) throw new Error('the user postgres is missing');
  return { uid: Number(entry[2]), gid: Number(entry[3]) };
}

function programFolder(): string {
  requirePackages(['postgresql']);
  const versions = readdirSync(installationFolder).filter((name) => Number(name) >= 15);
  const newest = versions.sort((a, b) => Number(b) - Number(a))[0];
  if (newest === undefined) throw new Error('needed: PostgreSQL 15 or newer');
  return join(installationFolder, newest, 'bin');
}

export interface ClusterOptions {
  /** More settings, as `name=value`. */
  readonly settings?: readonly string[];
  /** Makes the data folder in place of initdb; it is empty and belongs to the cluster's user. */
  readonly fill?: (dataFolder: string, run: PostgresCluster['run']) => void;
  /** The password of the data that `fill` brings. */
  readonly password?: string;
}

/** Makes and starts a cluster. @throws Error naming the package that is missing */
export async function startPostgresCluster(options: ClusterOptions = {}): Promise<PostgresCluster> {
  const bin = programFolder();
  const owner = ownerOf();
  const folder = mkdtempSync(join(tmpdir(), 'cardwright-pg-'));
  const dataFolder = join(folder, 'data');
  const password = options.password ?? randomBytes(18).toString('base64url');
  const passwordFile = join(folder, 'password');
  writeFileSync(passwordFile, password, { mode: 0o600 });
  mkdirSync(dataFolder, { mode: 0o700 });
  if (owner !== undefined) {
    for (const path of [folder, dataFolder, passwordFile]) chownSync(path, owner.uid, owner.gid);
  }
  const port = randomInt(20_000, 32_000);
  const user = 'cardwright';
  const spawned = { ...owner, cwd: folder, env: { PATH: process.env['PATH'] ?? '', LC_ALL: 'C.UTF-8' } };

  const run = (program: string, args: readonly string[]): void => {
    const done = spawnSync(join(bin, program), args, { ...spawned, encoding: 'utf8' });
    if (done.status !== 0) throw new Error(`${program} failed: ${done.stderr}`);
  };
  if (options.fill === undefined) {
    const access = ['--auth-local=trust', '--auth-host=scram-sha-256', `--pwfile=${passwordFile}`];
    run('initdb', ['-D', dataFolder, '-U', user, '--encoding=UTF8', '--no-instructions', ...access]);
  } else {
    options.fill(dataFolder, run);
  }

  let server: ChildProcess | undefined;
  const endWithUs = (): void => {
    server?.kill('SIGKILL');
  };
  process.on('exit', endWithUs);

  const launch = async (): Promise<boolean> => {
    const settings = [
      `port=${String(port)}`,
      'listen_addresses=127.0.0.1',
      `unix_socket_directories=${folder}`,
    ];
    const all = [...settings, 'shared_buffers=32MB', ...(options.settings ?? [])];
    const child = spawn(join(bin, 'postgres'), ['-D', dataFolder, ...all.flatMap((one) => ['-c', one])], {
      ...spawned,
      stdio: ['ignore', 'ignore', 'pipe'],
    });
    server = child;
    const lines: string[] = [];
    const isReady = new Promise<boolean>((resolve) => {
      createInterface({ input: child.stderr }).on('line', (line) => {
        lines.push(line);
        if (/ready to accept (read-only )?connections/.test(line)) resolve(true);
      });
      child.once('exit', () => {
        resolve(false);
      });
    });
    const limit = setTimeout(() => child.kill('SIGKILL'), startLimitMs);
    const ready = await isReady;
    clearTimeout(limit);
    return ready;
  };
  const start = async (): Promise<void> => {
    // After a kill the last backends may still be going: the new server refuses their shared memory.
    for (let tries = 0; tries < 50; tries++) {
      if (await launch()) return;
      await pause(100);
    }
    throw new Error('PostgreSQL does not start');
  };
  const end = async (signal: 'SIGKILL' | 'SIGINT'): Promise<void> => {
    const child = server;
    if (child?.exitCode !== null || child.signalCode !== null) return;
    const exited = once(child, 'exit');
    child.kill(signal);
    await exited;
  };
  await start();
  return {
    port,
    user,
    password,
    url: `postgres://${user}:${password}@127.0.0.1:${String(port)}/postgres`,
    socketFolder: folder,
    dataFolder,
    sql: (text) => {
      const args = ['-h', folder, '-p', String(port), '-U', user, '-d', 'postgres', '-XAtq', '-c', text];
      const done = spawnSync(join(bin, 'psql'), args, { ...spawned, encoding: 'utf8' });
      if (done.status !== 0) throw new Error(`psql failed: ${done.stderr}`);
      return done.stdout.split('\n').filter((line) => line !== '');
    },
    run,
    kill: () => end('SIGKILL'),
    start,
    stop: () => end('SIGINT'),
    close: async () => {
      process.off('exit', endWithUs);
      await end('SIGINT');
      rmSync(folder, { recursive: true, force: true });
    },
  };
}
