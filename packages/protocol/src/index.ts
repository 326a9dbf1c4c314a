/** Every wire contract of Cardwright as schemas. Types are derived from the schemas, never the reverse. */
export * from './check.ts';
export * from './d1/card-data.ts';
export * from './d1/errors.ts';
export * from './d1/identifiers.ts';
export * from './d1/operations.ts';
export * from './d1/production.ts';
export * from './d1/routes.ts';
export * from './d1/token.ts';
export * from './openapi.ts';
export * from './operator/messages.ts';
export * from './station/messages.ts';
export * from './station/payload.ts';
export * from './strict-json.ts';
export * from './vault/messages.ts';
