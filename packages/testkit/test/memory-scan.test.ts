import assert from 'node:assert/strict';
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { randomBytes } from 'node:crypto';
import { test } from 'node:test';
import { scanProcessMemory } from '../src/index.ts';

/** A process that holds what it was told on standard input, reversed so that the pipe's buffers do not count. */
async function holder(secret: string): Promise<ChildProcess> {
  const program = `
    process.stdin.once('data', (chunk) => {
      globalThis.kept = Buffer.from(Buffer.from(chunk.toString(), 'hex')).reverse();
      chunk.fill(0);
      process.stdout.write('ready');
    });`;
  const child = spawn(process.execPath, ['-e', program], { stdio: ['pipe', 'pipe', 'inherit'] });
  child.stdin.write(Buffer.from(secret, 'hex').reverse().toString('hex'));
  await once(child.stdout, 'data');
  return child;
}

test('a secret in the memory of another process is found, another one is not', async () => {
  const [kept, other] = [randomBytes(16), randomBytes(16)];
  const child = await holder(kept.toString('hex'));
  try {
    const canaries = [
      { name: 'kept', value: kept },
      { name: 'other', value: other },
    ];
    const scan = scanProcessMemory(child.pid ?? 0, canaries);
    assert.ok(scan.bytesScanned > 10_000_000);
    assert.ok(scan.hits.some(({ canary, encoding }) => canary === 'kept' && encoding === 'raw'));
    assert.ok(!scan.hits.some(({ canary }) => canary === 'other'));
  } finally {
    child.kill();
  }
});
