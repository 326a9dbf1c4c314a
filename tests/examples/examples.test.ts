/** Every example is run as its first lines say, and does what they say. */
import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { globSync } from 'node:fs';
import { test } from 'node:test';

const examples: Readonly<Record<string, readonly RegExp[]>> = {
  'examples/prepare-card.ts': [/^f0434152440001$/m, /^ {2}0301 \d+ bytes$/m, /^ {2}8000 secret$/m],
  'examples/personalize-card.ts': [
    /^9000 {2}EXTERNAL AUTHENTICATE$/m,
    /^F0434152440001 PERSONALIZED$/m,
    /^F0434152440002 SELECTABLE$/m,
  ],
  'examples/run-terminal.ts': [
    /^directory: F0434152440001$/m,
    /^certificates: sound up to the CA key$/m,
    /^dynamic data authentication: the card holds its key$/m,
    /^online cryptogram [0-9A-F]{16}: the issuer agrees$/m,
  ],
};

test('each example is run here', () => {
  assert.deepEqual(globSync('examples/*.ts').sort(), Object.keys(examples).sort());
});

for (const [file, expected] of Object.entries(examples)) {
  test(`${file} runs and shows what it promises`, () => {
    const run = spawnSync(process.execPath, [file], { encoding: 'utf8' });
    assert.equal(run.status, 0, run.stderr);
    for (const pattern of expected) assert.match(run.stdout, pattern);
  });
}
