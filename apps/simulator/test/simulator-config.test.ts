/** What the simulator is started with: every fault named together, and a desk that refuses what it does not know. */
import assert from 'node:assert/strict';
import { execFileSync, spawnSync } from 'node:child_process';
import { rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { fileURLToPath } from 'node:url';
import { ArmedFaults, faultNames, listFaults } from '../src/fault-deck.ts';
import { newDataFolder, testConfig } from './simulator-rig.ts';

const main = fileURLToPath(new URL('../src/main.ts', import.meta.url));

test('--list-faults prints the fault deck as JSON, each with a description', () => {
  const listed = JSON.parse(
    execFileSync(process.execPath, [main, '--list-faults'], { encoding: 'utf8' }),
  ) as unknown;
  assert.deepEqual(listed, listFaults());
  for (const { name, description } of listFaults()) assert.ok(description.length > 10, name);
  assert.ok(faultNames.length >= 20);
});

test('a configuration with several faults names them all and starts nothing', async () => {
  const dataFolder = newDataFolder();
  try {
    const file = join(dataFolder, 'config.json');
    const config = {
      ...(await testConfig(dataFolder)),
      blanks: -1,
      timing: 'slow',
      faults: ['no-such-fault'],
      colour: 1,
    };
    writeFileSync(file, JSON.stringify(config));
    const run = spawnSync(process.execPath, [main, '--config', file], { encoding: 'utf8' });
    assert.equal(run.status, 78);
    for (const word of ['blanks', 'timing', 'faults', 'colour']) assert.match(run.stderr, new RegExp(word));
  } finally {
    rmSync(dataFolder, { recursive: true, force: true });
  }
});

test('without faults every card is healthy and nothing stops', () => {
  const faults = new ArmedFaults([]);
  assert.deepEqual(faults.takeChipKnobs(), {});
  assert.equal(faults.standingMinor(), undefined);
  for (const moment of ['before-feed', 'feed', 'print', 'before-reject'] as const) {
    assert.equal(faults.stopAt(moment), undefined);
  }
});

test('a fault that strikes once strikes the first card only', () => {
  const faults = new ArmedFaults(['chip-mute-once']);
  assert.deepEqual(faults.takeChipKnobs(), { isMute: true });
  assert.deepEqual(faults.takeChipKnobs(), {});
});
