/** The one folder under which the sandbox keeps everything, in the current directory. */
import { resolve } from 'node:path';

const root = (): string => resolve(process.env['CARDWRIGHT_DATA'] ?? '.cardwright');

/** Root of everything that `reset` removes. */
export function dataRoot(): string {
  return root();
}

/** Folder of the system that `start` keeps running. */
export function startFolder(): string {
  return resolve(root(), 'sandbox');
}

/** A fresh folder for one demo run. */
export function demoFolder(now: Date): string {
  const stamp = now.toISOString().replace(/[:.]/g, '-').replace('T', '_').replace('Z', '');
  return resolve(root(), 'demo', `${stamp}-${String(process.pid)}`);
}
