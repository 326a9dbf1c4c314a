/** Runs a test of the key port over every adapter: software, SoftHSM2 and NSS softoken, each with keys of its own. */
import { randomBytes } from 'node:crypto';
import { test, type TestContext } from 'node:test';
import { createToken, type TokenKind, type TestToken, tokenKinds } from '../../../tools/pkcs11-tokens.ts';
import { type KeyStore, openPkcs11Keys, openSoftwareKeys, type Pkcs11KeysOptions } from '../src/index.ts';
import { temporaryFolder } from './key-fixture.ts';

export type AdapterName = 'software' | TokenKind;
export const adapterNames: readonly AdapterName[] = ['software', ...tokenKinds];

export interface AdapterFixture {
  readonly keys: KeyStore;
  /** Opens the same keys again, after `keys` was closed. */
  readonly reopen: () => Promise<KeyStore>;
}

export interface AdapterOverrides {
  readonly maxTemporaryKeys?: number;
  readonly isExclusive?: boolean;
  readonly now?: () => number;
}
export type OpenAdapter = (t: TestContext, overrides?: AdapterOverrides) => Promise<AdapterFixture>;

/** Options of a token; the PIN is a copy each time, because opening wipes it. */
export function tokenOptions(
  { environment, module, libraryParameters, token, pin, registerFile }: TestToken,
  changes: Partial<Pkcs11KeysOptions> = {},
): Pkcs11KeysOptions {
  Object.assign(process.env, environment);
  return {
    module,
    ...(libraryParameters !== undefined && { libraryParameters }),
    token,
    pin: new TextEncoder().encode(pin),
    environment: 'test',
    registerFile,
    allowHostKeyBytes: true,
    ...changes,
  };
}

function openerOf(name: AdapterName, folder: string, overrides: AdapterOverrides): () => Promise<KeyStore> {
  if (name === 'software') {
    const masterKey = randomBytes(32);
    return () => openSoftwareKeys({ folder, masterKey, environment: 'test', ...overrides });
  }
  const token = createToken(name, folder);
  return () => openPkcs11Keys(tokenOptions(token, overrides));
}

async function openAdapter(
  name: AdapterName,
  t: TestContext,
  overrides: AdapterOverrides,
): Promise<AdapterFixture> {
  const open = openerOf(name, await temporaryFolder(t), overrides);
  const opened: KeyStore[] = [];
  t.after(async () => {
    for (const keys of opened) await keys.close();
  });
  const reopen = async (): Promise<KeyStore> => {
    const keys = await open();
    opened.push(keys);
    return keys;
  };
  return { keys: await reopen(), reopen };
}

/** One test per adapter; `open` makes an empty store of that adapter, closed and removed when the test ends. */
export function testOverAdapters(
  title: string,
  body: (t: TestContext, open: OpenAdapter, adapter: AdapterName) => Promise<void>,
): void {
  for (const name of adapterNames) {
    void test(`${title} (${name})`, (t) =>
      body(t, (context, overrides = {}) => openAdapter(name, context, overrides), name));
  }
}
