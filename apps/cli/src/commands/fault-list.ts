/** The faults that the simulator can show, asked from the simulator itself. */
import { execFile } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';

export interface FaultEntry {
  readonly name: string;
  readonly description: string;
}

/** @throws when the simulator does not answer with a list */
export async function listFaults(): Promise<readonly FaultEntry[]> {
  const main = fileURLToPath(new URL('../../../simulator/src/main.ts', import.meta.url));
  const { stdout } = await promisify(execFile)(process.execPath, [main, '--list-faults']);
  return JSON.parse(stdout) as readonly FaultEntry[];
}
