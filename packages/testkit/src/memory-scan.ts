/**
 * Looks for known secrets in the memory of a running process (Linux: /proc/PID/maps and /proc/PID/mem), in every
 * shape they might have been left in.
 *
 * As with files, a scan is only worth something if it can find: callers scan a process that must hold a canary too.
 */
import { closeSync, openSync, readFileSync, readSync } from 'node:fs';
import { type Canary, type CanaryHit, needlesOf } from './canary-scan.ts';

export interface MemoryScan {
  readonly regionsScanned: number;
  readonly bytesScanned: number;
  readonly hits: readonly CanaryHit[];
}

const chunkBytes = 16 * 1024 * 1024;
/** Longer than any needle, so that none is lost between two chunks. */
const overlapBytes = 4096;

interface Region {
  readonly start: number;
  readonly end: number;
  readonly name: string;
}

/** Readable memory that belongs to the process: no devices, nothing of the kernel's, no mapped program code. */
function regionsOf(pid: number): Region[] {
  const regions: Region[] = [];
  for (const line of readFileSync(`/proc/${pid}/maps`, 'utf8').split('\n')) {
    const match = /^([0-9a-f]+)-([0-9a-f]+) r(.)\S* \S+ \S+ \S+\s*(.*)$/.exec(line);
    const [, from = '', to = '', writable, name = ''] = match ?? [];
    const isOwn = writable === 'w' && name !== '[vvar]' && name !== '[vsyscall]' && !name.startsWith('/dev/');
    if (match && isOwn) {
      regions.push({ start: Number.parseInt(from, 16), end: Number.parseInt(to, 16), name });
    }
  }
  return regions;
}

/**
 * Scans all writable memory of a process. Regions that vanish while it runs are passed over.
 * @throws Error (from node:fs) when the process is gone or belongs to somebody else
 */
export function scanProcessMemory(pid: number, canaries: readonly Canary[]): MemoryScan {
  const needles = needlesOf(canaries);
  const hits: CanaryHit[] = [];
  const buffer = Buffer.alloc(chunkBytes);
  const memory = openSync(`/proc/${pid}/mem`, 'r');
  let regionsScanned = 0;
  let bytesScanned = 0;
  try {
    for (const { start, end, name } of regionsOf(pid)) {
      regionsScanned += 1;
      for (let at = start; at < end; at += chunkBytes - overlapBytes) {
        const read = readAt(memory, buffer, at, Math.min(chunkBytes, end - at));
        const chunk = buffer.subarray(0, read);
        bytesScanned += read;
        for (const needle of needles) {
          const offset = chunk.indexOf(needle.bytes);
          if (offset === -1) continue;
          const file = `memory of ${pid} ${name}`.trimEnd();
          hits.push({ canary: needle.canary, encoding: needle.encoding, file, offset: at + offset });
        }
        if (read === 0) break;
      }
    }
  } finally {
    closeSync(memory);
  }
  return { regionsScanned, bytesScanned, hits };
}

function readAt(memory: number, buffer: Buffer, at: number, length: number): number {
  try {
    return readSync(memory, buffer, 0, length, at);
  } catch (error) {
    // Unmapped since the list was read, or memory that cannot be read although the list says so.
    if (error instanceof Error && 'code' in error && (error.code === 'EIO' || error.code === 'EFAULT'))
      return 0;
    throw error;
  }
}
