/**
 * Configuration: one JSON file, one schema, all faults reported together, no insecure default.
 *
 * Invariant: a message names the member and what is wrong, never its value, because configuration holds paths
 * to secrets and sometimes, by mistake, secrets.
 */
import { readFileSync } from 'node:fs';
import { dirname, isAbsolute, resolve } from 'node:path';
import { type Static, type TSchema } from 'typebox';
import { Compile } from 'typebox/compile';

/** Raised when a configuration file cannot be used; `faults` lists everything wrong with it. */
export class ConfigError extends Error {
  override readonly name = 'ConfigError';
  readonly code = 'CONFIG_INVALID';
  readonly faults: readonly string[];

  constructor(file: string, faults: readonly string[]) {
    super(`The configuration ${file} cannot be used:\n${faults.map((fault) => `  - ${fault}`).join('\n')}`);
    this.faults = faults;
  }
}

function faultText(error: {
  keyword: string;
  instancePath: string;
  message: string;
  params: unknown;
}): string {
  const path = error.instancePath.slice(1).replaceAll('/', '.') || '(file)';
  const params = error.params as { requiredProperties?: string[]; additionalProperties?: string[] };
  if (error.keyword === 'required') return `${path}: lacks ${(params.requiredProperties ?? []).join(', ')}`;
  if (error.keyword === 'additionalProperties') {
    return `${path}: does not know ${(params.additionalProperties ?? []).join(', ')}`;
  }
  return `${path}: ${error.message}`;
}

/** Resolves a path that a configuration file names, relative to that file. */
export function resolveFrom(configFile: string, path: string): string {
  return isAbsolute(path) ? path : resolve(dirname(configFile), path);
}

/**
 * Reads and checks a configuration file. Every member whose name ends in `File` or `Folder` holds a path; it is
 * returned absolute, taken relative to the configuration file.
 * @throws ConfigError naming every fault
 */
export function readConfig<S extends TSchema>(schema: S, file: string): Static<S> {
  let raw: unknown;
  try {
    raw = JSON.parse(readFileSync(file, 'utf8'));
  } catch (error) {
    const code = (error as { code?: string }).code;
    throw new ConfigError(file, [code === undefined ? 'it is not JSON' : `it cannot be read (${code})`]);
  }
  const validator = Compile(schema);
  if (!validator.Check(raw)) {
    const faults = validator.Errors(raw).filter((error) => error.keyword !== 'boolean');
    throw new ConfigError(file, [...new Set(faults.map(faultText))]);
  }
  return withAbsolutePaths(raw, file) as Static<S>;
}

function withAbsolutePaths(value: unknown, file: string): unknown {
  if (Array.isArray(value)) return value.map((item) => withAbsolutePaths(item, file));
  if (typeof value !== 'object' || value === null) return value;
  return Object.fromEntries(
    Object.entries(value).map(([name, member]: [string, unknown]) => [
      name,
      /(File|Folder)$/.test(name) && typeof member === 'string'
        ? resolveFrom(file, member)
        : withAbsolutePaths(member, file),
    ]),
  );
}

/** The value of `--config` on the command line. @throws ConfigError when it is missing */
export function configFileArgument(argv: readonly string[] = process.argv): string {
  const at = argv.indexOf('--config');
  const file = at === -1 ? undefined : argv[at + 1];
  if (file === undefined) throw new ConfigError('(none)', ['start with --config FILE']);
  return resolve(file);
}
