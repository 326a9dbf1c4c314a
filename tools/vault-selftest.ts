/**
 * `npm run vault:selftest -- --adapter software|softhsm|nss [--json]`: opens the adapter with keys of its own (a
 * token in a temporary folder, its Debian package installed or named), runs the known-answer test of every
 * operation, and prints what passed and where key bytes were seen.
 *
 * Exit codes: 0 every operation passed, 1 one did not or the adapter did not open, 2 the command line is wrong.
 */
import { randomBytes } from 'node:crypto';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import { type KeyAdapterStatus, type KeyStore, openPkcs11Keys, openSoftwareKeys } from '@cardwright/keys';
import { createToken, type TokenKind } from './pkcs11-tokens.ts';

type AdapterChoice = 'software' | TokenKind;

function readArguments(): { readonly adapter: AdapterChoice; readonly isJson: boolean } {
  const { values } = parseArgs({
    options: { adapter: { type: 'string', default: 'software' }, json: { type: 'boolean', default: false } },
  });
  const { adapter, json } = values;
  if (adapter === 'software' || adapter === 'softhsm' || adapter === 'nss') return { adapter, isJson: json };
  throw new RangeError('--adapter takes software, softhsm or nss');
}

async function openAdapter(choice: AdapterChoice, folder: string): Promise<KeyStore> {
  if (choice === 'software') {
    return openSoftwareKeys({ folder, masterKey: randomBytes(32), environment: 'test' });
  }
  const { environment, module, libraryParameters, token, pin, registerFile } = createToken(choice, folder);
  Object.assign(process.env, environment);
  return openPkcs11Keys({
    module,
    ...(libraryParameters !== undefined && { libraryParameters }),
    token,
    pin: new TextEncoder().encode(pin),
    environment: 'test',
    registerFile,
    allowHostKeyBytes: true,
  });
}

function report({ adapter, token, operations }: KeyAdapterStatus): string {
  const title = token === undefined ? adapter : `${adapter}: ${token.model}, ${token.library}`;
  const row = (...[operation, probed, result, keyBytes, note]: readonly string[]): string =>
    [operation?.padEnd(24), probed?.padEnd(8), result?.padEnd(9), keyBytes?.padEnd(11), note]
      .join('')
      .trimEnd();
  const lines = operations.map(({ operation, result, keyBytes, note }) =>
    row(operation, 'yes', result, keyBytes, note ?? ''),
  );
  const passed = operations.filter(({ result }) => result === 'passed').length;
  const end = `${passed} of ${operations.length} operations passed`;
  return [title, '', row('operation', 'probed', 'result', 'key bytes', ''), ...lines, '', end, ''].join('\n');
}

async function runSelfTest(choice: AdapterChoice, isJson: boolean): Promise<boolean> {
  const folder = await mkdtemp(join(tmpdir(), 'cardwright-selftest-'));
  try {
    const keys = await openAdapter(choice, folder);
    const status = await keys.status();
    await keys.close();
    process.stdout.write(isJson ? `${JSON.stringify(status, null, 2)}\n` : report(status));
    return status.operations.every(({ result }) => result === 'passed');
  } finally {
    await rm(folder, { recursive: true, force: true });
  }
}

try {
  const { adapter, isJson } = readArguments();
  process.exitCode = (await runSelfTest(adapter, isJson)) ? 0 : 1;
} catch (error) {
  const isUsage =
    error instanceof RangeError || (error as { code?: string }).code?.startsWith('ERR_PARSE_ARGS');
  process.stderr.write(`${error instanceof Error ? error.message : String(error)}\n`);
  process.exitCode = isUsage ? 2 : 1;
}
