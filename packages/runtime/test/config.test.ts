import assert from 'node:assert/strict';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, test } from 'node:test';
import { Type } from 'typebox';
import { ConfigError, configFileArgument, readConfig } from '../src/index.ts';

const folder = mkdtempSync(join(tmpdir(), 'cardwright-config-'));
after(() => {
  rmSync(folder, { recursive: true });
});
const Schema = Type.Object(
  { dataFolder: Type.String(), tls: Type.Object({ keyFile: Type.String() }), port: Type.Integer() },
  { additionalProperties: false },
);

function written(content: string): string {
  const file = join(folder, 'config.json');
  writeFileSync(file, content);
  return file;
}

test('paths are returned absolute, taken from where the file lies', () => {
  const file = written(JSON.stringify({ dataFolder: 'data', tls: { keyFile: '/etc/key.pem' }, port: 1 }));
  const config = readConfig(Schema, file);
  assert.equal(config.dataFolder, join(folder, 'data'));
  assert.equal(config.tls.keyFile, '/etc/key.pem');
});

test('all faults are reported together, by member and without values', () => {
  const file = written(JSON.stringify({ dataFolder: 5, port: 'hunter2', colour: 'red' }));
  assert.throws(
    () => readConfig(Schema, file),
    (error: unknown) => {
      assert.ok(error instanceof ConfigError);
      assert.equal(error.faults.length, 4, error.message);
      for (const word of ['dataFolder', 'port', 'tls', 'colour'])
        assert.ok(error.message.includes(word), word);
      assert.equal(error.message.includes('hunter2'), false);
      return true;
    },
  );
});

test('a missing file, a file that is no JSON and a missing argument say what is wrong', () => {
  assert.throws(() => readConfig(Schema, join(folder, 'none.json')), /ENOENT/);
  assert.throws(() => readConfig(Schema, written('{')), /not JSON/);
  assert.throws(() => configFileArgument(['node', 'main.ts']), /--config/);
});
