/**
 * A PKCS#11 module in this process: loaded, initialized, and called through its function table.
 *
 * Invariants: the module binds to its own libraries before ours (RTLD_DEEPBIND: node exports OpenSSL's symbols, and
 * a module built over another OpenSSL would otherwise call node's); it is initialized with CKF_OS_LOCKING_OK,
 * because calls come from several threads; every call is counted by the watchdog from its begin to its end; an
 * answer other than CKR_OK is an error that names the function and the answer and nothing else.
 */
import koffi, { type KoffiFunc, type LibraryHandle } from 'koffi';
import { CKF, CKR } from './cryptoki-constants.ts';
import { type CallWatch } from './call-watchdog.ts';
import { NativeArena, readWord, writeWords } from './native-memory.ts';
import { Pkcs11Error } from './pkcs11-error.ts';

/** Position in CK_FUNCTION_LIST (behind the version) and number of arguments; every argument is one machine word. */
const functionTable = {
  C_Initialize: [0, 1],
  C_Finalize: [1, 1],
  C_GetInfo: [2, 1],
  C_GetSlotList: [4, 3],
  C_GetTokenInfo: [6, 2],
  C_OpenSession: [12, 5],
  C_CloseSession: [13, 1],
  C_Login: [18, 4],
  C_CreateObject: [20, 4],
  C_CopyObject: [21, 5],
  C_DestroyObject: [22, 2],
  C_GetAttributeValue: [24, 4],
  C_FindObjectsInit: [26, 3],
  C_FindObjects: [27, 4],
  C_FindObjectsFinal: [28, 1],
  C_EncryptInit: [29, 3],
  C_Encrypt: [30, 5],
  C_DecryptInit: [33, 3],
  C_Decrypt: [34, 5],
  C_SignInit: [42, 3],
  C_Sign: [43, 5],
  C_GenerateKey: [58, 5],
  C_GenerateKeyPair: [59, 8],
  C_WrapKey: [60, 6],
  C_UnwrapKey: [61, 8],
  C_DeriveKey: [62, 6],
} as const satisfies Readonly<Record<string, readonly [position: number, argumentCount: number]>>;

export type CryptokiFunction = keyof typeof functionTable;
export const cryptokiFunctionNames: readonly string[] = Object.keys(functionTable);
/** A word comes back as a bigint when a number could not hold it. */
type NativeFunction = KoffiFunc<(...words: number[]) => number | bigint>;

/** What a token says of itself (CK_TOKEN_INFO). */
export interface TokenInfo {
  readonly slot: number;
  readonly label: string;
  readonly manufacturer: string;
  readonly model: string;
  readonly serialNumber: string;
  /** `major.minor` */
  readonly hardwareVersion: string;
  readonly firmwareVersion: string;
}

export interface ModuleInfo {
  readonly manufacturer: string;
  readonly description: string;
  readonly libraryVersion: string;
}

export class CryptokiModule {
  readonly #functions: ReadonlyMap<CryptokiFunction, NativeFunction>;
  readonly #watch: CallWatch;
  /** Held for as long as the module is: koffi unloads a library that nobody refers to. */
  readonly #library: LibraryHandle;

  private constructor(
    library: LibraryHandle,
    functions: ReadonlyMap<CryptokiFunction, NativeFunction>,
    watch: CallWatch,
  ) {
    this.#library = library;
    this.#functions = functions;
    this.#watch = watch;
  }

  /**
   * Loads and initializes a module. One process can hold a module once.
   * @param libraryParameters handed over at C_Initialize; NSS needs them, other modules must get none
   * @throws Error when the file is no PKCS#11 module or the machine has no 64-bit little-endian words;
   *   Pkcs11Error when the module refuses
   */
  static open(path: string, libraryParameters: string | undefined, watch: CallWatch): CryptokiModule {
    if (koffi.sizeof('long') !== 8 || new Uint8Array(Uint16Array.of(1).buffer)[0] !== 1) {
      throw new Error('PKCS#11 modules are supported on 64-bit little-endian Unix systems only');
    }
    const arena = new NativeArena(4096);
    try {
      const library = koffi.load(path, { deep: true });
      const module = new CryptokiModule(library, readFunctionTable(library, arena), watch);
      module.#initialize(libraryParameters, arena);
      return module;
    } finally {
      arena.free();
    }
  }

  #initialize(libraryParameters: string | undefined, arena: NativeArena): void {
    // CK_C_INITIALIZE_ARGS: four mutex functions, flags, reserved; NSS reads its parameters where reserved stands.
    const initializeArguments = arena.allocate(7 * 8);
    const parameters =
      libraryParameters === undefined
        ? 0
        : arena.copyOf(new TextEncoder().encode(`${libraryParameters}\0`)).address;
    writeWords(initializeArguments, [0, 0, 0, 0, CKF.osLockingOk, parameters, 0]);
    this.call('C_Initialize', initializeArguments.address);
  }

  /** Calls on this thread. @throws Pkcs11Error */
  call(name: CryptokiFunction, ...words: number[]): void {
    const returnValue = this.#watch.watched(name, () => Number(this.#function(name)(...words)));
    if (returnValue !== CKR.ok) throw new Pkcs11Error(name, returnValue);
  }

  /** Calls on another thread: for what takes long. The memory behind `words` must stay. @throws Pkcs11Error */
  async callAside(name: CryptokiFunction, ...words: number[]): Promise<void> {
    const end = this.#watch.begin(name);
    const returnValue = await new Promise<number>((resolve, reject) => {
      this.#function(name).async(...words, (error: Error | null, value: number | bigint) => {
        end();
        if (error) reject(error);
        else resolve(Number(value));
      });
    });
    if (returnValue !== CKR.ok) throw new Pkcs11Error(name, returnValue);
  }

  #function(name: CryptokiFunction): NativeFunction {
    const found = this.#functions.get(name);
    if (!found) throw new Pkcs11Error(name, CKR.functionNotSupported);
    return found;
  }

  info(): ModuleInfo {
    const arena = new NativeArena(256);
    try {
      // CK_INFO: version (2), manufacturer (32), flags (8, aligned), description (32), version (2)
      const info = arena.allocate(96);
      this.call('C_GetInfo', info.address);
      return {
        manufacturer: paddedText(info.bytes, 2, 32),
        description: paddedText(info.bytes, 48, 32),
        libraryVersion: version(info.bytes, 80),
      };
    } finally {
      arena.free();
    }
  }

  /** Every token that is present. */
  tokens(): TokenInfo[] {
    const arena = new NativeArena(1024);
    try {
      const count = arena.allocate(8);
      this.call('C_GetSlotList', 1, 0, count.address);
      const slots = arena.allocate(8 * Math.max(1, readWord(count)));
      this.call('C_GetSlotList', 1, slots.address, count.address);
      return Array.from({ length: readWord(count) }, (_, index) =>
        this.#tokenInfo(readWord(slots, index), arena),
      );
    } finally {
      arena.free();
    }
  }

  #tokenInfo(slot: number, arena: NativeArena): TokenInfo {
    // CK_TOKEN_INFO: label (32), manufacturer (32), model (16), serial (16), 11 words, two versions (2 + 2), time (16)
    const info = arena.allocate(32 + 32 + 16 + 16 + 11 * 8 + 4 + 16 + 4);
    this.call('C_GetTokenInfo', slot, info.address);
    return {
      slot,
      label: paddedText(info.bytes, 0, 32),
      manufacturer: paddedText(info.bytes, 32, 32),
      model: paddedText(info.bytes, 64, 16),
      serialNumber: paddedText(info.bytes, 80, 16),
      hardwareVersion: version(info.bytes, 184),
      firmwareVersion: version(info.bytes, 186),
    };
  }

  /** Ends the module; every session and session object goes with it. */
  finalize(): void {
    this.call('C_Finalize', 0);
    this.#library.unload();
  }
}

function readFunctionTable(
  library: LibraryHandle,
  arena: NativeArena,
): Map<CryptokiFunction, NativeFunction> {
  const listPointer = arena.allocate(8);
  const getFunctionList = library.func('C_GetFunctionList', 'uint64_t', ['uint64_t']) as NativeFunction;
  const returnValue = Number(getFunctionList(listPointer.address));
  if (returnValue !== CKR.ok) throw new Pkcs11Error('C_GetFunctionList', returnValue);
  const table = BigInt(readWord(listPointer));
  const functions = new Map<CryptokiFunction, NativeFunction>();
  for (const [name, [position, argumentCount]] of Object.entries(functionTable)) {
    // The version (two bytes, padded to eight) stands before the pointers.
    const pointer = koffi.decode(table, 8 + position * 8, 'uint64_t') as number | bigint;
    if (BigInt(pointer) === 0n) continue;
    const prototype = koffi.proto('uint64_t', Array<string>(argumentCount).fill('uint64_t'));
    functions.set(name as CryptokiFunction, koffi.decode(BigInt(pointer), prototype) as NativeFunction);
  }
  return functions;
}

function paddedText(bytes: Uint8Array, at: number, length: number): string {
  return new TextDecoder().decode(bytes.slice(at, at + length)).replace(/[ \0]+$/, '');
}

function version(bytes: Uint8Array, at: number): string {
  return `${bytes[at] ?? 0}.${bytes[at + 1] ?? 0}`;
}
