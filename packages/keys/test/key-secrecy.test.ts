import assert from 'node:assert/strict';
import { createPrivateKey, generateKeyPairSync, randomBytes } from 'node:crypto';
import { readdir, readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { test } from 'node:test';
import { inspect } from 'node:util';
import { aesCmac, concatBytes, hex, oddParity, tdesCbcEncrypt, tdesEcbEncrypt } from '@cardwright/emv';
import { type KeyHandle, type KeyPort } from '../src/index.ts';
import { openTestKeys } from './key-fixture.ts';

/** Everything readable in a value: bytes as hexadecimal, texts also as what base64 in them decodes to. */
function readable(value: unknown): string {
  if (value instanceof Uint8Array) return `|${hex(value)}`;
  if (typeof value === 'string') {
    const decoded = Buffer.from(value, 'base64');
    return `|${value.toUpperCase()}|${hex(Buffer.from(value, 'latin1'))}|${hex(decoded)}`;
  }
  if (value instanceof Error) return readable(`${value.message} ${value.stack ?? ''}`);
  if (Array.isArray(value)) return value.map(readable).join('');
  if (typeof value === 'object' && value !== null) return Object.values(value).map(readable).join('');
  return '';
}

/** The type-level half: a new method of the port that returns bytes does not compile until it is classified here. */
type BytesMethods = {
  [M in keyof KeyPort]: KeyPort[M] extends (...args: never[]) => Promise<infer R>
    ? R extends Uint8Array | readonly Uint8Array[]
      ? M
      : never
    : never;
}[keyof KeyPort];
const bytesMethods: Record<BytesMethods, 'ciphertext' | 'mac' | 'check value' | 'signature' | 'plaintext'> = {
  tdesCbcEncrypt: 'ciphertext',
  desFirstHalfEncrypt: 'ciphertext',
  aesEcbEncrypt: 'ciphertext',
  aesCbcEncrypt: 'ciphertext',
  wrapForCard: 'ciphertext',
  wrapRsaForCard: 'ciphertext',
  wrapPinForCard: 'ciphertext',
  seal: 'ciphertext',
  sealRsa: 'ciphertext',
  retailMac: 'mac',
  aesCmac: 'mac',
  hmac: 'mac',
  kcv: 'check value',
  rsaRawSign: 'signature',
  unseal: 'plaintext',
  openJwe: 'plaintext',
};

test('nothing the port returns, throws, prints or stores contains a key', async (t) => {
  const { keys, options } = await openTestKeys(t);
  const secret = {
    imk: randomBytes(16),
    kmc: randomBytes(16),
    cvk: randomBytes(16),
    seal: randomBytes(32),
    token: randomBytes(32),
  };
  const rsa = generateKeyPairSync('rsa', { modulusLength: 1024, publicExponent: 3 }).privateKey;
  const rsaValue = rsa.export({ format: 'der', type: 'pkcs8' });
  const ec = generateKeyPairSync('ec', { namedCurve: 'P-256' }).privateKey;
  const ecValue = ec.export({ format: 'der', type: 'pkcs8' });

  const imk = await keys.ensure('imk-ac/1', { algorithm: 'TDES-2KEY', usage: 'IMK-AC', value: secret.imk });
  const kmc = await keys.ensure('kmc-scp02/1', { algorithm: 'TDES-2KEY', usage: 'KMC', value: secret.kmc });
  const kmcAes = await keys.ensure('kmc-scp03/1', { algorithm: 'AES-128', usage: 'KMC', value: secret.kmc });
  const cvk = await keys.ensure('cvk/1', { algorithm: 'TDES-2KEY', usage: 'CVK', value: secret.cvk });
  const seal = await keys.ensure('seal/1', { algorithm: 'AES-256', usage: 'SEAL', value: secret.seal });
  const token = await keys.ensure('token/1', {
    algorithm: 'HMAC-SHA256',
    usage: 'TOKEN',
    value: secret.token,
  });
  const ca = await keys.ensure('ca/1', { algorithm: 'RSA', usage: 'CA', value: rsaValue });
  const jwe = await keys.ensure('jwe/I/1', { algorithm: 'EC-P256', usage: 'JWE-RECIPIENT', value: ecValue });

  const data = randomBytes(16);
  const zeros = new Uint8Array(16);
  const udk = await keys.deriveTdesEcb(imk, data, 'UDK', true);
  const ac = await keys.deriveTdesEcb(udk, data, 'AC-SESSION', true);
  const card = await keys.deriveTdesEcb(kmc, data, 'CARD-STATIC', false);
  const session = await keys.deriveTdesCbc(card, data, 'CARD-SESSION');
  const cardAes = await keys.deriveAesCmac(kmcAes, [data], 'CARD-STATIC');
  const sessionAes = await keys.deriveAesCmac(cardAes, [data], 'CARD-SESSION');
  const icc = await keys.generateRsa(1024, 3, 'ICC');

  const udkValue = oddParity(tdesEcbEncrypt(secret.imk, data));
  const cardValue = tdesEcbEncrypt(secret.kmc, data);
  const cardAesValue = aesCmac(secret.kmc, data);
  const canaries: Uint8Array[] = [
    ...Object.values(secret),
    udkValue,
    oddParity(tdesEcbEncrypt(udkValue, data)),
    cardValue,
    tdesCbcEncrypt(cardValue, new Uint8Array(8), data),
    cardAesValue,
    aesCmac(cardAesValue, data),
    ...['d', 'p', 'q', 'dp', 'dq', 'qi'].map((part) => jwkPart(rsaValue, part)),
    jwkPart(ecValue, 'd'),
    options.masterKey,
  ];

  const outputs: unknown[] = [
    await keys.list(),
    await keys.find('imk-ac/1'),
    [imk, kmc, kmcAes, cvk, seal, token, ca, jwe, udk, ac, card, session, cardAes, sessionAes, icc],
    await keys.tdesCbcEncrypt(session, new Uint8Array(8), data),
    await keys.retailMac(ac, data, 2),
    await keys.desFirstHalfEncrypt(session, data.subarray(0, 8)),
    await keys.aesCmac(sessionAes, data),
    await keys.aesEcbEncrypt(sessionAes, data),
    await keys.aesCbcEncrypt(sessionAes, zeros, data),
    await keys.hmac(token, data),
    await keys.wrapForCard(session, 'TDES-ECB', [udk, udk, udk]),
    await keys.wrapForCard(cardAes, 'AES-CBC', [udk, udk, udk]),
    await keys.wrapRsaForCard(cardAes, 'AES-CBC', icc),
    await Promise.all([imk, kmc, cvk, udk, ac, card, session].map((key) => keys.kcv(key))),
    await keys.rsaPublic(ca),
    await keys.rsaRawSign(ca, new Uint8Array(128).fill(1)),
    await keys.cvv(cvk, '4123456789012345', '8701', '101'),
    await keys.seal(seal, data, 'context'),
    await keys.unseal(seal, await keys.seal(seal, data, 'context'), 'context'),
    await keys.sealRsa(seal, icc, 'context'),
    await keys.unsealRsa(seal, await keys.sealRsa(seal, icc, 'context'), 'context'),
    await keys.ecPublicJwk(jwe),
    ...(await refusals(keys, [imk, kmc, cvk, seal, token, ca, jwe, udk, card, session, icc])),
    inspect(keys, { depth: Infinity, showHidden: true }),
    JSON.stringify(keys),
    ...(await filesOf(options.folder)),
  ];
  const text = outputs.map(readable).join('');
  for (const [index, canary] of canaries.entries()) {
    assert.ok(canary.length >= 16);
    for (const half of [canary.subarray(0, 8), canary.subarray(-8)]) {
      assert.ok(!text.includes(hex(half)), `canary ${index} leaked`);
    }
  }
  // The scan sees: the same search finds a value that is meant to leave.
  assert.ok(text.includes(hex(await keys.hmac(token, data))));
  assert.equal(Object.keys(bytesMethods).length, 16);
});

function jwkPart(pkcs8: Buffer, part: string): Uint8Array {
  const jwk = createPrivateKey({ key: pkcs8, format: 'der', type: 'pkcs8' }).export({ format: 'jwk' });
  return Buffer.from(String((jwk as Record<string, unknown>)[part]), 'base64url');
}

async function refusals(keys: KeyPort, handles: readonly KeyHandle[]): Promise<unknown[]> {
  const errors: unknown[] = [];
  const attempt = async (work: Promise<unknown>): Promise<void> => {
    await work.catch((error: unknown) => errors.push(error));
  };
  for (const key of handles) {
    await attempt(keys.tdesCbcEncrypt(key, new Uint8Array(8), new Uint8Array(7)));
    await attempt(keys.aesCmac(key, new Uint8Array(16)));
    await attempt(keys.unseal(key, new Uint8Array(40), 'context'));
    await attempt(keys.openJwe(key, 'a.b.c.d.e'));
    await attempt(keys.rsaRawSign(key, concatBytes(new Uint8Array(3))));
    await attempt(keys.cvv(key, 'x', 'y', 'z'));
  }
  assert.ok(errors.length > handles.length * 5);
  return errors;
}

async function filesOf(folder: string): Promise<Uint8Array[]> {
  return Promise.all((await readdir(folder)).map((file) => readFile(join(folder, file))));
}
