/** `cardwright vault status`: what holds the keys of the running system, what it proved, where key bytes are seen. */
import { check, vaultPaths, VaultStatus } from '@cardwright/protocol';
import { type MtlsClient } from '@cardwright/runtime';
import { startFolder } from '../sandbox/data-folder.ts';
import { sandboxLayout, startPorts } from '../sandbox/layout.ts';
import { vaultClient } from '../sandbox/sandbox.ts';
import { failWhenNotRunning } from './running-system.ts';

async function readStatus(client: MtlsClient): Promise<VaultStatus> {
  const { body } = await client.request({ method: 'GET', path: vaultPaths.status });
  const checked = check(VaultStatus, JSON.parse(body));
  if (!checked.ok) throw new Error(`the vault's status is malformed at ${checked.field}`);
  return checked.value;
}

/** Lines for a person. */
export function statusLines({ keys, iccKeysReady, keysEnding }: VaultStatus): string[] {
  const { adapter, token, operations } = keys;
  const seen = operations.filter(({ keyBytes }) => keyBytes === 'host').length;
  return [
    `key adapter     ${adapter}`,
    ...(token === undefined
      ? []
      : [
          `token           ${token.label}: ${token.manufacturer} ${token.model}, serial ${token.serialNumber}`,
          `versions        hardware ${token.hardwareVersion}, firmware ${token.firmwareVersion}, ${token.library}`,
        ]),
    `ICC keys ready  ${iccKeysReady}`,
    `key bytes       ${seen} of ${operations.length} operations show them to the vault's memory`,
    ...keysEnding.map(
      ({ name, state, endsAt }) => `key ends        ${name} (${state}), ${endsAt.slice(0, 10)}`,
    ),
    '',
    ...operations.map(({ operation, result, keyBytes, note }) =>
      `${operation.padEnd(22)} ${result.padEnd(8)} ${keyBytes.padEnd(7)} ${note ?? ''}`.trimEnd(),
    ),
  ];
}

export async function vaultStatusCommand({ json = false }: { readonly json?: boolean }): Promise<void> {
  const client = vaultClient(sandboxLayout(startFolder(), startPorts));
  try {
    const status = await failWhenNotRunning(readStatus(client));
    const text = json ? JSON.stringify(status, null, 2) : statusLines(status).join('\n');
    process.stdout.write(`${text}\n`);
  } finally {
    await client.close();
  }
}
