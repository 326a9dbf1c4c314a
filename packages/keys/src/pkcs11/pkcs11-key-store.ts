/**
 * Opens the PKCS#11 adapter: module, token, login, register, methods, known-answer tests, named keys.
 *
 * Invariants: nothing is served before it passed its known-answer test; a named key that can be read out of the
 * token, exists twice, belongs to another environment or does not fit the register stops the start; the PIN is wiped
 * as soon as the token has it.
 */
import { existsSync, mkdirSync } from 'node:fs';
import { dirname } from 'node:path';
import { type KeptKey, KeyManagement } from '../key-management.ts';
import { type KeySpec } from '../key-making.ts';
import { KeyError, type KeyHandle } from '../key-port.ts';
import { probeKeyOperations, type ProbeTarget } from '../key-probe.ts';
import { type KeyDetails } from '../key-register/key-life.ts';
import { KeyRegister } from '../key-register/key-register.ts';
import { lifeGuard, reconcileKeys } from '../key-register/key-registration.ts';
import { KeyRing } from '../key-ring.ts';
import {
  type KeyAdapterStatus,
  type KeyOperationName,
  keyOperationNames,
  type KeyStore,
} from '../key-status.ts';
import { type CallWatchOptions, startCallWatch } from './call-watchdog.ts';
import { cryptokiFunctionNames, CryptokiModule, type TokenInfo } from './cryptoki-module.ts';
import { type Pkcs11Error } from './pkcs11-error.ts';
import { Pkcs11KeyOperations } from './pkcs11-keys.ts';
import { type Pkcs11OperationsOptions } from './pkcs11-symmetric-keys.ts';
import { TokenKeeper } from './token-keeper.ts';
import { findNamedKeys } from './token-key-inventory.ts';
import { importKey, inSession } from './token-key-making.ts';
import { hostKeyByteNotes, probeTokenMethods } from './token-methods.ts';
import { findRegisterKey, makeRegisterKey, registerMacKey } from './token-register-key.ts';
import { TokenSession } from './token-session.ts';
import { TokenSessionPool } from './token-session-pool.ts';

export interface Pkcs11KeysOptions {
  /** Path of the module's shared library. */
  readonly module: string;
  /** For NSS: `configdir='sql:FOLDER' certPrefix='' keyPrefix='' secmod='secmod.db' flags=`. Others take none. */
  readonly libraryParameters?: string;
  /** The token by its label, or by its slot number. */
  readonly token: { readonly label: string } | { readonly slot: number };
  /** Of the normal user. Wiped. */
  readonly pin: Uint8Array;
  readonly environment: 'test' | 'production';
  /** SQLite file of the register of key lives; its folder is made (0700) when absent. It belongs to the token. */
  readonly registerFile: string;
  /** Refuses to open while another process has the register open, and the other way round. */
  readonly isExclusive?: boolean;
  /** Epoch milliseconds; the system's clock by default. */
  readonly now?: () => number;
  /** Operations that may show key bytes to this process: all, none, or those named. */
  readonly allowHostKeyBytes: boolean | readonly KeyOperationName[];
  /** Sessions with the token: operations at once. Default 4. */
  readonly sessions?: number;
  /** Every call on another thread: for a token behind a network. Default false. */
  readonly isRemote?: boolean;
  /** Derived and generated keys held at once before the adapter refuses more. Default 4096. */
  readonly maxTemporaryKeys?: number;
  /** Ends the process when a call hangs. Default: 30 s, exit code 75, one line. */
  readonly watchdog?: CallWatchOptions;
  /** Told when the token is lost and only a new start helps. */
  readonly onTokenLost?: (error: Pkcs11Error) => void;
}

const defaultWatchdog: CallWatchOptions = {
  deadlineMs: 30_000,
  exitCode: 75,
  lastWords: 'the PKCS#11 module did not come back from {function}',
};

/** What `Pkcs11Keys` is made of; only `openPkcs11Keys` puts it together. */
interface OpenToken {
  readonly operations: Pkcs11OperationsOptions;
  readonly register: KeyRegister;
  readonly keeper: TokenKeeper;
  readonly now: () => number;
  readonly status: KeyAdapterStatus;
  readonly close: () => Promise<void>;
}

/** KeyPort over a token, with named keys. */
export class Pkcs11Keys extends Pkcs11KeyOperations implements KeyStore {
  readonly management: KeyManagement;
  readonly #open: OpenToken;
  #isClosed = false;

  constructor(open: OpenToken) {
    super(open.operations);
    this.#open = open;
    const { register, keeper, now } = open;
    const { ring, environment } = open.operations;
    this.management = new KeyManagement({ port: this, ring, register, keeper, environment, now });
  }

  status(): Promise<KeyAdapterStatus> {
    return Promise.resolve(this.#open.status);
  }

  ensure(name: string, spec: KeySpec, details?: KeyDetails): Promise<KeyHandle> {
    return this.management.ensure(name, spec, details);
  }

  /** Logs out and ends the module; derived keys are gone, named ones stay in the token. Safe to call twice. */
  async close(): Promise<void> {
    await this.management.close();
    if (this.#isClosed) return;
    this.#isClosed = true;
    this.#open.operations.ring.close();
    await this.#open.close();
  }
}

/**
 * Opens a token.
 * @throws KeyError KEY_STORE when the token is not there, or a key in it is unsound; Pkcs11Error when the module
 *   refuses, for example the PIN
 */
export async function openPkcs11Keys(options: Pkcs11KeysOptions): Promise<Pkcs11Keys> {
  const watch = startCallWatch(options.watchdog ?? defaultWatchdog, cryptokiFunctionNames);
  let module: CryptokiModule | undefined;
  try {
    module = CryptokiModule.open(options.module, options.libraryParameters, watch);
    const token = selectToken(module.tokens(), options.token);
    const pool = await openSessions(module, token, options);
    const opened = module;
    return await openAdapter(options, opened, token, pool, async () => {
      await pool.close();
      opened.finalize();
      await watch.close();
    });
  } catch (error) {
    module?.finalize();
    await watch.close();
    throw error;
  } finally {
    options.pin.fill(0);
  }
}

function selectToken(tokens: readonly TokenInfo[], wanted: Pkcs11KeysOptions['token']): TokenInfo {
  const fitting = tokens.filter((token) =>
    'label' in wanted ? token.label === wanted.label : token.slot === wanted.slot,
  );
  const name = 'label' in wanted ? `labelled ${wanted.label}` : `in slot ${wanted.slot}`;
  const [token, ...others] = fitting;
  if (!token) throw new KeyError('KEY_STORE', `the module has no token ${name}`);
  if (others.length > 0) throw new KeyError('KEY_STORE', `the module has more than one token ${name}`);
  return token;
}

async function openSessions(
  module: CryptokiModule,
  { slot }: TokenInfo,
  { pin, sessions = 4, isRemote = false }: Pkcs11KeysOptions,
): Promise<TokenSessionPool> {
  const open: TokenSession[] = [];
  while (open.length < sessions) open.push(await TokenSession.open({ module, slot, isRemote }));
  // One login counts for all sessions of the process.
  await open[0]?.login(pin);
  return new TokenSessionPool(open);
}

async function openAdapter(
  options: Pkcs11KeysOptions,
  module: CryptokiModule,
  token: TokenInfo,
  pool: TokenSessionPool,
  close: () => Promise<void>,
): Promise<Pkcs11Keys> {
  const { environment, onTokenLost = () => undefined, now = Date.now } = options;
  const { register, mayAdopt } = await openRegister(options, pool, now());
  try {
    const ring = new KeyRing(options.maxTemporaryKeys ?? 4096, lifeGuard(register, now));
    const refused = new Map<KeyOperationName, string>();
    const methods = await pool.use((session) => probeTokenMethods(session));
    const hostNotes = hostKeyByteNotes(methods);
    for (const [operation, note] of hostNotes) {
      if (isHostAllowed(options.allowHostKeyBytes, operation)) continue;
      refused.set(operation, `it needs key bytes in the host, which is forbidden (${note})`);
    }
    const operations = { ring, pool, methods, environment, refused, onTokenLost };
    const keeper = new TokenKeeper(operations, `${token.label} (serial ${token.serialNumber})`);
    const failures = await probeKeyOperations(probeTargetOf(operations, keeper));
    for (const [operation, reason] of failures) if (!refused.has(operation)) refused.set(operation, reason);
    await addNamedKeys({ operations, keeper, register, mayAdopt, nowMs: now() });
    const status = statusOf(module, token, refused, hostNotes);
    const closeAll = async (): Promise<void> => {
      register.close();
      await close();
    };
    return new Pkcs11Keys({ operations, register, keeper, now, status, close: closeAll });
  } catch (error) {
    register.close();
    throw error;
  }
}

interface OpenRegister {
  readonly register: KeyRegister;
  /** A token that never had a register may have keys of an earlier version. */
  readonly mayAdopt: boolean;
}

/** @throws KeyError KEY_STORE when the register is broken, in use, or belongs to another token */
async function openRegister(
  { registerFile, isExclusive = false, environment }: Pkcs11KeysOptions,
  pool: TokenSessionPool,
  nowMs: number,
): Promise<OpenRegister> {
  return pool.use(async (session) => {
    const found = await findRegisterKey(session);
    if (found === undefined && existsSync(registerFile)) {
      throw new KeyError('KEY_STORE', 'the key register belongs to another token');
    }
    mkdirSync(dirname(registerFile), { recursive: true, mode: 0o700 });
    const macKey = await registerMacKey(session, found ?? (await makeRegisterKey(session)));
    try {
      const file = registerFile;
      const register = new KeyRegister({ file, macKey, environment, isExclusive, nowMs });
      return { register, mayAdopt: found === undefined };
    } finally {
      macKey.fill(0);
    }
  });
}

interface NamedKeyParts extends Omit<OpenRegister, 'register'> {
  readonly operations: Pkcs11OperationsOptions;
  readonly keeper: TokenKeeper;
  readonly register: KeyRegister;
  readonly nowMs: number;
}

/** Brings the token's keys and their register together and puts the keys into the ring. */
async function addNamedKeys({ operations, keeper, register, mayAdopt, nowMs }: NamedKeyParts): Promise<void> {
  const { pool, ring, environment } = operations;
  const kept = await pool.use(async (session) => {
    const keys: KeptKey[] = [];
    for (const key of await findNamedKeys(session, environment)) keys.push(await keeper.keep(session, key));
    return keys;
  });
  const found = kept.map(({ material: _material, ...key }) => key);
  const remove = (name: string): Promise<void> => keeper.remove(name, []);
  const names = await reconcileKeys({ register, found, place: 'the token', mayAdopt, remove, nowMs });
  for (const { name, algorithm, usage, material } of kept) {
    if (names.has(name)) ring.addNamed(name, algorithm, usage, material);
  }
}

function statusOf(
  module: CryptokiModule,
  { slot: _slot, ...token }: TokenInfo,
  refused: ReadonlyMap<KeyOperationName, string>,
  hostNotes: ReadonlyMap<KeyOperationName, string>,
): KeyAdapterStatus {
  const { description, libraryVersion } = module.info();
  return {
    adapter: 'pkcs11',
    token: { ...token, library: `${description} ${libraryVersion}` },
    operations: keyOperationNames.map((operation) => {
      const keyBytes = hostNotes.has(operation) ? 'host' : 'inside';
      const note = refused.get(operation) ?? hostNotes.get(operation);
      const result = refused.has(operation) ? 'refused' : 'passed';
      return { operation, result, keyBytes, ...(note !== undefined && { note }) };
    }),
  };
}

function isHostAllowed(
  allowed: Pkcs11KeysOptions['allowHostKeyBytes'],
  operation: KeyOperationName,
): boolean {
  return typeof allowed === 'boolean' ? allowed : allowed.includes(operation);
}

/** The adapter while it is being tested, with test keys as session objects. */
function probeTargetOf(operations: Pkcs11OperationsOptions, keeper: TokenKeeper): ProbeTarget {
  const { pool, ring } = operations;
  return {
    port: new Pkcs11KeyOperations(operations),
    importTemporary: (algorithm, usage, value) =>
      pool.use(async (session) => {
        const material = await importKey(session, algorithm, usage, value, inSession);
        return ring.addTemporary(algorithm, usage, material);
      }),
    withProtectionKey: async (key, use) => {
      const { object } = ring.useToken(key, 'unwrapKeyBlock', [key.algorithm]);
      const bytes = await pool.use((session) => keeper.protectionKey(session, key, object));
      try {
        return use(bytes);
      } finally {
        bytes.fill(0);
      }
    },
  };
}
