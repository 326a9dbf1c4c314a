/**
 * One session with a token: the calls that this adapter needs, with bytes in and bytes out.
 *
 * Invariants: a session does one operation at a time (the pool sees to it); its native memory is wiped after every
 * operation, also a failed one; fast calls run on this thread, calls that may take long on another.
 */
import { type Attribute, layOutQuery, layOutTemplate, readLengths } from './attribute-template.ts';
import { CKF, CKR, normalUser } from './cryptoki-constants.ts';
import { type CryptokiFunction, type CryptokiModule } from './cryptoki-module.ts';
import { layOutMechanism, type Mechanism } from './mechanism.ts';
import { NativeArena, type NativeBlock, readWord, writeWords } from './native-memory.ts';
import { Pkcs11Error } from './pkcs11-error.ts';

/** CK_OBJECT_HANDLE */
export type ObjectHandle = number;

/** Calls that a token may take milliseconds or seconds for. */
const slowFunctions: ReadonlySet<CryptokiFunction> = new Set<CryptokiFunction>([
  'C_Login',
  'C_GenerateKey',
  'C_GenerateKeyPair',
]);

export interface TokenSessionOptions {
  readonly module: CryptokiModule;
  readonly slot: number;
  /** Every call on another thread: right for a token behind a network. */
  readonly isRemote: boolean;
}

export class TokenSession {
  readonly #module: CryptokiModule;
  readonly #isRemote: boolean;
  readonly #arena = new NativeArena(16 * 1024);
  #handle = 0;

  private constructor({ module, isRemote }: TokenSessionOptions) {
    this.#module = module;
    this.#isRemote = isRemote;
  }

  /** A read-write session. @throws Pkcs11Error */
  static async open(options: TokenSessionOptions): Promise<TokenSession> {
    const session = new TokenSession(options);
    await session.#operation(async (arena) => {
      const handle = arena.allocate(8);
      const flags = CKF.serialSession | CKF.rwSession;
      await session.#call('C_OpenSession', options.slot, flags, 0, 0, handle.address);
      session.#handle = readWord(handle);
    });
    return session;
  }

  /** Wipes the session's memory after `work`, whatever happens. */
  async #operation<T>(work: (arena: NativeArena) => Promise<T>): Promise<T> {
    try {
      return await work(this.#arena);
    } finally {
      this.#arena.clear();
    }
  }

  async #call(name: CryptokiFunction, ...words: number[]): Promise<void> {
    if (this.#isRemote || slowFunctions.has(name)) await this.#module.callAside(name, ...words);
    else this.#module.call(name, ...words);
  }

  /** Logs the application in; a session that finds it logged in is content. @throws Pkcs11Error */
  async login(pin: Uint8Array): Promise<void> {
    await this.#operation(async (arena) => {
      const copy = arena.copyOf(pin);
      try {
        await this.#call('C_Login', this.#handle, normalUser, copy.address, pin.length);
      } catch (error) {
        if (!(error instanceof Pkcs11Error) || error.returnValue !== CKR.userAlreadyLoggedIn) throw error;
      }
    });
  }

  async close(): Promise<void> {
    await this.#call('C_CloseSession', this.#handle);
    this.#arena.free();
  }

  // --- objects ---

  async createObject(template: readonly Attribute[]): Promise<ObjectHandle> {
    return this.#operation(async (arena) => {
      const attributes = layOutTemplate(arena, template);
      const handle = arena.allocate(8);
      await this.#call('C_CreateObject', this.#handle, attributes.address, template.length, handle.address);
      return readWord(handle);
    });
  }

  /** A copy that differs in the attributes of the template. */
  async copyObject(object: ObjectHandle, template: readonly Attribute[]): Promise<ObjectHandle> {
    return this.#operation(async (arena) => {
      const attributes = layOutTemplate(arena, template);
      const handle = arena.allocate(8);
      const words = [attributes.address, template.length, handle.address];
      await this.#call('C_CopyObject', this.#handle, object, ...words);
      return readWord(handle);
    });
  }

  async destroyObject(object: ObjectHandle): Promise<void> {
    await this.#call('C_DestroyObject', this.#handle, object);
  }

  /** Objects that have every attribute of the template. */
  async findObjects(template: readonly Attribute[]): Promise<ObjectHandle[]> {
    return this.#operation(async (arena) => {
      const attributes = layOutTemplate(arena, template);
      await this.#call('C_FindObjectsInit', this.#handle, attributes.address, template.length);
      const found: ObjectHandle[] = [];
      const atOnce = 64;
      const handles = arena.allocate(atOnce * 8);
      const count = arena.allocate(8);
      do {
        await this.#call('C_FindObjects', this.#handle, handles.address, atOnce, count.address);
        for (let index = 0; index < readWord(count); index++) found.push(readWord(handles, index));
      } while (readWord(count) === atOnce);
      await this.#call('C_FindObjectsFinal', this.#handle);
      return found;
    });
  }

  /** Values of attributes; undefined where the object has none or hides it. @throws Pkcs11Error */
  async attributes(object: ObjectHandle, types: readonly number[]): Promise<(Uint8Array | undefined)[]> {
    return this.#operation(async (arena) => {
      const asked = layOutQuery(arena, types);
      await this.#getAttributes(object, asked.block, types.length);
      const lengths = readLengths(asked.block, types.length);
      const { block, values } = layOutQuery(arena, types, lengths);
      await this.#getAttributes(object, block, types.length);
      return readLengths(block, types.length).map((length, index) => {
        const value = values[index];
        return length < 0 || value === undefined ? undefined : value.bytes.slice(0, length);
      });
    });
  }

  /** A hidden or unknown attribute is an answer here, not a fault: the lengths say which it was. */
  async #getAttributes(object: ObjectHandle, block: NativeBlock, count: number): Promise<void> {
    try {
      await this.#call('C_GetAttributeValue', this.#handle, object, block.address, count);
    } catch (error) {
      const isAnswer =
        error instanceof Pkcs11Error &&
        (error.returnValue === CKR.attributeSensitive || error.returnValue === CKR.attributeTypeInvalid);
      if (!isAnswer) throw error;
    }
  }

  // --- keys ---

  async generateKey(mechanism: Mechanism, template: readonly Attribute[]): Promise<ObjectHandle> {
    return this.#makeObject('C_GenerateKey', [], mechanism, template);
  }

  async deriveKey(
    base: ObjectHandle,
    mechanism: Mechanism,
    template: readonly Attribute[],
  ): Promise<ObjectHandle> {
    return this.#makeObject('C_DeriveKey', [base], mechanism, template);
  }

  async #makeObject(
    name: 'C_GenerateKey' | 'C_DeriveKey',
    base: readonly ObjectHandle[],
    mechanism: Mechanism,
    template: readonly Attribute[],
  ): Promise<ObjectHandle> {
    return this.#operation(async (arena) => {
      const how = layOutMechanism(arena, mechanism);
      const attributes = layOutTemplate(arena, template);
      const handle = arena.allocate(8);
      const words = [how.address, ...base, attributes.address, template.length, handle.address];
      await this.#call(name, this.#handle, ...words);
      return readWord(handle);
    });
  }

  async generateKeyPair(
    mechanism: Mechanism,
    publicTemplate: readonly Attribute[],
    privateTemplate: readonly Attribute[],
  ): Promise<{ readonly publicKey: ObjectHandle; readonly privateKey: ObjectHandle }> {
    return this.#operation(async (arena) => {
      const how = layOutMechanism(arena, mechanism);
      const ofPublic = layOutTemplate(arena, publicTemplate);
      const ofPrivate = layOutTemplate(arena, privateTemplate);
      const handles = [arena.allocate(8), arena.allocate(8)] as const;
      await this.#call(
        'C_GenerateKeyPair',
        this.#handle,
        how.address,
        ofPublic.address,
        publicTemplate.length,
        ofPrivate.address,
        privateTemplate.length,
        handles[0].address,
        handles[1].address,
      );
      return { publicKey: readWord(handles[0]), privateKey: readWord(handles[1]) };
    });
  }

  /** The key under the wrapping key; `maxLength` bounds the answer. */
  async wrapKey(
    wrappingKey: ObjectHandle,
    mechanism: Mechanism,
    key: ObjectHandle,
    maxLength: number,
  ): Promise<Uint8Array> {
    return this.#operation(async (arena) => {
      const how = layOutMechanism(arena, mechanism);
      const output = await this.#output(arena, maxLength, (address, length) =>
        this.#call('C_WrapKey', this.#handle, how.address, wrappingKey, key, address, length),
      );
      return output;
    });
  }

  async unwrapKey(
    unwrappingKey: ObjectHandle,
    mechanism: Mechanism,
    wrapped: Uint8Array,
    template: readonly Attribute[],
  ): Promise<ObjectHandle> {
    return this.#operation(async (arena) => {
      const how = layOutMechanism(arena, mechanism);
      const input = arena.copyOf(wrapped);
      const attributes = layOutTemplate(arena, template);
      const handle = arena.allocate(8);
      await this.#call(
        'C_UnwrapKey',
        this.#handle,
        how.address,
        unwrappingKey,
        input.address,
        wrapped.length,
        attributes.address,
        template.length,
        handle.address,
      );
      return readWord(handle);
    });
  }

  // --- data ---

  encrypt(key: ObjectHandle, mechanism: Mechanism, data: Uint8Array): Promise<Uint8Array> {
    return this.#transform('C_EncryptInit', 'C_Encrypt', key, mechanism, data);
  }

  decrypt(key: ObjectHandle, mechanism: Mechanism, data: Uint8Array): Promise<Uint8Array> {
    return this.#transform('C_DecryptInit', 'C_Decrypt', key, mechanism, data);
  }

  /** Signs or MACs. A private key signs on another thread. */
  sign(key: ObjectHandle, mechanism: Mechanism, data: Uint8Array, isSlow = false): Promise<Uint8Array> {
    return this.#transform('C_SignInit', 'C_Sign', key, mechanism, data, isSlow);
  }

  async #transform(
    initialize: 'C_EncryptInit' | 'C_DecryptInit' | 'C_SignInit',
    perform: 'C_Encrypt' | 'C_Decrypt' | 'C_Sign',
    key: ObjectHandle,
    mechanism: Mechanism,
    data: Uint8Array,
    isSlow = false,
  ): Promise<Uint8Array> {
    return this.#operation(async (arena) => {
      const how = layOutMechanism(arena, mechanism);
      await this.#call(initialize, this.#handle, how.address, key);
      const input = arena.copyOf(data);
      // No output here is longer than its input by more than a signature.
      return this.#output(arena, data.length + 512, (address, length) => {
        const words = [this.#handle, input.address, data.length, address, length] as const;
        return isSlow ? this.#module.callAside(perform, ...words) : this.#call(perform, ...words);
      });
    });
  }

  /** Gives the call a buffer and a length, and copies out what it wrote. */
  async #output(
    arena: NativeArena,
    maxLength: number,
    call: (address: number, length: number) => Promise<void>,
  ): Promise<Uint8Array> {
    const output = arena.allocate(maxLength);
    const length = arena.allocate(8);
    writeWords(length, [maxLength]);
    await call(output.address, length.address);
    return output.bytes.slice(0, readWord(length));
  }
}
