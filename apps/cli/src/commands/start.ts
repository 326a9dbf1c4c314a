/** `cardwright start`: the whole system, staying up, restarting what dies. */
import { mkdirSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { startFolder } from '../sandbox/data-folder.ts';
import { sandboxFacts, startPorts } from '../sandbox/layout.ts';
import { startSandbox } from '../sandbox/sandbox.ts';

export interface StartOptions {
  readonly secureChannel: 'SCP02' | 'SCP03';
  readonly realistic?: true;
  /** Address of a PostgreSQL; counts at the first start of a folder. */
  readonly database?: string;
}

export async function startCommand(options: StartOptions): Promise<void> {
  const folder = startFolder();
  mkdirSync(dirname(folder), { recursive: true });
  const say = (text: string): void => void process.stdout.write(`${text}\n`);
  const sandbox = await startSandbox(
    {
      folder,
      ports: startPorts,
      secureChannel: options.secureChannel,
      timing: options.realistic === true ? 'realistic' : 'fast',
      faults: [],
      takeAfterMs: options.realistic === true ? 8_000 : 1_500,
      ...(options.database === undefined ? {} : { databaseUrl: options.database }),
    },
    {
      onRestart: (name, signal) => {
        say(`${name} stopped (${signal}); starting it again`);
      },
    },
  );
  writeFileSync(join(folder, 'start.pid'), String(process.pid));
  say('Cardwright is running.');
  say(`  reference issuer  ${sandbox.urls.issuerApp}/api/cards`);
  say(`  issuer API        ${sandbox.urls.issuerApi}/banking/v1   (mutual TLS, D1-compatible)`);
  say(`  OpenAPI 3.1       ${sandbox.urls.openApi}`);
  say(`  operator API      ${sandbox.urls.operatorApi}/operator/v1   (mutual TLS)`);
  say(`  station           ${sandboxFacts.stationId}`);
  say(`  data and logs     ${folder}`);
  say('');
  say('From a second terminal: npx cardwright card issue --name "TARO YAMADA"');
  say('Stop with Ctrl+C. npm run reset removes all data.');
  await new Promise<void>((resolve) => {
    for (const signal of ['SIGINT', 'SIGTERM'] as const) process.once(signal, resolve);
  });
  say('Stopping.');
  await sandbox.stop();
}
