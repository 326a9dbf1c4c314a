/** The import graph between workspaces, as dependency-cruiser sees it. Used by the walls and the diagram. */
import { execFileSync } from 'node:child_process';

interface CruisedModule {
  readonly source: string;
  readonly dependencies: readonly { readonly resolved: string }[];
}

export interface Cruise {
  readonly moduleCount: number;
  readonly violations: readonly string[];
  /** `apps/server` → the workspaces that its sources import. */
  readonly workspaceImports: ReadonlyMap<string, ReadonlySet<string>>;
}

interface CruiseOutput {
  readonly modules: readonly CruisedModule[];
  readonly summary: {
    readonly violations: readonly {
      readonly rule: { readonly name: string };
      readonly from: string;
      readonly to: string;
    }[];
  };
}

const workspaceOf = (path: string): string | undefined =>
  /^((?:packages|apps)\/[^/]+)\/src\//.exec(path)?.[1];

function runCruiser(): CruiseOutput {
  const bin = new URL('../node_modules/dependency-cruiser/bin/dependency-cruiser.mjs', import.meta.url)
    .pathname;
  const args = [bin, '--config', '.dependency-cruiser.cjs', '--output-type', 'json', 'packages', 'apps'];
  try {
    return JSON.parse(
      execFileSync(process.execPath, args, { maxBuffer: 256 * 1024 * 1024, encoding: 'utf8' }),
    ) as CruiseOutput;
  } catch (error) {
    // Violations make the command exit with their number; its output is complete all the same.
    const { stdout } = error as { stdout?: string };
    if (stdout === undefined || stdout === '') throw error;
    return JSON.parse(stdout) as CruiseOutput;
  }
}

/** Reads every import of packages and apps. */
export function cruise(): Cruise {
  const output = runCruiser();
  const workspaceImports = new Map<string, Set<string>>();
  for (const module of output.modules) {
    const from = workspaceOf(module.source);
    if (from === undefined) continue;
    const imports = workspaceImports.get(from) ?? new Set<string>();
    workspaceImports.set(from, imports);
    for (const dependency of module.dependencies) {
      const to = workspaceOf(dependency.resolved);
      if (to !== undefined && to !== from) imports.add(to);
    }
  }
  return {
    moduleCount: output.modules.filter((module) => workspaceOf(module.source) !== undefined).length,
    violations: output.summary.violations.map(({ rule, from, to }) => `${rule.name}: ${from} → ${to}`),
    workspaceImports,
  };
}
