/**
 * A token without the adapter: calls with memory that was laid out before, on one session, for the rate that the
 * adapter is compared with.
 *
 * Invariant: what is measured is the module and the way into it: no pool, no usage matrix, no watchdog, and no
 * template laid out in the loop.
 */
import { layOutTemplate } from '../packages/keys/src/pkcs11/attribute-template.ts';
import { type CallWatch } from '../packages/keys/src/pkcs11/call-watchdog.ts';
import { CKA, CKF, CKM } from '../packages/keys/src/pkcs11/cryptoki-constants.ts';
import { CryptokiModule } from '../packages/keys/src/pkcs11/cryptoki-module.ts';
import { layOutMechanism, mechanismWithData, plainMechanism } from '../packages/keys/src/pkcs11/mechanism.ts';
import {
  NativeArena,
  type NativeBlock,
  readWord,
  writeWords,
} from '../packages/keys/src/pkcs11/native-memory.ts';
import { importKey, inSession } from '../packages/keys/src/pkcs11/token-key-making.ts';
import { privateKeyTemplate, secretKeyTemplate } from '../packages/keys/src/pkcs11/token-key-template.ts';
import { TokenSession } from '../packages/keys/src/pkcs11/token-session.ts';
import { type TestToken } from '../tools/pkcs11-tokens.ts';

const unwatched: CallWatch = {
  begin: () => () => undefined,
  watched: (_name, call) => call(),
  close: () => Promise.resolve(),
};

export interface RawToken {
  /** The two encipherments of a card verification value. */
  readonly cvv: () => void;
  /** One derivation, and the new key destroyed. */
  readonly derive: () => void;
  readonly sign: () => void;
  /** One key pair with `exponent`, destroyed. */
  readonly generate: (exponent: 3 | 65537) => void;
  close(): Promise<void>;
}

export interface RawTokenKeys {
  readonly tdes: Uint8Array;
  /** PKCS#8 DER. */
  readonly rsa: Uint8Array;
  readonly rsaLength: number;
  readonly generatedBits: number;
}

/** Opens the token again, after the adapter that had it was closed. */
export async function openRawToken(token: TestToken, keys: RawTokenKeys): Promise<RawToken> {
  const module = CryptokiModule.open(token.module, token.libraryParameters, unwatched);
  const slot = module.tokens().find(({ label }) => label === token.token.label)?.slot;
  if (slot === undefined) throw new Error('the token is not there');
  const owner = await TokenSession.open({ module, slot, isRemote: false });
  await owner.login(new TextEncoder().encode(token.pin));
  const cvk = await importKey(owner, 'TDES-2KEY', 'CVK', keys.tdes, inSession);
  const imk = await importKey(owner, 'TDES-2KEY', 'IMK-AC', keys.tdes, inSession);
  const rsa = await importKey(owner, 'RSA', 'CA', keys.rsa, inSession);

  const arena = new NativeArena(64 * 1024);
  const handle = arena.allocate(8);
  module.call('C_OpenSession', slot, CKF.serialSession | CKF.rwSession, 0, 0, handle.address);
  const session = readWord(handle);
  const mechanism = (type: number): number => layOutMechanism(arena, plainMechanism(type)).address;
  const [ecb, raw, pair] = [mechanism(CKM.des3Ecb), mechanism(CKM.rsaX509), mechanism(CKM.rsaKeyPairGen)];
  const derivation = layOutMechanism(
    arena,
    mechanismWithData(CKM.des3EcbEncryptData, new Uint8Array(16).fill(0x5a)),
  ).address;
  const udkTemplate = secretKeyTemplate('TDES-2KEY', 'UDK', 'session');
  const udk = layOutTemplate(arena, udkTemplate);
  const block = arena.copyOf(new Uint8Array(8).fill(0x42));
  const digest = arena.copyOf(new Uint8Array(keys.rsaLength).fill(0x5a));
  const output = arena.allocate(512);
  const length = arena.allocate(8);

  const encipher = (key: number): void => {
    module.call('C_EncryptInit', session, ecb, key);
    writeWords(length, [512]);
    module.call('C_Encrypt', session, block.address, 8, output.address, length.address);
  };
  const templates = generationTemplates(arena, keys.generatedBits);
  const made = arena.allocate(16);
  return {
    cvv: () => {
      encipher(cvk.firstHalf ?? cvk.object);
      encipher(cvk.object);
    },
    derive: () => {
      const words = [derivation, imk.object, udk.address, udkTemplate.length, made.address];
      module.call('C_DeriveKey', session, ...words);
      module.call('C_DestroyObject', session, readWord(made));
    },
    sign: () => {
      module.call('C_SignInit', session, raw, rsa.object);
      writeWords(length, [512]);
      module.call('C_Sign', session, digest.address, keys.rsaLength, output.address, length.address);
    },
    generate: (exponent) => {
      const { open, openCount, secret, secretCount } = templates[exponent];
      const words = [pair, open.address, openCount, secret.address, secretCount];
      module.call('C_GenerateKeyPair', session, ...words, made.address, made.address + 8);
      module.call('C_DestroyObject', session, readWord(made));
      module.call('C_DestroyObject', session, readWord(made, 1));
    },
    close: async () => {
      await owner.close();
      module.finalize();
      arena.free();
    },
  };
}

interface GenerationTemplate {
  readonly open: NativeBlock;
  readonly openCount: number;
  readonly secret: NativeBlock;
  readonly secretCount: number;
}

function generationTemplates(arena: NativeArena, bits: number): Record<3 | 65537, GenerationTemplate> {
  const of = (exponent: Uint8Array): GenerationTemplate => {
    const open = [
      [CKA.token, false],
      [CKA.modulusBits, bits],
      [CKA.publicExponent, exponent],
      [CKA.verify, true],
    ] as const;
    const secret = privateKeyTemplate('RSA', 'ICC', 'session', new Uint8Array(16).fill(7));
    return {
      open: layOutTemplate(arena, open),
      openCount: open.length,
      secret: layOutTemplate(arena, secret),
      secretCount: secret.length,
    };
  };
  return { 3: of(Uint8Array.of(3)), 65537: of(Uint8Array.of(1, 0, 1)) };
}
