/** House rules that no other tool checks, over every file that git knows. */
import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { existsSync, globSync, readFileSync } from 'node:fs';
import { dirname } from 'node:path';
import { test } from 'node:test';

const tracked = execFileSync('git', ['ls-files', '--cached', '--others', '--exclude-standard'], {
  encoding: 'utf8',
})
  .split('\n')
  .filter((file) => file !== '' && existsSync(file));
const sources = tracked.filter((file) => /^(packages|apps|tools|bench|tests|examples)\/.*\.ts$/.test(file));

function offenders(files: readonly string[], isBad: (text: string, file: string) => boolean): string[] {
  return files.filter((file) => isBad(readFileSync(file, 'utf8'), file));
}

test('the house is not empty', () => {
  assert.ok(sources.length > 150, `saw ${sources.length} sources`);
});

test('no file is longer than 400 lines', () => {
  assert.deepEqual(
    offenders(sources, (text) => text.split('\n').length > 400),
    [],
  );
});

test('each source file opens by saying what it is responsible for', () => {
  const main = sources.filter((file) => file.includes('/src/'));
  assert.deepEqual(
    offenders(main, (text) => !/^(#!.*\n)?\/\*\*/.test(text)),
    [],
  );
});

test('no file or folder is called utils, helpers or common', () => {
  assert.deepEqual(
    tracked.filter((file) => /(^|\/)(utils?|helpers?|common)(\.|\/)/.test(file)),
    [],
  );
});

test('no test is skipped, focused or put off, and nothing is left to do', () => {
  const banned =
    /\b(test|it|describe|suite)\.(skip|only|todo)\b|\b(TODO|FIXME|XXX)\b|@ts-(ignore|expect-error|nocheck)|\bas any\b/;
  assert.deepEqual(
    offenders(
      sources.filter((file) => file !== 'tests/tidy/sources.test.ts'),
      (text) => banned.test(text),
    ),
    [],
  );
});

test('nobody turns certificate checks off', () => {
  assert.deepEqual(
    offenders(
      sources.filter((file) => file.includes('/src/')),
      (text) => /rejectUnauthorized:\s*false/.test(text),
    ),
    [],
  );
});

test('every workspace has a README of its own', () => {
  const workspaces = globSync('{packages,apps}/*/package.json').map((file) => dirname(file));
  assert.ok(workspaces.length >= 17);
  assert.deepEqual(
    workspaces.filter((folder) => !existsSync(`${folder}/README.md`)),
    [],
  );
});

test('the lock file names no registry host', () => {
  assert.equal(/"resolved": "http/.test(readFileSync('package-lock.json', 'utf8')), false);
});

test('every version is pinned exactly', () => {
  const loose = globSync(['package.json', '{packages,apps}/*/package.json']).flatMap((file) => {
    const manifest = JSON.parse(readFileSync(file, 'utf8')) as Record<
      string,
      Record<string, string> | undefined
    >;
    return ['dependencies', 'devDependencies', 'optionalDependencies'].flatMap((kind) =>
      Object.entries(manifest[kind] ?? {})
        .filter(([, version]) => !/^\d+\.\d+\.\d+$/.test(version))
        .map(([name]) => `${file}: ${name}`),
    );
  });
  assert.deepEqual(loose, []);
});
