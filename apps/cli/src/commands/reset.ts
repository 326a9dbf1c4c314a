/** `cardwright reset`: removes the data folder. Refuses while a system started from it is still running. */
import { existsSync, readFileSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { dataRoot, startFolder } from '../sandbox/data-folder.ts';

function runningPid(): number | undefined {
  const file = join(startFolder(), 'start.pid');
  if (!existsSync(file)) return undefined;
  const pid = Number(readFileSync(file, 'utf8'));
  try {
    process.kill(pid, 0);
    return pid;
  } catch {
    return undefined;
  }
}

export function resetCommand(): void {
  const pid = runningPid();
  if (pid !== undefined) {
    process.stderr.write(`The system is still running (process ${String(pid)}). Stop it first.\n`);
    process.exit(1);
  }
  rmSync(dataRoot(), { recursive: true, force: true });
  process.stdout.write(`Removed ${dataRoot()}\n`);
}
