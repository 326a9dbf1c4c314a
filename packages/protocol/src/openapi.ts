/**
 * OpenAPI 3.1 from the same schemas that check the messages: TypeBox schemas are JSON Schema 2020-12, so they are
 * copied, never translated. Schemas with an `$id` become components.
 */
import { type TSchema } from 'typebox';
import { correlationIdPattern } from './d1/identifiers.ts';
import { d1Routes, type RouteDescription } from './d1/routes.ts';
import { scopes } from './d1/token.ts';

export interface OpenApiDocument {
  readonly openapi: '3.1.0';
  readonly info: { readonly title: string; readonly version: string; readonly description: string };
  readonly servers: readonly { readonly url: string }[];
  readonly paths: Readonly<Record<string, Readonly<Record<string, unknown>>>>;
  readonly components: Readonly<Record<string, unknown>>;
}

type Json = Record<string, unknown>;

/** Copies a schema as plain JSON and moves schemas with an `$id` into `components`. */
function plainSchema(schema: TSchema, components: Json): Json {
  const plain = JSON.parse(JSON.stringify(schema)) as Json;
  const { $id: name, ...rest } = plain;
  if (typeof name !== 'string') return plain;
  components[name] = rest;
  return { $ref: `#/components/schemas/${name}` };
}

const correlationHeader = {
  description: 'Echoed when well formed, otherwise replaced. Not unique, logged in clear: no personal data.',
  schema: { type: 'string', pattern: correlationIdPattern.source },
};

function describeRoute(route: RouteDescription, components: Json): Json {
  const content = (schema: TSchema): Json => ({ schema: plainSchema(schema, components) });
  const answers = Object.entries(route.answers).map(([status, answer]): [string, Json] => [
    status,
    {
      description: answer.description,
      headers: { 'x-correlation-id': correlationHeader },
      ...(answer.schema === undefined ? {} : { content: { 'application/json': content(answer.schema) } }),
    },
  ]);
  const pathParameters = Object.entries(route.pathParameters).map(([name, schema]) => ({
    name,
    in: 'path',
    required: true,
    schema: plainSchema(schema, components),
  }));
  const bodies = Object.entries(route.body ?? {}).map(([type, schema]): [string, Json] => [
    type,
    content(schema),
  ]);
  return {
    operationId: route.operationId,
    summary: route.summary,
    ...(route.aliases === undefined ? {} : { description: route.aliases }),
    parameters: [
      ...pathParameters,
      { name: 'x-correlation-id', in: 'header', required: false, ...correlationHeader },
    ],
    ...(bodies.length === 0 ? {} : { requestBody: { required: true, content: Object.fromEntries(bodies) } }),
    responses: Object.fromEntries(answers),
    security: [
      route.scopes === undefined ? { mutualTls: [] } : { mutualTls: [], accessToken: [...route.scopes] },
    ],
  };
}

/** Describes `routes` as one OpenAPI document. */
export function buildOpenApi(
  info: OpenApiDocument['info'],
  serverUrl: string,
  routes: readonly RouteDescription[],
): OpenApiDocument {
  const schemas: Json = {};
  const paths: Record<string, Json> = {};
  for (const route of routes) {
    paths[route.path] = { ...paths[route.path], [route.method]: describeRoute(route, schemas) };
  }
  return {
    openapi: '3.1.0',
    info,
    servers: [{ url: serverUrl }],
    paths,
    components: {
      schemas,
      securitySchemes: {
        mutualTls: { type: 'mutualTLS', description: 'A client certificate registered for the issuer' },
        accessToken: {
          type: 'http',
          scheme: 'bearer',
          bearerFormat: 'JWT',
          description: `Bound to the client certificate. Scopes: ${Object.values(scopes).join(', ')}`,
        },
      },
    },
  };
}

/** The issuer API's description for a server reached at `publicOrigin`. */
export function d1Document(publicOrigin: string): OpenApiDocument {
  return buildOpenApi(
    {
      title: 'Cardwright issuer API',
      version: '1.0.0',
      description:
        'D1-compatible ordering of physical cards on the INSTANT channel. Every error has the members errorCode and error; decide on the HTTP status and errorCode only.',
    },
    publicOrigin,
    Object.values(d1Routes),
  );
}
