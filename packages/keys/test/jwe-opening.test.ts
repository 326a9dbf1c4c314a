import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { type TestContext } from 'node:test';
import { CompactEncrypt, type CompactJWEHeaderParameters, generateKeyPair, importJWK } from 'jose';
import { type KeyHandle, type KeyStore } from '../src/index.ts';
import { type OpenAdapter, testOverAdapters } from './key-adapters.ts';

const cardData = new TextEncoder().encode('{"exp":"1230"}');
const refused = { name: 'KeyError', code: 'JWE_INVALID', message: 'the JWE was refused' };

interface Recipient {
  readonly keys: KeyStore;
  readonly key: KeyHandle;
  readonly kid: string;
  readonly encrypt: (header?: Partial<CompactJWEHeaderParameters>) => Promise<string>;
}

async function openRecipient(t: TestContext, open: OpenAdapter): Promise<Recipient> {
  const { keys } = await open(t);
  const key = await keys.ensure('jwe/ISS0000001/1', { algorithm: 'EC-P256', usage: 'JWE-RECIPIENT' });
  const jwk = await keys.ecPublicJwk(key);
  const { kid } = jwk;
  const encrypt = async (header: Partial<CompactJWEHeaderParameters> = {}): Promise<string> =>
    new CompactEncrypt(cardData)
      .setProtectedHeader({ alg: 'ECDH-ES', enc: 'A256GCM', kid, ...header })
      .encrypt(await importJWK(jwk, 'ECDH-ES'));
  return { keys, key, kid, encrypt };
}

/** The five parts with some replaced. */
function withParts(jwe: string, replaced: Readonly<Record<number, string>>): string {
  return jwe
    .split('.')
    .map((part, index) => replaced[index] ?? part)
    .join('.');
}

function withHeader(jwe: string, change: (header: Record<string, unknown>) => unknown): string {
  const [first = ''] = jwe.split('.');
  const header = JSON.parse(Buffer.from(first, 'base64url').toString()) as Record<string, unknown>;
  return withParts(jwe, { 0: Buffer.from(JSON.stringify(change(header))).toString('base64url') });
}

testOverAdapters('a JWE for our key opens, also with the ignored header members', async (t, open) => {
  const { keys, key, encrypt } = await openRecipient(t, open);
  assert.deepEqual(Buffer.from(await keys.openJwe(key, await encrypt())), Buffer.from(cardData));
  const jwe = await encrypt({ typ: 'JOSE', cty: 'json' });
  assert.deepEqual(Buffer.from(await keys.openJwe(key, jwe)), Buffer.from(cardData));
});

testOverAdapters('party information in the header takes part in the key derivation', async (t, open) => {
  const { keys, key, kid } = await openRecipient(t, open);
  const jwk = await keys.ecPublicJwk(key);
  const jwe = await new CompactEncrypt(cardData)
    .setProtectedHeader({ alg: 'ECDH-ES', enc: 'A256GCM', kid })
    .setKeyManagementParameters({ apu: randomBytes(8), apv: randomBytes(8) })
    .encrypt(await importJWK(jwk, 'ECDH-ES'));
  assert.deepEqual(Buffer.from(await keys.openJwe(key, jwe)), Buffer.from(cardData));
  await assert.rejects(
    keys.openJwe(
      key,
      withHeader(jwe, (header) => ({ ...header, apu: 'AAAA' })),
    ),
    refused,
  );
});

testOverAdapters('the kid is the thumbprint of the key', async (t, open) => {
  const { keys, key, kid } = await openRecipient(t, open);
  const { calculateJwkThumbprint } = await import('jose');
  assert.equal(kid, await calculateJwkThumbprint(await keys.ecPublicJwk(key), 'sha256'));
});

testOverAdapters('every refused JWE gets the same answer (OD-8.1, OD-8.2)', async (t, open) => {
  const { keys, key, kid, encrypt } = await openRecipient(t, open);
  const sound = await encrypt();
  const [, , iv = '', ciphertext = '', tag = ''] = sound.split('.');
  const other = await keys.ensure('jwe/ISS0000002/1', { algorithm: 'EC-P256', usage: 'JWE-RECIPIENT' });
  const p384 = await generateKeyPair('ECDH-ES', { crv: 'P-384' });
  const flip = (part: string): string => {
    const bytes = Buffer.from(part, 'base64url');
    bytes[0] = (bytes[0] ?? 0) ^ 1;
    return bytes.toString('base64url');
  };
  const epkOf = (header: Record<string, unknown>): Record<string, unknown> =>
    header['epk'] as Record<string, unknown>;
  const refusedOnes: Record<string, string> = {
    'no text': '',
    'four parts': sound.split('.').slice(0, 4).join('.'),
    'six parts': `${sound}.`,
    'an encrypted key': withParts(sound, { 1: 'AAAA' }),
    'a short IV': withParts(sound, { 2: iv.slice(0, -2) }),
    'a long IV': withParts(sound, { 2: `${iv}AAAA` }),
    'a short tag': withParts(sound, {
      4: Buffer.from(tag, 'base64url').subarray(0, 12).toString('base64url'),
    }),
    'a changed tag': withParts(sound, { 4: flip(tag) }),
    'a changed IV': withParts(sound, { 2: flip(iv) }),
    'a changed ciphertext': withParts(sound, { 3: flip(ciphertext) }),
    'no ciphertext': withParts(sound, { 3: '' }),
    'padded base64': withParts(sound, { 4: `${tag}==` }),
    'a second spelling': withParts(sound, { 4: `${tag.slice(0, -1)}${tag.endsWith('B') ? 'C' : 'B'}` }),
    'a foreign alphabet': withParts(sound, { 3: `${ciphertext} ` }),
    'more than 8192 characters': await encrypt({ typ: 'x'.repeat(8192) }),
    'another kid': await encrypt({ kid: 'G0D43.TEST.CMS_ENC.ECC.01' }),
    'the kid with a space': await encrypt({ kid: `${kid} ` }),
    'no kid': withHeader(sound, ({ kid: _kid, ...header }) => header),
    A128GCM: await encrypt({ enc: 'A128GCM' }),
    'A256CBC-HS512': await encrypt({ enc: 'A256CBC-HS512' }),
    'wrapped keys': await encrypt({ alg: 'ECDH-ES+A256KW' }),
    'alg dir': withHeader(sound, (header) => ({ ...header, alg: 'dir' })),
    'curve P-384': await new CompactEncrypt(cardData)
      .setProtectedHeader({ alg: 'ECDH-ES', enc: 'A256GCM', kid })
      .encrypt(p384.publicKey),
    compression: await encrypt({ zip: 'DEF' }),
    'critical members': withHeader(sound, (header) => ({ ...header, crit: ['exp'], exp: 1 })),
    'an unknown member': await encrypt({ iss: 'x' }),
    'a header list': withHeader(sound, () => []),
    'no JSON header': withParts(sound, { 0: Buffer.from('{"alg"').toString('base64url') }),
    'an epk off the curve': withHeader(sound, (header) => ({
      ...header,
      epk: { ...epkOf(header), y: epkOf(header)['x'] },
    })),
    'an epk with a private half': withHeader(sound, (header) => ({
      ...header,
      epk: { ...epkOf(header), d: epkOf(header)['x'] },
    })),
    'no epk': withHeader(sound, ({ epk: _epk, ...header }) => header),
    'an epk text': withHeader(sound, (header) => ({ ...header, epk: 'x' })),
    'a short coordinate': withHeader(sound, (header) => ({
      ...header,
      epk: { ...epkOf(header), x: 'AAAA' },
    })),
    'a typ that is no text': withHeader(sound, (header) => ({ ...header, typ: 1 })),
  };
  for (const member of ['jku', 'jwk', 'x5u', 'x5c']) {
    refusedOnes[member] = withHeader(sound, (header) => ({ ...header, [member]: 'x' }));
  }
  for (const [name, jwe] of Object.entries(refusedOnes)) {
    await assert.rejects(keys.openJwe(key, jwe), refused, name);
  }
  await assert.rejects(keys.openJwe(other, sound), refused, 'another recipient');
  assert.deepEqual(Buffer.from(await keys.openJwe(key, sound)), Buffer.from(cardData));
});
