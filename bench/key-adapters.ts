/**
 * Rates of the key adapters: CVV, card key derivation, issuer signing, ICC key generation; beside each what the raw
 * token (or node:crypto) does in the same process, and how much of that the adapter keeps.
 */
import {
  constants,
  createCipheriv,
  generateKeyPair,
  generateKeyPairSync,
  type KeyObject,
  privateEncrypt,
  randomBytes,
} from 'node:crypto';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { udkData } from '@cardwright/emv';
import { type KeyStore, openPkcs11Keys, openSoftwareKeys } from '@cardwright/keys';
import { createToken, type TokenKind } from '../tools/pkcs11-tokens.ts';
import { measureRate, type RateMeasurement } from './measurement.ts';
import { openRawToken, type RawToken } from './raw-token.ts';

const pan = '4123456789012345';
const signedBits = 1408;
const generatedBits = 1152;
const generatePair = promisify(generateKeyPair);

type Work = () => unknown;
interface Works {
  readonly cvv: Work;
  readonly derive: Work;
  readonly sign: Work;
  readonly generate: Work;
}

interface TestKeys {
  readonly tdes: Uint8Array;
  readonly rsa: KeyObject;
}

const makeKeys = (): TestKeys => ({
  tdes: randomBytes(16),
  rsa: generateKeyPairSync('rsa', { modulusLength: signedBits, publicExponent: 3 }).privateKey,
});
const pkcs8 = (key: KeyObject): Uint8Array => Uint8Array.from(key.export({ format: 'der', type: 'pkcs8' }));

/** The same through the port of an adapter. */
async function portWorks(keys: KeyStore, { tdes, rsa }: TestKeys): Promise<Works> {
  const cvk = await keys.ensure('cvk/1', { algorithm: 'TDES-2KEY', usage: 'CVK', value: tdes.slice() });
  const imk = await keys.ensure('imk/1', { algorithm: 'TDES-2KEY', usage: 'IMK-AC', value: tdes.slice() });
  const ca = await keys.ensure('ca/1', { algorithm: 'RSA', usage: 'CA', value: pkcs8(rsa) });
  const block = new Uint8Array(signedBits / 8).fill(0x5a);
  const data = udkData('B', pan, '00');
  return {
    cvv: () => keys.cvv(cvk, pan, '8701', '101'),
    derive: async () => keys.release(await keys.deriveTdesEcb(imk, data, 'UDK', true)),
    sign: () => keys.rsaRawSign(ca, block),
    generate: async () => keys.release(await keys.generateRsa(generatedBits, 3, 'ICC')),
  };
}

/** The same by node:crypto alone. */
function cryptoWorks({ tdes, rsa }: TestKeys): Works {
  const [halves, whole] = [tdes.subarray(0, 8), tdes].map((key) =>
    Buffer.concat([key, key.subarray(0, 8), key.subarray(0, 8)].slice(0, key.length === 8 ? 3 : 2)),
  );
  const encipher = (key: Buffer | undefined, length: number): Buffer =>
    createCipheriv('des-ede3', key ?? tdes, null)
      .setAutoPadding(false)
      .update(Buffer.alloc(length, 0x42));
  const block = Buffer.alloc(signedBits / 8, 0x5a);
  return {
    cvv: () => {
      encipher(halves, 8);
      encipher(whole, 8);
    },
    derive: () => encipher(whole, 16),
    sign: () => privateEncrypt({ key: rsa, padding: constants.RSA_NO_PADDING }, block),
    generate: () => generatePair('rsa', { modulusLength: generatedBits, publicExponent: 3 }),
  };
}

const names: Readonly<Record<keyof Works, string>> = {
  cvv: 'CVV',
  derive: 'UDK derived and forgotten',
  sign: `RSA-${signedBits} signature`,
  generate: `RSA-${generatedBits} ICC key generated`,
};

interface Rate {
  readonly perSecond: number;
  readonly count: number;
}
type Rates = Readonly<Record<keyof Works, Rate>>;

async function ratesOf(works: Works, count: number): Promise<Rates> {
  return {
    cvv: await measureRate(works.cvv, count, 200),
    derive: await measureRate(works.derive, count, 200),
    sign: await measureRate(works.sign, count, 20),
    generate: await measureRate(works.generate, Math.min(count, 10), 1),
  };
}

function beside(
  adapter: string,
  ofPort: Rates,
  ofRaw: Rates,
  raw: Works,
  rawName: string,
): RateMeasurement[] {
  return (Object.keys(raw) as (keyof Works)[]).map((work) => {
    const [port, floor] = [ofPort[work], ofRaw[work]];
    return {
      name: `${adapter}: ${names[work]}`,
      unit: '1/s',
      count: port.count,
      median: port.perSecond,
      raw: rawName,
      rawMedian: floor.perSecond,
      ratio: Math.round((port.perSecond / floor.perSecond) * 100) / 100,
    };
  });
}

async function benchSoftware(folder: string, count: number): Promise<RateMeasurement[]> {
  const testKeys = makeKeys();
  const keys = await openSoftwareKeys({ folder, masterKey: randomBytes(32), environment: 'test' });
  try {
    const works = cryptoWorks(testKeys);
    const ofPort = await ratesOf(await portWorks(keys, testKeys), count);
    return beside('software', ofPort, await ratesOf(works, count), works, 'node:crypto');
  } finally {
    await keys.close();
  }
}

/** NSS makes no keys with exponent 3: the adapter has node:crypto make them, and the raw rate is with 65537. */
function tokenWorks(raw: RawToken, kind: TokenKind): Works {
  const { cvv, derive, sign } = raw;
  return {
    cvv,
    derive,
    sign,
    generate: () => {
      raw.generate(kind === 'nss' ? 65537 : 3);
    },
  };
}

async function benchToken(kind: TokenKind, folder: string, count: number): Promise<RateMeasurement[]> {
  const testKeys = makeKeys();
  const token = createToken(kind, folder);
  Object.assign(process.env, token.environment);
  const keys = await openPkcs11Keys({
    module: token.module,
    ...(token.libraryParameters !== undefined && { libraryParameters: token.libraryParameters }),
    token: token.token,
    pin: new TextEncoder().encode(token.pin),
    environment: 'test',
    registerFile: token.registerFile,
    allowHostKeyBytes: true,
  });
  const ofPort = await portWorks(keys, testKeys)
    .then((works) => ratesOf(works, count))
    .finally(() => keys.close());
  const raw = await openRawToken(token, {
    tdes: testKeys.tdes,
    rsa: pkcs8(testKeys.rsa),
    rsaLength: signedBits / 8,
    generatedBits,
  });
  try {
    const works = tokenWorks(raw, kind);
    return beside(kind, ofPort, await ratesOf(works, count), works, 'raw token');
  } finally {
    await raw.close();
  }
}

export async function benchKeyAdapters(count: number): Promise<RateMeasurement[]> {
  const parent = await mkdtemp(join(tmpdir(), 'cardwright-bench-keys-'));
  try {
    const folder = (): Promise<string> => mkdtemp(join(parent, 'a-'));
    return [
      ...(await benchSoftware(await folder(), count)),
      ...(await benchToken('softhsm', await folder(), count)),
      ...(await benchToken('nss', await folder(), count)),
    ];
  } finally {
    await rm(parent, { recursive: true, force: true });
  }
}
