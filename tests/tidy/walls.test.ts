/** The import walls, and the guard that the check really saw the code. */
import assert from 'node:assert/strict';
import { globSync } from 'node:fs';
import { test } from 'node:test';
import { diagramOf, writtenDiagram } from '../../tools/architecture-diagram.ts';
import { cruise } from '../../tools/dependency-graph.ts';

const seen = cruise();

test('the check sees every source file of packages and apps', () => {
  const sources = globSync('{packages,apps}/*/src/**/*.ts');
  assert.ok(sources.length > 100, 'there are sources at all');
  assert.equal(seen.moduleCount, sources.length);
});

test('no import crosses a wall', () => {
  assert.deepEqual(seen.violations, []);
});

test('the diagram in ARCHITECTURE.md is what the imports say', () => {
  assert.equal(writtenDiagram(), diagramOf(seen.workspaceImports));
});
