import assert from 'node:assert/strict';
import { after, before, describe, it } from 'node:test';
import { d1Routes, type OpenApiDocument, routerPath } from '@cardwright/protocol';
import { createLogger, systemClock } from '@cardwright/runtime';
import { createServerApp } from '../src/app.ts';
import {
  createWorld,
  getToken,
  newCardId,
  orderBody,
  otherIssuerId,
  productionPath,
  startServer,
  type World,
} from './support/server-fixture.ts';

interface Operation {
  readonly operationId: string;
  readonly responses: Record<string, { content?: Record<string, { schema: unknown }> }>;
  readonly parameters: { readonly name: string; readonly in: string }[];
}

/** Every `$ref` in a value. */
function refsIn(value: unknown): string[] {
  if (Array.isArray(value)) return value.flatMap(refsIn);
  if (typeof value !== 'object' || value === null) return [];
  return Object.entries(value).flatMap(([name, member]) =>
    name === '$ref' && typeof member === 'string' ? [member] : refsIn(member),
  );
}

describe('the OpenAPI description', () => {
  let world: World;
  before(async () => {
    world = await createWorld();
  });
  after(async () => {
    await world.close();
  });

  it('has exactly the routes of the running server, both ways', async () => {
    const app = await createServerApp(world.config, {
      clock: systemClock,
      logger: createLogger('server', { level: 'silent' }),
      random: () => 0.5,
    });
    await app.listeners.issuer.ready();
    const running = app.listeners.issuer.printRoutes({ commonPrefix: false, includeHooks: false });
    const served = flatRoutes(running);
    const described = Object.values(d1Routes).map((route) => `${route.method.toUpperCase()} ${route.path}`);
    assert.ok(served.length >= 4);
    assert.deepEqual(served.sort(), described.sort());
    for (const route of Object.values(d1Routes)) {
      assert.ok(
        app.listeners.issuer.hasRoute({ method: route.method.toUpperCase(), url: routerPath(route) }),
      );
    }
    await app.stop();
  });

  it('is served as OpenAPI 3.1 without a token, with every reference resolved and no stray $id', async () => {
    const server = await startServer(world);
    const client = server.client('issuer', world.parties.issuerClient);
    const answer = await client.request({ method: 'GET', path: '/openapi.json' });
    assert.equal(answer.status, 200);
    const document = JSON.parse(answer.body) as OpenApiDocument;
    assert.equal(document.openapi, '3.1.0');
    const schemas = document.components['schemas'] as Record<string, unknown>;
    for (const ref of refsIn(document)) assert.ok(ref.slice('#/components/schemas/'.length) in schemas, ref);
    assert.ok(refsIn(document).length >= 2);
    assert.doesNotMatch(answer.body, /"\$id"/);
    for (const [path, methods] of Object.entries(document.paths)) {
      for (const operation of Object.values(methods) as Operation[]) {
        const inPath = operation.parameters.filter((one) => one.in === 'path').map((one) => `{${one.name}}`);
        assert.deepEqual(inPath, path.match(/\{\w+\}/g) ?? []);
      }
    }
    await server.stop();
  });

  it('names every status that an order is seen to end with', async () => {
    const server = await startServer(world);
    const client = server.client('issuer', world.parties.issuerClient);
    const headers = { authorization: `Bearer ${await getToken(world, client)}` };
    const path = productionPath(newCardId());
    const json = await orderBody(world);
    const post = (request: object) => client.request({ method: 'POST', path, headers, ...request });
    const answers = [
      await post({ json }),
      await post({ json }),
      await post({ json: {} }),
      await post({ json, headers: {} }),
      await post({ json, path: productionPath(newCardId(), otherIssuerId) }),
      await post({ form: { a: 'b' } }),
      await post({ json: 'x'.repeat(70_000) }),
    ];
    const seen = answers.map((answer) => answer.status);
    assert.deepEqual(seen, [202, 409, 400, 401, 403, 415, 413]);
    for (const status of seen) assert.ok(String(status) in d1Routes.production.answers);
    await server.stop();
  });
});

/** Reads Fastify's route tree: indentation gives the path, parentheses the methods. */
function flatRoutes(tree: string): string[] {
  const stack: string[] = [];
  const found: string[] = [];
  for (const line of tree.split('\n')) {
    const match = /^([│ ]*)[├└]── ?(.*)$/.exec(line);
    if (match === null) continue;
    const depth = (match[1] ?? '').length / 4;
    const [, text = '', methods] = /^(.*?)(?: \(([A-Z, ]+)\))?$/.exec(match[2] ?? '') ?? [];
    stack.length = depth;
    stack.push(text);
    const path = stack.join('').replace(/(?<=\/):(\w+)/g, '{$1}');
    for (const method of methods?.split(', ') ?? []) found.push(`${method} ${path}`);
  }
  return found;
}
