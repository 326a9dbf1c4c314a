/**
 * kill -9 of each process at a chosen point: the order still ends, and what the issuer was told is physically true.
 *
 * Each case names a crash point and the ends that are honest there; the supervisor starts the process again, as
 * an init system would.
 */
import assert from 'node:assert/strict';
import { existsSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, test } from 'node:test';
import { componentNames, type ComponentName } from '../../apps/cli/src/sandbox/layout.ts';
import { assertExactlyOneTruth, awaitFinished, startFixture } from './sandbox-fixture.ts';

const folder = mkdtempSync(join(tmpdir(), 'cardwright-once-'));
after(() => {
  rmSync(folder, { recursive: true, force: true });
});

interface CrashCase {
  readonly component: ComponentName;
  readonly point: string;
  readonly ends: readonly string[];
}

const cases: readonly CrashCase[] = [
  { component: 'server', point: 'server.order.after-commit', ends: ['SUCCESSFUL'] },
  { component: 'server', point: 'server.arm.after-commit', ends: ['SUCCESSFUL'] },
  { component: 'server', point: 'server.report.after-commit:3', ends: ['SUCCESSFUL'] },
  { component: 'server', point: 'server.notification.after-send', ends: ['SUCCESSFUL'] },
  { component: 'vault', point: 'vault.prepare.before-answer', ends: ['SUCCESSFUL'] },
  { component: 'vault', point: 'vault.script.before-answer', ends: ['SUCCESSFUL'] },
  { component: 'agent', point: 'agent.before-arm', ends: ['SUCCESSFUL'] },
  // No blank had moved: the job is tried again.
  { component: 'agent', point: 'agent.after-arm', ends: ['SUCCESSFUL'] },
  // The chip had begun to take data: that card is spoiled and is not remade.
  { component: 'agent', point: 'agent.chip.mid-script', ends: ['FAILED'] },
  { component: 'agent', point: 'agent.outcome.journalled', ends: ['SUCCESSFUL'] },
];

for (const { component, point, ends } of cases) {
  test(`${component} killed at ${point}: the end is ${ends.join(' or ')} and physically true`, async () => {
    const once = join(folder, point.replace(':', '-'));
    await using fixture = await startFixture({
      environment: { [component]: { CARDWRIGHT_CRASH_AT: point, CARDWRIGHT_CRASH_ONCE: once } },
    });
    const { sandbox } = fixture;
    // The issuer stores the order before it sends it, and repeats it: nobody here orders twice.
    const card = await sandbox.issueCard({ name: 'TARO YAMADA' });
    const finished = await awaitFinished(sandbox, card, 90_000);
    assert.ok(existsSync(once), `the process really died at ${point}`);
    assert.ok(sandbox.supervisor.restartsOf(component) >= 1);
    assert.ok(
      ends.includes(finished.issuer.status),
      `${finished.issuer.status} ${finished.issuer.errorCode ?? ''}`,
    );
    assertExactlyOneTruth(fixture, finished);
  });
}

test('everything killed at once, as by a power cut: the accepted order is still made, once', async () => {
  await using fixture = await startFixture();
  const { sandbox } = fixture;
  const card = await sandbox.issueCard({ name: 'TARO YAMADA' });
  const restarted = componentNames.map((name) => sandbox.supervisor.awaitRestart(name));
  await Promise.all(componentNames.map((name) => sandbox.supervisor.kill(name)));
  await Promise.all(restarted);
  const finished = await awaitFinished(sandbox, card, 90_000);
  assert.notEqual(finished.issuer.status, 'PENDING');
  assertExactlyOneTruth(fixture, finished);
});
