/** An adapter with nothing but keys of the test: any usage, any value, none with a name, gone when the test ends. */
import assert from 'node:assert/strict';
import { type TestContext } from 'node:test';
import { createToken } from '../../../tools/pkcs11-tokens.ts';
import { materialOf } from '../src/key-making.ts';
import { type KeyAlgorithm, type KeyHandle, type KeyUsage } from '../src/key-port.ts';
import { type ProbeTarget } from '../src/key-probe.ts';
import { KeyRing } from '../src/key-ring.ts';
import { startCallWatch } from '../src/pkcs11/call-watchdog.ts';
import { cryptokiFunctionNames, CryptokiModule } from '../src/pkcs11/cryptoki-module.ts';
import { Pkcs11KeyOperations } from '../src/pkcs11/pkcs11-keys.ts';
import { importKey, inSession } from '../src/pkcs11/token-key-making.ts';
import { probeTokenMethods } from '../src/pkcs11/token-methods.ts';
import { TokenSession } from '../src/pkcs11/token-session.ts';
import { TokenSessionPool } from '../src/pkcs11/token-session-pool.ts';
import { SoftwareKeyOperations } from '../src/software-keys.ts';
import { type AdapterName, tokenOptions } from './key-adapters.ts';
import { temporaryFolder } from './key-fixture.ts';

export type TemporaryKeys = Omit<ProbeTarget, 'withProtectionKey'>;

export async function openProbeTarget(t: TestContext, adapter: AdapterName): Promise<TemporaryKeys> {
  const ring = new KeyRing(256, () => undefined);
  t.after(() => {
    ring.close();
  });
  if (adapter === 'software') {
    return {
      port: new SoftwareKeyOperations(ring, 'test'),
      importTemporary: (algorithm, usage, value) =>
        Promise.resolve(ring.addTemporary(algorithm, usage, materialOf(algorithm, Uint8Array.from(value)))),
    };
  }
  const { module, libraryParameters, token, pin } = tokenOptions(
    createToken(adapter, await temporaryFolder(t)),
  );
  const watch = startCallWatch({ deadlineMs: 30_000, exitCode: 75, lastWords: '' }, cryptokiFunctionNames);
  const opened = CryptokiModule.open(module, libraryParameters, watch);
  const slot = opened.tokens().find((found) => 'label' in token && found.label === token.label)?.slot;
  assert(slot !== undefined);
  const session = await TokenSession.open({ module: opened, slot, isRemote: false });
  await session.login(pin);
  const pool = new TokenSessionPool([session]);
  t.after(async () => {
    await pool.close();
    opened.finalize();
    await watch.close();
  });
  const methods = await probeTokenMethods(session);
  const onTokenLost = (error: Error): void => assert.fail(error);
  const port = new Pkcs11KeyOperations({
    ring,
    pool,
    methods,
    environment: 'test',
    refused: new Map(),
    onTokenLost,
  });
  const importTemporary = (algorithm: KeyAlgorithm, usage: KeyUsage, value: Uint8Array): Promise<KeyHandle> =>
    pool.use(async (used) =>
      ring.addTemporary(algorithm, usage, await importKey(used, algorithm, usage, value, inSession)),
    );
  return { port, importTemporary };
}
