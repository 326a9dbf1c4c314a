/**
 * A PKCS#11 module that crashes, hangs or loses its device in the middle of a card: the supervisor starts the vault
 * again, the server repeats its request, and the order ends as it would have ended.
 *
 * The module is a real one behind a thin one of ours that misbehaves once; every process is a real one.
 */
import assert from 'node:assert/strict';
import { existsSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test, type TestContext } from 'node:test';
import { type FaultyFunction, withFaultyModule } from '../../tools/faulty-pkcs11/faulty-pkcs11-module.ts';
import { createToken } from '../../tools/pkcs11-tokens.ts';
import { assertExactlyOneTruth, awaitFinished, startFixture } from './sandbox-fixture.ts';

interface ModuleFaultCase {
  readonly fault: 'abort' | 'hang' | 'lost';
  readonly at: FaultyFunction;
  /** Calls of that function that go well before; a card needs some twenty derivations. */
  readonly passing: number;
}

const cases: readonly ModuleFaultCase[] = [
  { fault: 'abort', at: 'C_DeriveKey', passing: 0 },
  { fault: 'abort', at: 'C_DeriveKey', passing: 12 },
  { fault: 'hang', at: 'C_Sign', passing: 2 },
  { fault: 'lost', at: 'C_DeriveKey', passing: 4 },
];

function temporaryFolder(t: TestContext): string {
  const folder = mkdtempSync(join(tmpdir(), 'cardwright-module-'));
  t.after(() => {
    rmSync(folder, { recursive: true, force: true });
  });
  return folder;
}

for (const { fault, at, passing } of cases) {
  test(`a module with fault "${fault}" at ${at} after ${passing} calls loses nothing: the card is made`, async (t) => {
    const folder = temporaryFolder(t);
    const { token, arm, faultFile } = withFaultyModule(createToken('softhsm', folder), folder);
    const pinFile = join(folder, 'pin');
    writeFileSync(pinFile, token.pin, { mode: 0o600 });
    await using fixture = await startFixture({
      tokenKeys: {
        adapter: 'pkcs11',
        module: token.module,
        tokenLabel: token.token.label,
        pinFile,
        allowHostKeyBytes: true,
        callLimitMs: 5_000,
      },
      environment: { vault: token.environment },
    });
    const { sandbox } = fixture;
    arm(at, fault, passing);
    const card = await sandbox.issueCard({ name: 'TARO YAMADA' });
    const finished = await awaitFinished(sandbox, card, 120_000);
    assert.equal(existsSync(faultFile), false, 'the module really misbehaved');
    assert.equal(sandbox.supervisor.restartsOf('vault'), 1);
    assert.equal(finished.issuer.status, 'SUCCESSFUL');
    assertExactlyOneTruth(fixture, finished);
  });
}
