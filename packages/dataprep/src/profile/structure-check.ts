/**
 * Explains how a value differs from a schema: where, what is wrong, what is allowed, how to mend it.
 *
 * Invariants: every fault is told, not only the first; what is allowed comes from the schema itself (its patterns,
 * literals and descriptions), so that the explanation cannot drift from the rule.
 */
import { type TSchema } from 'typebox';

/** One thing wrong with a file. */
export interface ProfileFault {
  /** Where: `files[2].items[5]`; empty for the file as a whole. */
  readonly path: string;
  readonly wrong: string;
  readonly allowed: string;
  readonly fix: string;
}

/** The part of a JSON schema that our files use. */
interface SchemaNode {
  readonly type?: string;
  readonly description?: string;
  readonly const?: unknown;
  readonly anyOf?: readonly SchemaNode[];
  readonly properties?: Readonly<Record<string, SchemaNode>>;
  readonly patternProperties?: Readonly<Record<string, SchemaNode>>;
  readonly required?: readonly string[];
  readonly items?: SchemaNode;
  readonly minItems?: number;
  readonly uniqueItems?: boolean;
  readonly pattern?: string;
  readonly minLength?: number;
  readonly maxLength?: number;
  readonly minimum?: number;
  readonly maximum?: number;
  readonly multipleOf?: number;
}

const joined = (path: string, member: string): string => (path === '' ? member : `${path}.${member}`);
const shown = (value: unknown): string => {
  const text = JSON.stringify(value) as string | undefined;
  if (text === undefined) return 'nothing';
  return text.length > 60 ? `${text.slice(0, 57)}…` : text;
};

/** Every difference between `value` and `schema`; none means that the value has the schema's type. */
export function structureFaults(schema: TSchema, value: unknown): ProfileFault[] {
  return faultsAt(schema, value, '');
}

function faultsAt(schema: SchemaNode, value: unknown, path: string): ProfileFault[] {
  if (schema.anyOf !== undefined) return choiceFaults(schema, schema.anyOf, value, path);
  if ('const' in schema) {
    return value === schema.const ? [] : [fault(path, `is ${shown(value)}`, shown(schema.const), schema)];
  }
  switch (schema.type) {
    case 'object':
      return objectFaults(schema, value, path);
    case 'array':
      return arrayFaults(schema, value, path);
    case 'string':
      return stringFaults(schema, value, path);
    case 'integer':
      return integerFaults(schema, value, path);
    case 'boolean':
      return typeof value === 'boolean' ? [] : [fault(path, `is ${shown(value)}`, 'true or false', schema)];
    case 'null':
      return value === null ? [] : [fault(path, `is ${shown(value)}`, 'null', schema)];
    default:
      return [];
  }
}

function fault(path: string, wrong: string, allowed: string, schema: SchemaNode): ProfileFault {
  const meaning = schema.description === undefined ? '' : ` (${schema.description})`;
  return { path, wrong, allowed: `${allowed}${meaning}`, fix: `write ${allowed}` };
}

function objectFaults(schema: SchemaNode, value: unknown, path: string): ProfileFault[] {
  if (typeof value !== 'object' || value === null || Array.isArray(value)) {
    return [fault(path, `is ${shown(value)}`, 'an object', schema)];
  }
  const members = value as Readonly<Record<string, unknown>>;
  const known = schema.properties ?? {};
  const missing = (schema.required ?? []).filter((name) => !Object.hasOwn(members, name));
  const faults = missing.map((name) => ({
    path: joined(path, name),
    wrong: 'is missing',
    allowed: known[name]?.description ?? allowedBy(known[name] ?? {}),
    fix: `add "${name}"`,
  }));
  const [pattern, ofPattern] = Object.entries(schema.patternProperties ?? {})[0] ?? [];
  for (const [name, member] of Object.entries(members)) {
    const property = known[name];
    const at = joined(path, name);
    if (property !== undefined) faults.push(...faultsAt(property, member, at));
    else if (pattern !== undefined && ofPattern !== undefined && new RegExp(pattern).test(name)) {
      faults.push(...faultsAt(ofPattern, member, at));
    } else faults.push(unknownMember(at, name, Object.keys(known), schema));
  }
  return faults;
}

function unknownMember(
  path: string,
  name: string,
  known: readonly string[],
  schema: SchemaNode,
): ProfileFault {
  if (known.length === 0) {
    return {
      path,
      wrong: 'has a name that is not allowed here',
      allowed: schema.description ?? `names that match ${Object.keys(schema.patternProperties ?? {}).join()}`,
      fix: `rename or remove "${name}"`,
    };
  }
  const near = known.find((candidate) => editDistance(candidate, name) <= 2);
  return {
    path,
    wrong: 'is not a member of this object',
    allowed: known.join(', '),
    fix: near === undefined ? `remove "${name}"` : `rename it to "${near}"`,
  };
}

function editDistance(left: string, right: string): number {
  let row = Array.from({ length: right.length + 1 }, (_, index) => index);
  for (const [i, a] of [...left].entries()) {
    const next = [i + 1];
    for (const [j, b] of [...right].entries()) {
      const replaced = (row[j] ?? 0) + (a === b ? 0 : 1);
      next.push(Math.min(replaced, (row[j + 1] ?? 0) + 1, (next[j] ?? 0) + 1));
    }
    row = next;
  }
  return row.at(-1) ?? 0;
}

function arrayFaults(schema: SchemaNode, value: unknown, path: string): ProfileFault[] {
  if (!Array.isArray(value)) return [fault(path, `is ${shown(value)}`, 'a list', schema)];
  const items: readonly unknown[] = value;
  const faults = items.flatMap((item, index) =>
    faultsAt(schema.items ?? {}, item, `${path}[${String(index)}]`),
  );
  const min = schema.minItems ?? 0;
  if (items.length < min) {
    faults.push(fault(path, `has ${String(items.length)} entries`, `at least ${String(min)}`, schema));
  }
  if (schema.uniqueItems === true) {
    const seen = new Set<string>();
    for (const [index, item] of items.entries()) {
      const text = JSON.stringify(item);
      if (seen.has(text)) {
        faults.push({
          path: `${path}[${String(index)}]`,
          wrong: `repeats ${shown(item)}`,
          allowed: 'each entry once',
          fix: 'remove the repetition',
        });
      }
      seen.add(text);
    }
  }
  return faults;
}

function stringFaults(schema: SchemaNode, value: unknown, path: string): ProfileFault[] {
  const isFitting =
    typeof value === 'string' &&
    (schema.pattern === undefined || new RegExp(schema.pattern).test(value)) &&
    value.length >= (schema.minLength ?? 0) &&
    value.length <= (schema.maxLength ?? Infinity);
  return isFitting ? [] : [fault(path, `is ${shown(value)}`, allowedBy(schema), schema)];
}

function integerFaults(schema: SchemaNode, value: unknown, path: string): ProfileFault[] {
  const isFitting =
    typeof value === 'number' &&
    Number.isInteger(value) &&
    value >= (schema.minimum ?? -Infinity) &&
    value <= (schema.maximum ?? Infinity) &&
    value % (schema.multipleOf ?? 1) === 0;
  return isFitting ? [] : [fault(path, `is ${shown(value)}`, allowedBy(schema), schema)];
}

function allowedBy(schema: SchemaNode): string {
  if ('const' in schema) return shown(schema.const);
  if (schema.anyOf !== undefined) return schema.anyOf.map(allowedBy).join(' or ');
  switch (schema.type) {
    case 'integer': {
      const step = schema.multipleOf === undefined ? '' : `, a multiple of ${String(schema.multipleOf)}`;
      return `a whole number from ${String(schema.minimum)} to ${String(schema.maximum)}${step}`;
    }
    case 'string':
      return schema.pattern === undefined ? 'a text' : `a text that matches ${schema.pattern}`;
    case 'array':
      return 'a list';
    case 'object':
      return 'an object';
    case 'boolean':
      return 'true or false';
    default:
      return schema.type ?? 'a value';
  }
}

/** A list of literals is told as a whole; between a text and an object, the one that was meant is explained. */
function choiceFaults(
  schema: SchemaNode,
  branches: readonly SchemaNode[],
  value: unknown,
  path: string,
): ProfileFault[] {
  const faults = branches.map((branch) => faultsAt(branch, value, path));
  if (faults.some((ofBranch) => ofBranch.length === 0)) return [];
  const meant = branches.findIndex(({ type }) => type === typeof value);
  const isOneMeant = branches.every((branch) => !('const' in branch)) && meant >= 0;
  if (isOneMeant) return faults[meant] ?? [];
  return [fault(path, `is ${shown(value)}`, branches.map(allowedBy).join(' or '), schema)];
}
