/**
 * How a configuration file names a token, and how the token is opened by it: alike for the vault and the offline key
 * commands.
 *
 * Invariant: the PIN is read by the caller, handed over once and wiped.
 */
import { type Static, Type } from 'typebox';
import { keyOperationNames } from '../key-status.ts';
import { openPkcs11Keys, type Pkcs11Keys, type Pkcs11KeysOptions } from './pkcs11-key-store.ts';

const KeyOperation = Type.Union(keyOperationNames.map((name) => Type.Literal(name)));

export const Pkcs11KeyConfig = Type.Object(
  {
    adapter: Type.Literal('pkcs11'),
    /** The module's shared library. */
    module: Type.String({ minLength: 1 }),
    /** Handed to C_Initialize; only NSS needs it. */
    libraryParameters: Type.Optional(Type.String({ minLength: 1 })),
    tokenLabel: Type.String({ minLength: 1, maxLength: 32 }),
    /** The PIN of the normal user; one line break at the end is ignored. */
    pinFile: Type.String({ minLength: 1 }),
    /** Operations that may show key bytes to the memory of the process: all (sandbox only), none, or those named. */
    allowHostKeyBytes: Type.Union([Type.Boolean(), Type.Array(KeyOperation, { uniqueItems: true })]),
    sessions: Type.Optional(Type.Integer({ minimum: 1, maximum: 32 })),
    /** For a token behind a network: every call leaves the main thread. */
    isRemote: Type.Optional(Type.Boolean()),
    /** A call that takes longer ends the process, which is started again. Default 30 s. */
    callLimitMs: Type.Optional(Type.Integer({ minimum: 100, maximum: 600_000 })),
  },
  { additionalProperties: false },
);
export type Pkcs11KeyConfig = Static<typeof Pkcs11KeyConfig>;

/** What a configuration file does not say. */
export interface Pkcs11Place extends Pick<
  Pkcs11KeysOptions,
  'environment' | 'registerFile' | 'isExclusive' | 'onTokenLost' | 'now'
> {
  /** What the PIN file holds; wiped. */
  readonly pinFileBytes: Uint8Array;
  /** When a call hangs: the exit code, and one line with `{function}` in it. */
  readonly exitCode: number;
  readonly lastWords: string;
}

/** @throws as `openPkcs11Keys` */
export async function openConfiguredPkcs11Keys(
  config: Pkcs11KeyConfig,
  { pinFileBytes, exitCode, lastWords, ...place }: Pkcs11Place,
): Promise<Pkcs11Keys> {
  const { module, libraryParameters, tokenLabel, allowHostKeyBytes, sessions, isRemote, callLimitMs } =
    config;
  try {
    return await openPkcs11Keys({
      ...place,
      module,
      ...(libraryParameters !== undefined && { libraryParameters }),
      token: { label: tokenLabel },
      pin: pinFileBytes.at(-1) === 0x0a ? pinFileBytes.subarray(0, -1) : pinFileBytes,
      allowHostKeyBytes,
      ...(sessions !== undefined && { sessions }),
      ...(isRemote !== undefined && { isRemote }),
      watchdog: { deadlineMs: callLimitMs ?? 30_000, exitCode, lastWords },
    });
  } finally {
    pinFileBytes.fill(0);
  }
}
