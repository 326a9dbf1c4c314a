import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { it } from 'node:test';
import { openSoftwareKeys } from '@cardwright/keys';
import { type Clock } from '@cardwright/runtime';
import { KeyLifeWatch } from '../src/key-life-watch.ts';

const dayMs = 86_400_000;

/** Time that passes when the test says so. */
class TestClock implements Clock {
  #nowMs = Date.UTC(2030, 0, 1);
  #alarms: { readonly atMs: number; readonly action: () => void }[] = [];

  now(): number {
    return this.#nowMs;
  }

  setTimeout(action: () => void, delayMs: number): { cancel: () => void } {
    const alarm = { atMs: this.#nowMs + delayMs, action };
    this.#alarms.push(alarm);
    return { cancel: () => (this.#alarms = this.#alarms.filter((one) => one !== alarm)) };
  }

  get waiting(): number {
    return this.#alarms.length;
  }

  pass(days: number): void {
    for (let day = 0; day < days; day++) {
      this.#nowMs += dayMs;
      const due = this.#alarms.filter(({ atMs }) => atMs <= this.#nowMs);
      this.#alarms = this.#alarms.filter((alarm) => !due.includes(alarm));
      for (const { action } of due) action();
    }
  }
}

it('a key is warned of every day from the time of warning on, until it was rotated and destroyed', async (t) => {
  const clock = new TestClock();
  const folder = await mkdtemp(join(tmpdir(), 'cardwright-lives-'));
  t.after(() => rm(folder, { recursive: true }));
  const keys = await openSoftwareKeys({
    folder,
    masterKey: randomBytes(32),
    environment: 'test',
    now: () => clock.now(),
  });
  t.after(() => keys.close());
  await keys.ensure(
    'seal/1',
    { algorithm: 'AES-256', usage: 'SEAL' },
    { activeMs: 40 * dayMs, keepMs: 60 * dayMs },
  );
  await keys.ensure('cvk/1', { algorithm: 'TDES-2KEY', usage: 'CVK' });
  const warnings: { key: unknown; state: unknown; daysLeft: unknown }[] = [];
  const warn = (event: string, { key, state, daysLeft }: Record<string, unknown> = {}): void => {
    assert.equal(event, 'vault.key-ends');
    warnings.push({ key, state, daysLeft });
  };
  const watch = new KeyLifeWatch({
    management: keys.management,
    clock,
    logger: { warn },
    warningDays: 30,
  });
  watch.start();
  clock.pass(9);
  assert.deepEqual(warnings, []);
  clock.pass(1);
  assert.deepEqual(warnings.splice(0), [{ key: 'seal/1', state: 'active', daysLeft: 30 }]);
  clock.pass(2);
  assert.deepEqual(
    warnings.splice(0).map(({ daysLeft }) => daysLeft),
    [29, 28],
  );
  assert.deepEqual(
    watch.ending().map(({ name, state, endsAt }) => [name, state, endsAt]),
    [['seal/1', 'active', '2030-02-10T00:00:00.000Z']],
  );

  await keys.management.rotate('seal', 0);
  clock.pass(1);
  assert.equal(warnings.length, 0);
  // Kept for 100 days in all: retired since the 13th, warned of from the 70th.
  clock.pass(57);
  assert.deepEqual(warnings.splice(0), [{ key: 'seal/1', state: 'retired', daysLeft: 30 }]);
  await keys.management.destroy('seal/1', ['Aiko', 'Ben'], 'end of life');
  assert.deepEqual(watch.ending(), []);
  watch.stop();
  assert.equal(clock.waiting, 0);
});
