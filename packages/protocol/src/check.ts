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

/** Checks `value` against `schema`. The value is returned unchanged: nothing is coerced, defaulted or dropped. */
export function check<S extends TSchema>(schema: S, value: unknown): Checked<Static<S>> {
  const validator = validatorOf(schema);
  if (validator.Check(value)) return { ok: true, value: value as Static<S> };
  const errors = validator.Errors(value);
  for (const error of errors) {
    const path = dottedPath(error.instancePath);
    const params = error.params as { requiredProperties?: string[]; additionalProperties?: string[] };
    if (error.keyword === 'required') {
      return { ok: false, field: join(path, params.requiredProperties?.[0] ?? ''), problem: 'missing' };
    }
    if (error.keyword === 'boolean') return { ok: false, field: path, problem: 'unknown' };
    if (error.keyword === 'additionalProperties') {
      return { ok: false, field: join(path, params.additionalProperties?.[0] ?? ''), problem: 'unknown' };
    }
    return { ok: false, field: path, problem: 'invalid' };
  }
  return { ok: false, field: '', problem: 'invalid' };
}
