/**
 * Makes PKCS#11 tokens of two kinds for tests, benches and the self-test: SoftHSM2 and NSS softoken.
 *
 * Invariants: a token lives in the folder it is given and nowhere else; its PIN is random.
 */
import { spawnSync } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { requirePackages } from './debian-packages.ts';

export const tokenKinds = ['softhsm', 'nss'] as const;
export type TokenKind = (typeof tokenKinds)[number];

/** What a key adapter needs to open the token. */
export interface TestToken {
  readonly kind: TokenKind;
  readonly module: string;
  readonly libraryParameters?: string;
  readonly token: { readonly label: string };
  readonly pin: string;
  /** Where the register of its keys may stand. */
  readonly registerFile: string;
  /** Environment variables that must stand before the module is loaded. */
  readonly environment: Readonly<Record<string, string>>;
}

const packagesOf: Readonly<Record<TokenKind, readonly string[]>> = {
  softhsm: ['softhsm2', 'libsofthsm2'],
  nss: ['libnss3', 'libnss3-tools'],
};

/** Makes an initialized token in `folder`, which exists and is empty. */
export function createToken(kind: TokenKind, folder: string): TestToken {
  requirePackages(packagesOf[kind]);
  return kind === 'softhsm' ? createSoftHsmToken(folder) : createNssToken(folder);
}

function createSoftHsmToken(folder: string): TestToken {
  const pin = randomBytes(12).toString('hex');
  const tokens = join(folder, 'tokens');
  mkdirSync(tokens, { recursive: true });
  const configuration = join(folder, 'softhsm2.conf');
  writeFileSync(
    configuration,
    `directories.tokendir = ${tokens}\nobjectstore.backend = file\nlog.level = ERROR\n`,
  );
  const environment = { SOFTHSM2_CONF: configuration };
  const label = 'cardwright';
  run(
    'softhsm2-util',
    ['--init-token', '--free', '--label', label, '--so-pin', pin, '--pin', pin],
    environment,
  );
  return {
    kind: 'softhsm',
    module: installedFile('libsofthsm2', 'libsofthsm2.so'),
    token: { label },
    pin,
    registerFile: join(folder, 'register.sqlite'),
    environment,
  };
}

function createNssToken(folder: string): TestToken {
  const pin = randomBytes(12).toString('hex');
  const pinFile = join(folder, 'pin');
  writeFileSync(pinFile, `${pin}\n`, { mode: 0o600 });
  run('certutil', ['-N', '-d', `sql:${folder}`, '-f', pinFile], {});
  return {
    kind: 'nss',
    module: installedFile('libnss3', 'libsoftokn3.so'),
    libraryParameters: `configdir='sql:${folder}' certPrefix='' keyPrefix='' secmod='secmod.db' flags= `,
    token: { label: 'NSS Certificate DB' },
    pin,
    registerFile: join(folder, 'register.sqlite'),
    environment: {},
  };
}

function run(command: string, args: readonly string[], environment: Readonly<Record<string, string>>): void {
  const { status } = spawnSync(command, args, { stdio: 'ignore', env: { ...process.env, ...environment } });
  if (status !== 0) throw new Error(`${command} could not make a token`);
}

/** Path of a file that a Debian package installed, wherever the architecture puts it. */
function installedFile(packageName: string, fileName: string): string {
  const { stdout } = spawnSync('dpkg', ['-L', packageName], { encoding: 'utf8' });
  const path = stdout.split('\n').find((line) => line.endsWith(`/${fileName}`));
  if (path === undefined) throw new Error(`${packageName} installed no ${fileName}`);
  return path;
}
