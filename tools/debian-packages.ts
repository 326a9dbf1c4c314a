/**
 * Debian packages that tests, benches and self-tests stand on.
 *
 * Invariant: a package that is missing is installed where that is allowed (root on Debian), and is otherwise an
 * error that names the command; nothing is skipped because of it.
 */
import { spawnSync } from 'node:child_process';

function isInstalled(name: string): boolean {
  const query = spawnSync('dpkg-query', ['-W', '-f', '${db:Status-Status}', name], { encoding: 'utf8' });
  return query.status === 0 && query.stdout === 'installed';
}

function runApt(args: readonly string[]): boolean {
  // Several test processes may want packages at the same time: apt waits for its own lock.
  const options = ['-q', '-o', 'DPkg::Lock::Timeout=300', ...args];
  const env = { ...process.env, DEBIAN_FRONTEND: 'noninteractive' };
  return spawnSync('apt-get', options, { stdio: 'ignore', env }).status === 0;
}

/** Makes sure that the packages are installed. @throws Error naming the command that a person must run */
export function requirePackages(names: readonly string[]): void {
  const missing = names.filter((name) => !isInstalled(name));
  if (missing.length === 0) return;
  const install = ['install', '-y', '--no-install-recommends', ...missing];
  const isRoot = process.getuid?.() === 0;
  const isDone = isRoot && (runApt(install) || (runApt(['update']) && runApt(install)));
  if (isDone && names.every(isInstalled)) return;
  throw new Error(`needed: apt-get install --no-install-recommends ${missing.join(' ')}`);
}
