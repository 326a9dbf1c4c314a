/** The served OpenAPI document, read as a generator of clients would. */
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { type ContractSystem } from './contract-system.ts';
import { type Json } from './d1-client.ts';

const isObject = (value: unknown): value is Json =>
  typeof value === 'object' && value !== null && !Array.isArray(value);

/** Every object in a document, with its JSON pointer. */
function* walk(value: unknown, pointer = '#'): Generator<readonly [pointer: string, node: Json]> {
  if (isObject(value)) yield [pointer, value];
  if (typeof value !== 'object' || value === null) return;
  for (const [name, member] of Object.entries(value)) {
    yield* walk(member, `${pointer}/${name.replaceAll('~', '~0').replaceAll('/', '~1')}`);
  }
}

function resolve(document: Json, reference: string): unknown {
  assert.match(reference, /^#\//, 'references stay inside the document');
  return reference
    .slice(2)
    .split('/')
    .map((part) => part.replaceAll('~1', '/').replaceAll('~0', '~'))
    .reduce<unknown>((node, part) => (isObject(node) ? node[part] : undefined), document);
}

const schemaTypes = ['string', 'number', 'integer', 'boolean', 'object', 'array', 'null'];

function assertSchema(document: Json, schema: unknown, place: string): void {
  assert.ok(isObject(schema), place);
  for (const [pointer, node] of walk(schema, place)) {
    if (typeof node['type'] === 'string') assert.ok(schemaTypes.includes(node['type']), pointer);
    if (typeof node['pattern'] === 'string')
      assert.doesNotThrow(() => new RegExp(String(node['pattern']), 'u'));
    if (Array.isArray(node['required']) && isObject(node['properties'])) {
      for (const name of node['required']) assert.ok(String(name) in node['properties'], pointer);
    }
    assert.equal('$id' in node, false, pointer);
  }
  if (typeof schema['$ref'] === 'string') assert.ok(isObject(resolve(document, schema['$ref'])), place);
}

export function describeDescription(of: () => ContractSystem): void {
  describe('the OpenAPI document', () => {
    const read = async (): Promise<Json> => {
      const answer = await of().client.call({ path: '/openapi.json' });
      assert.equal(answer.status, 200);
      assert.match(String(answer.headers['content-type']), /^application\/json/);
      return answer.body;
    };

    it('is OpenAPI 3.1 with the documented paths and every reference resolved', async () => {
      const document = await read();
      assert.match(String(document['openapi']), /^3\.1\.\d+$/);
      for (const member of ['title', 'version']) {
        assert.equal(typeof (document['info'] as Json)[member], 'string');
      }
      const card = '/banking/v1/issuers/{issuerId}/physicalCards/{cardId}';
      const paths = document['paths'] as Record<string, Json>;
      assert.ok(paths['/authz/v1/oauth2/token']?.['post']);
      assert.ok(paths[`${card}/operations:production`]?.['post']);
      assert.ok(paths[`${card}/productionStatus`]?.['get']);
      let references = 0;
      for (const [pointer, node] of walk(document)) {
        if (typeof node['$ref'] !== 'string') continue;
        references += 1;
        assert.notEqual(resolve(document, node['$ref']), undefined, pointer);
      }
      assert.ok(references > 0);
    });

    it('describes each call completely', async () => {
      const document = await read();
      const ids = new Set<unknown>();
      const schemes = (document['components'] as { securitySchemes: Json }).securitySchemes;
      for (const [path, item] of Object.entries(document['paths'] as Record<string, Json>)) {
        for (const [method, operation] of Object.entries(item) as [string, Json][]) {
          const place = `${method} ${path}`;
          assert.equal(ids.has(operation['operationId']), false, place);
          ids.add(operation['operationId']);
          const parameters = operation['parameters'] as Json[];
          const named = parameters
            .filter((one) => one['in'] === 'path')
            .map((one) => `{${String(one['name'])}}`);
          assert.deepEqual(named, path.match(/\{\w+\}/g) ?? [], place);
          for (const parameter of parameters) {
            if (parameter['in'] === 'path') assert.equal(parameter['required'], true, place);
            assertSchema(document, parameter['schema'], place);
          }
          for (const [status, answer] of Object.entries(operation['responses'] as Record<string, Json>)) {
            assert.match(status, /^[2-5]\d\d$/, place);
            assert.equal(typeof answer['description'], 'string', place);
            for (const content of Object.values((answer['content'] ?? {}) as Record<string, Json>)) {
              assertSchema(document, content['schema'], `${place} ${status}`);
            }
          }
          const { content = {} } = (operation['requestBody'] ?? {}) as { content?: Record<string, Json> };
          for (const body of Object.values(content)) assertSchema(document, body['schema'], place);
          for (const requirement of operation['security'] as Json[]) {
            for (const scheme of Object.keys(requirement)) assert.ok(scheme in schemes, place);
          }
        }
      }
    });
  });
}
