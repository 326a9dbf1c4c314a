/**
 * `npm run vault:selftest -- --adapter software|softhsm|nss`: opens the adapter with keys of its own, runs the
 * known-answer test of every operation, and prints what passed and where key bytes were seen.
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

function adapterArgument(): AdapterChoice {
  const { values } = parseArgs({ options: { adapter: { type: 'string', default: 'software' } } });
  if (values.adapter === 'software' || values.adapter === 'softhsm' || values.adapter === 'nss') {
    return values.adapter;
  }
  throw new RangeError('--adapter takes software, softhsm or nss');
}

async function openAdapter(choice: AdapterChoice, folder: string): Promise<KeyStore> {
  if (choice === 'software') {
    return openSoftwareKeys({ folder, masterKey: randomBytes(32), environment: 'test' });
  }
  const { environment, module, libraryParameters, token, pin } = createToken(choice, folder);
  Object.assign(process.env, environment);
  return openPkcs11Keys({
    module,
    ...(libraryParameters !== undefined && { libraryParameters }),
    token,
    pin: new TextEncoder().encode(pin),
    environment: 'test',
    allowHostKeyBytes: true,
  });
}

function report({ adapter, token, operations }: KeyAdapterStatus): string {
  const title = token === undefined ? adapter : `${adapter}: ${token.model}, ${token.library}`;
  const lines = operations.map(({ operation, result, keyBytes, note }) =>
    `${operation.padEnd(24)}probed  ${result.padEnd(9)}key bytes ${keyBytes.padEnd(7)} ${note ?? ''}`.trimEnd(),
  );
  const passed = operations.filter(({ result }) => result === 'passed').length;
  return [title, ...lines, `${passed} of ${operations.length} operations passed`, ''].join('\n');
}

async function runSelfTest(choice: AdapterChoice): Promise<boolean> {
  const folder = await mkdtemp(join(tmpdir(), 'cardwright-selftest-'));
  try {
    const keys = await openAdapter(choice, folder);
    const status = await keys.status();
    await keys.close();
    process.stdout.write(report(status));
    return status.operations.every(({ result }) => result === 'passed');
  } finally {
    await rm(folder, { recursive: true, force: true });
  }
}

try {
  process.exitCode = (await runSelfTest(adapterArgument())) ? 0 : 1;
} catch (error) {
  const isUsage =
    error instanceof RangeError || (error as { code?: string }).code?.startsWith('ERR_PARSE_ARGS');
  process.stderr.write(`${error instanceof Error ? error.message : String(error)}\n`);
  process.exitCode = isUsage ? 2 : 1;
}
