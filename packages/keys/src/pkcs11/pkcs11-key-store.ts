/**
 * Opens the PKCS#11 adapter: module, token, login, methods, known-answer tests, named keys; `ensure` makes what is
 * missing inside the token.
 *
 * Invariants: nothing is served before it passed its known-answer test; a named key that can be read out of the
 * token, exists twice or belongs to another environment stops the start; the PIN is wiped as soon as the token has
 * it; the production environment takes no well-known key.
 */
import { type KeySpec, makeKeyValue } from '../key-making.ts';
import { isKeyName } from '../key-folder.ts';
import { type KeyAlgorithm, KeyError, type KeyHandle, type KeyUsage } from '../key-port.ts';
import { probeKeyOperations, type ProbeTarget } from '../key-probe.ts';
import { KeyRing, type TokenMaterial } from '../key-ring.ts';
import {
  type KeyAdapterStatus,
  type KeyOperationName,
  keyOperationNames,
  type KeyStore,
} from '../key-status.ts';
import { algorithmsByUsage, mayStore } from '../key-usage.ts';
import { isWellKnownKey } from '../well-known-keys.ts';
import { type CallWatchOptions, startCallWatch } from './call-watchdog.ts';
import { cryptokiFunctionNames, CryptokiModule, type TokenInfo } from './cryptoki-module.ts';
import { type Pkcs11Error } from './pkcs11-error.ts';
import { Pkcs11KeyOperations } from './pkcs11-keys.ts';
import { type Pkcs11OperationsOptions } from './pkcs11-symmetric-keys.ts';
import { isSameKey } from './token-key-comparison.ts';
import { findNamedKeys } from './token-key-inventory.ts';
import {
  destroyKey,
  generateP256,
  generateRsaInToken,
  generateSecretKey,
  importKey,
  inSession,
  type PlaceOf,
} from './token-key-making.ts';
import { hostKeyByteNotes, probeTokenMethods } from './token-methods.ts';
import { TokenSession } from './token-session.ts';
import { workingCopyOf } from './token-working-copy.ts';
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
  readonly status: KeyAdapterStatus;
  readonly close: () => Promise<void>;
}

/** KeyPort over a token, with named keys. */
export class Pkcs11Keys extends Pkcs11KeyOperations implements KeyStore {
  readonly #open: OpenToken;
  /** One creation at a time: two callers ensuring one name get one key. */
  #creation: Promise<unknown> = Promise.resolve();
  #isClosed = false;

  constructor(open: OpenToken) {
    super(open.operations);
    this.#open = open;
  }

  status(): Promise<KeyAdapterStatus> {
    return Promise.resolve(this.#open.status);
  }

  ensure(name: string, spec: KeySpec): Promise<KeyHandle> {
    const created = this.#creation.then(() => this.#ensureNow(name, spec));
    this.#creation = created.catch(() => undefined);
    return created;
  }

  async #ensureNow(name: string, spec: KeySpec): Promise<KeyHandle> {
    if (this.#isClosed) throw new KeyError('KEY_STORE', 'the key adapter is closed');
    this.#checkSpec(name, spec);
    const { ring } = this.#open.operations;
    const existing = ring.namedHandles().find((handle) => handle.id === name);
    if (!existing) return this.#make(name, spec);
    if (existing.algorithm !== spec.algorithm || existing.usage !== spec.usage) {
      throw new KeyError('KEY_STORE', `key ${name} exists as ${existing.algorithm} ${existing.usage}`);
    }
    await this.#checkSameValue(existing, spec);
    return existing;
  }

  #checkSpec(name: string, spec: KeySpec): void {
    const { environment } = this.#open.operations;
    if (!isKeyName(name)) throw new KeyError('KEY_STORE', 'a key name of a wrong form');
    if (!algorithmsByUsage[spec.usage].includes(spec.algorithm) || !mayStore(spec.usage, environment)) {
      throw new KeyError('KEY_USAGE', `key ${name} cannot be stored as ${spec.algorithm} ${spec.usage}`);
    }
    // No token here opens X9.143 key blocks by itself: such a key would lie in it without a purpose.
    if (spec.usage === 'KBPK') throw new KeyError('KEY_USAGE', 'a token takes no key block protection key');
    const isSymmetric = spec.algorithm !== 'RSA' && spec.algorithm !== 'EC-P256';
    if (environment === 'production' && isSymmetric && spec.value && isWellKnownKey(spec.value)) {
      throw new KeyError('KEY_STORE', `key ${name} is a well-known test key`);
    }
  }

  async #make(name: string, spec: KeySpec): Promise<KeyHandle> {
    const { environment, pool, ring } = this.#open.operations;
    const { algorithm, usage } = spec;
    const placeOf: PlaceOf = (role) => ({ environment, usage, algorithm, role, name });
    const material = await pool.use(async (session) =>
      workingCopyOf(session, await this.#makeObjects(session, name, spec, placeOf)),
    );
    return ring.addNamed(name, algorithm, usage, material);
  }

  async #makeObjects(
    session: TokenSession,
    name: string,
    spec: KeySpec,
    placeOf: PlaceOf,
  ): Promise<TokenMaterial> {
    if (spec.value) {
      const value = await makeKeyValue(name, spec);
      return importKey(session, spec.algorithm, spec.usage, value, placeOf).finally(() => value.fill(0));
    }
    switch (spec.algorithm) {
      case 'RSA': {
        const exponent = spec.exponent ?? 3;
        const { methods, refused } = this.#open.operations;
        const reason = refused.get(`generateRsa/${exponent}`);
        if (reason !== undefined) {
          throw new KeyError('KEY_OPERATION_REFUSED', `generateRsa/${exponent} is refused: ${reason}`);
        }
        const isInside = exponent === 65537 || methods.generatesExponent3;
        return generateRsaInToken(session, spec.bits ?? 1408, exponent, spec.usage, placeOf('key'), isInside);
      }
      case 'EC-P256':
        return generateP256(session, spec.usage, placeOf);
      default:
        return generateSecretKey(session, spec.algorithm, spec.usage, placeOf);
    }
  }

  async #checkSameValue(handle: KeyHandle, spec: KeySpec): Promise<void> {
    const { value } = spec;
    if (!value) return;
    const { pool, ring } = this.#open.operations;
    const isSame = await pool.use(async (session) => {
      const offered = await importKey(session, handle.algorithm, handle.usage, value, inSession);
      try {
        return await isSameKey(session, handle, ring.materialOf(handle), offered);
      } finally {
        await destroyKey(session, offered);
      }
    });
    if (!isSame) throw new KeyError('KEY_STORE', `key ${handle.id} exists with another value`);
  }

  /** Logs out and ends the module; derived keys are gone, named ones stay in the token. Safe to call twice. */
  async close(): Promise<void> {
    await this.#creation;
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

/** A token's keys have no register here: how long one is used is decided where the token is managed. */
const noRegister = (): void => undefined;

async function openAdapter(
  options: Pkcs11KeysOptions,
  module: CryptokiModule,
  token: TokenInfo,
  pool: TokenSessionPool,
  close: () => Promise<void>,
): Promise<Pkcs11Keys> {
  const ring = new KeyRing(options.maxTemporaryKeys ?? 4096, noRegister);
  const refused = new Map<KeyOperationName, string>();
  const methods = await pool.use((session) => probeTokenMethods(session));
  const hostNotes = hostKeyByteNotes(methods);
  for (const [operation, note] of hostNotes) {
    if (isHostAllowed(options.allowHostKeyBytes, operation)) continue;
    refused.set(operation, `it needs key bytes in the host, which is forbidden (${note})`);
  }
  const { environment, onTokenLost = () => undefined } = options;
  const operations = { ring, pool, methods, environment, refused, onTokenLost };
  const failures = await probeKeyOperations(probeTargetOf(operations));
  for (const [operation, reason] of failures) if (!refused.has(operation)) refused.set(operation, reason);

  for (const { name, algorithm, usage, material } of await pool.use((session) =>
    findNamedKeys(session, environment),
  )) {
    const copy = await pool.use((session) => workingCopyOf(session, material));
    ring.addNamed(name, algorithm, usage, copy);
  }
  const { description, libraryVersion } = module.info();
  const { slot: _slot, ...tokenStatus } = token;
  const status: KeyAdapterStatus = {
    adapter: 'pkcs11',
    token: { ...tokenStatus, library: `${description} ${libraryVersion}` },
    operations: keyOperationNames.map((operation) => {
      const keyBytes = hostNotes.has(operation) ? 'host' : 'inside';
      const note = refused.get(operation) ?? hostNotes.get(operation);
      const result = refused.has(operation) ? 'refused' : 'passed';
      return { operation, result, keyBytes, ...(note !== undefined && { note }) };
    }),
  };
  return new Pkcs11Keys({ operations, status, close });
}

function isHostAllowed(
  allowed: Pkcs11KeysOptions['allowHostKeyBytes'],
  operation: KeyOperationName,
): boolean {
  return typeof allowed === 'boolean' ? allowed : allowed.includes(operation);
}

/** The adapter while it is being tested, with test keys as session objects. */
function probeTargetOf(operations: Pkcs11OperationsOptions): ProbeTarget {
  const port = new Pkcs11KeyOperations(operations);
  const importTemporary = (algorithm: KeyAlgorithm, usage: KeyUsage, value: Uint8Array): Promise<KeyHandle> =>
    operations.pool.use(async (session) => {
      const material = await importKey(session, algorithm, usage, value, inSession);
      return operations.ring.addTemporary(algorithm, usage, material);
    });
  return { port, importTemporary };
}
