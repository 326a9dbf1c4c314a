/**
 * What the software adapter says of itself: every operation proved by a known-answer test, all of them in this
 * process's memory.
 */
import { materialOf } from './key-making.ts';
import { type KeyPort } from './key-port.ts';
import { probeKeyOperations } from './key-probe.ts';
import { type KeyRing } from './key-ring.ts';
import { type KeyAdapterStatus, keyOperationNames } from './key-status.ts';

/** Runs the known-answer tests of every operation over keys that are put into `ring` for the test alone. */
export async function softwareKeyStatus(port: KeyPort, ring: KeyRing): Promise<KeyAdapterStatus> {
  const failures = await probeKeyOperations({
    port,
    importTemporary: (algorithm, usage, value) =>
      Promise.resolve(ring.addTemporary(algorithm, usage, materialOf(algorithm, Uint8Array.from(value)))),
    withProtectionKey: (key, use) =>
      Promise.resolve(use(ring.useSymmetric(key, 'unwrapKeyBlock', [key.algorithm]))),
  });
  const operations = keyOperationNames.map((operation) => {
    const note = failures.get(operation);
    return {
      operation,
      result: note === undefined ? ('passed' as const) : ('refused' as const),
      keyBytes: 'host' as const,
      ...(note !== undefined && { note }),
    };
  });
  return { adapter: port.adapter, operations };
}
