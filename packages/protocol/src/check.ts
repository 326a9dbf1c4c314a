/**
 * One validator for every wire message: checks a value against a schema and names the first field in error.
 *
 * Invariant: a refusal carries a field name and a kind, never a value, so it can be logged and returned.
 */
import { type Static, type TSchema } from 'typebox';
import { Compile, type Validator } from 'typebox/compile';

export type Problem = 'missing' | 'unknown' | 'invalid';

export type Checked<T> =
  | { readonly ok: true; readonly value: T }
  | {
      readonly ok: false;
      /** Dotted path of the first field in error (`cards[3].cardId`); empty when the body itself is wrong. */
      readonly field: string;
      readonly problem: Problem;
    };

const validators = new WeakMap<TSchema, Validator>();

function validatorOf(schema: TSchema): Validator {
  let validator = validators.get(schema);
  if (validator === undefined) {
    validator = Compile<TSchema>(schema);
    validators.set(schema, validator);
  }
  return validator;
}

/** Turns a JSON pointer into a dotted path: `/cards/3/cardId` → `cards[3].cardId`. */
export function dottedPath(pointer: string): string {
  return pointer
    .split('/')
    .slice(1)
    .map((part) => part.replaceAll('~1', '/').replaceAll('~0', '~'))
    .reduce((path, part) => {
      if (/^\d+$/.test(part)) return `${path}[${part}]`;
      return path === '' ? part : `${path}.${part}`;
    }, '');
}

function join(path: string, member: string): string {
  return path === '' ? member : `${path}.${member}`;
}

type SchemaError = ReturnType<Validator['Errors']>[number];

/**
 * The first error that says where. A value that may have one of several types is told to have the wrong one by each
 * type that it was not meant to have; what is wrong inside of the one it has comes after that.
 */
function firstError(errors: readonly SchemaError[]): SchemaError | undefined {
  const [first] = errors;
  if (first?.keyword !== 'type') return first;
  return errors.find((error) => error.instancePath.startsWith(`${first.instancePath}/`)) ?? first;
}

/** Checks `value` against `schema`. The value is returned unchanged: nothing is coerced, defaulted or dropped. */
export function check<S extends TSchema>(schema: S, value: unknown): Checked<Static<S>> {
  const validator = validatorOf(schema);
  if (validator.Check(value)) return { ok: true, value: value as Static<S> };
  const error = firstError(validator.Errors(value));
  if (error === undefined) return { ok: false, field: '', problem: 'invalid' };
  const path = dottedPath(error.instancePath);
  const params = error.params as { requiredProperties?: string[]; additionalProperties?: string[] };
  switch (error.keyword) {
    case 'required':
      return { ok: false, field: join(path, params.requiredProperties?.[0] ?? ''), problem: 'missing' };
    case 'additionalProperties':
      return { ok: false, field: join(path, params.additionalProperties?.[0] ?? ''), problem: 'unknown' };
    case 'boolean':
      return { ok: false, field: path, problem: 'unknown' };
    default:
      return { ok: false, field: path, problem: 'invalid' };
  }
}
