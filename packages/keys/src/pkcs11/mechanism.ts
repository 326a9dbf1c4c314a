/**
 * Mechanisms with their parameters, and the layout of both (CK_MECHANISM: mechanism, pointer, length).
 *
 * Invariant: a mechanism is plain data; pointers come into being only in the memory of a session.
 */
import { CKM, noKeyDerivation } from './cryptoki-constants.ts';
import { type NativeArena, type NativeBlock, writeWords } from './native-memory.ts';

export interface Mechanism {
  readonly type: number;
  /** Lays out the parameter; absent when the mechanism takes none. */
  readonly parameter?: (arena: NativeArena) => NativeBlock;
}

export function layOutMechanism(arena: NativeArena, mechanism: Mechanism): NativeBlock {
  const parameter = mechanism.parameter?.(arena);
  const block = arena.allocate(24);
  writeWords(block, [mechanism.type, parameter?.address ?? 0, parameter?.bytes.length ?? 0]);
  return block;
}

export function plainMechanism(type: number): Mechanism {
  return { type };
}

/** CBC and the like: the parameter is the initialization vector. */
export function mechanismWithIv(type: number, iv: Uint8Array): Mechanism {
  return { type, parameter: (arena) => arena.copyOf(iv) };
}

/** CK_KEY_DERIVATION_STRING_DATA: the data that becomes the key when enciphered, or joins the key. */
export function mechanismWithData(type: number, data: Uint8Array): Mechanism {
  return {
    type,
    parameter: (arena) => {
      const copy = arena.copyOf(data);
      const block = arena.allocate(16);
      writeWords(block, [copy.address, data.length]);
      return block;
    },
  };
}

/** CK_DES_CBC_ENCRYPT_DATA_PARAMS: vector in place, then pointer and length of the data. */
export function des3CbcEncryptData(iv: Uint8Array, data: Uint8Array): Mechanism {
  return {
    type: CKM.des3CbcEncryptData,
    parameter: (arena) => {
      const copy = arena.copyOf(data);
      const block = arena.allocate(24);
      writeWords(block, [0, copy.address, data.length]);
      block.bytes.set(iv, 0);
      return block;
    },
  };
}

/** CK_GCM_PARAMS of PKCS#11 2.40 with a tag of 128 bits. */
export function aesGcm(iv: Uint8Array, additionalData: Uint8Array): Mechanism {
  return {
    type: CKM.aesGcm,
    parameter: (arena) => {
      const ivCopy = arena.copyOf(iv);
      const dataCopy = arena.copyOf(additionalData);
      const block = arena.allocate(48);
      writeWords(block, [
        ivCopy.address,
        iv.length,
        iv.length * 8,
        additionalData.length === 0 ? 0 : dataCopy.address,
        additionalData.length,
        128,
      ]);
      return block;
    },
  };
}

/** CK_ECDH1_DERIVE_PARAMS without a key derivation function: Z itself. `point` is an uncompressed point. */
export function ecdh(point: Uint8Array): Mechanism {
  return {
    type: CKM.ecdh1Derive,
    parameter: (arena) => {
      const copy = arena.copyOf(point);
      const block = arena.allocate(40);
      writeWords(block, [noKeyDerivation, 0, 0, point.length, copy.address]);
      return block;
    },
  };
}
