/** One key of every usage in every algorithm, to try what each may do. */
import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { type KeyAlgorithm, type KeyHandle, type KeyStore, type KeyUsage } from '../src/index.ts';

/** A key of every usage in every algorithm it may have. */
export type Kind = `${KeyUsage}/${KeyAlgorithm}`;
export type Bench = ReadonlyMap<Kind, KeyHandle>;

export async function makeBench(keys: KeyStore): Promise<Bench> {
  const bench = new Map<Kind, KeyHandle>();
  const put = async (handle: Promise<KeyHandle>): Promise<KeyHandle> => {
    const made = await handle;
    bench.set(`${made.usage}/${made.algorithm}`, made);
    return made;
  };
  const tdes = (usage: KeyUsage): Promise<KeyHandle> =>
    put(keys.ensure(`${usage}/tdes`, { algorithm: 'TDES-2KEY', usage }));
  const imk = await tdes('IMK-AC');
  await tdes('IMK-SMI');
  await tdes('IMK-SMC');
  await tdes('CVK');
  await tdes('PIN');
  await tdes('PVK');
  await tdes('KMC');
  const cardTdes = await tdes('CARD-STATIC');
  await put(keys.deriveTdesCbc(cardTdes, randomBytes(16), 'CARD-SESSION'));
  for (const algorithm of ['AES-128', 'AES-256'] as const) {
    await put(keys.ensure(`pin/${algorithm}`, { algorithm, usage: 'PIN' }));
    await put(keys.ensure(`kmc/${algorithm}`, { algorithm, usage: 'KMC' }));
    const card = await put(keys.ensure(`card/${algorithm}`, { algorithm, usage: 'CARD-STATIC' }));
    const inputs = algorithm === 'AES-128' ? [randomBytes(32)] : [randomBytes(32), randomBytes(32)];
    await put(keys.deriveAesCmac(card, inputs, 'CARD-SESSION'));
  }
  const udk = await put(keys.deriveTdesEcb(imk, randomBytes(16), 'UDK', true));
  await put(keys.deriveTdesEcb(udk, randomBytes(16), 'AC-SESSION', true));
  await put(keys.ensure('ca/1', { algorithm: 'RSA', usage: 'CA', bits: 1024 }));
  await put(keys.ensure('issuer/1', { algorithm: 'RSA', usage: 'ISSUER', bits: 1024 }));
  await put(keys.generateRsa(1024, 3, 'ICC'));
  await put(keys.ensure('jwe/1', { algorithm: 'EC-P256', usage: 'JWE-RECIPIENT' }));
  await put(keys.ensure('seal/1', { algorithm: 'AES-256', usage: 'SEAL' }));
  await put(keys.ensure('token/1', { algorithm: 'HMAC-SHA256', usage: 'TOKEN' }));
  for (const algorithm of ['TDES-2KEY', 'AES-128', 'AES-256'] as const) {
    await put(keys.ensure(`kbpk/${algorithm}`, { algorithm, usage: 'KBPK' }));
  }
  return bench;
}

export function pick(bench: Bench, kind: Kind): KeyHandle {
  const handle = bench.get(kind);
  assert.ok(handle, kind);
  return handle;
}
