import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { test } from 'node:test';
import {
  cpsCardKeyData,
  hex,
  parseCommand,
  scp02SessionKeyData,
  scp03Constant,
  scp03KdfInput,
  tdesEcbDecrypt,
  unhex,
} from '@cardwright/emv';
import { decideCardResponse } from '../src/card-response.ts';
import { deriveScp02CardKeys, openScp02Channel } from '../src/scp02-channel.ts';
import { openScp03Channel } from '../src/scp03-channel.ts';
import { HeldKeys, type SecureChannel, type SecurityLevel } from '../src/secure-channel.ts';
import { testOverAdapters } from '../../keys/test/key-adapters.ts';
import { importStaticKeys, openTestKeys } from './key-fixture.ts';

interface SessionVector {
  readonly name: string;
  readonly enc: string;
  readonly mac: string;
  readonly dek: string;
  readonly level?: string;
  readonly initUpdateCmd: string;
  readonly initUpdateRsp: string;
  readonly extAuthCmd: string;
  readonly wrapped: readonly (readonly [string, string])[];
}

const vectors = JSON.parse(
  readFileSync(new URL('vectors/secure-channel-vectors.json', import.meta.url), 'utf8'),
) as {
  readonly cpsKdf: readonly {
    name: string;
    kmc: string;
    keydata: string;
    kcvEnc: string;
    kcvMac: string;
    kcvDek: string;
  }[];
  readonly scp02: readonly (Partial<SessionVector> & {
    key?: string;
    seq?: string;
    kcvEnc?: string;
    sdekEncryptOfKey?: string;
    kcvMac?: string;
    kcvDek?: string;
  })[];
  readonly scp03: readonly (Partial<SessionVector> & {
    key?: string;
    context?: string;
    kcvEnc?: string;
    kcvMac?: string;
    kcvRmac?: string;
  })[];
};

function isSession(vector: Partial<SessionVector>): vector is SessionVector {
  return vector.wrapped !== undefined;
}

const levels: readonly SecurityLevel[] = [0x01, 0x03, 0x11, 0x33];

function levelOf(vector: SessionVector): SecurityLevel {
  const level = levels.find((known) => known === Number.parseInt(vector.level ?? '01', 16));
  assert.ok(level !== undefined);
  return level;
}

async function assertSession(channel: SecureChannel | undefined, vector: SessionVector): Promise<void> {
  assert.ok(channel, 'the card cryptogram of the vector is right');
  let { apdu, state } = await channel.externalAuthenticate();
  assert.equal(hex(apdu), vector.extAuthCmd);
  for (const [plain, wrapped] of vector.wrapped) {
    ({ apdu, state } = await channel.wrap(state, parseCommand(unhex(plain))));
    assert.equal(hex(apdu), wrapped);
  }
}

testOverAdapters(
  'card keys diversified from a master key match the published check values',
  async (t, open) => {
    const { keys } = await open(t);
    const [vector] = vectors.cpsKdf.filter(({ name }) => name.includes('template emv'));
    assert.ok(vector);
    const value = unhex(vector.kmc);
    const kmc = await keys.ensure('kmc-scp02/1', { algorithm: 'TDES-2KEY', usage: 'KMC', value });
    const held = new HeldKeys(keys);
    const { enc, mac, dek } = await deriveScp02CardKeys(keys, held, kmc, unhex(vector.keydata));
    assert.equal(hex(await keys.kcv(enc)), vector.kcvEnc);
    assert.equal(hex(await keys.kcv(mac)), vector.kcvMac);
    assert.equal(hex(await keys.kcv(dek)), vector.kcvDek);
    await held.releaseAll();
    await assert.rejects(keys.kcv(enc), { code: 'KEY_NOT_FOUND' });
    assert.equal(cpsCardKeyData(unhex(vector.keydata), 1).length, 16);
  },
);

testOverAdapters('SCP02 session keys match the published check values', async (t, open) => {
  const { keys } = await open(t);
  const [vector] = vectors.scp02.filter(({ seq }) => seq !== undefined);
  assert.ok(vector?.key !== undefined && vector.seq !== undefined);
  const { key, seq } = vector;
  const card = await importStaticKeys(keys, 'SCP02', { enc: key, mac: key, dek: key });
  for (const [constant, kcv] of [
    ['0182', vector.kcvEnc],
    ['0101', vector.kcvMac],
    ['0181', vector.kcvDek],
  ] as const) {
    const data = scp02SessionKeyData(constant, unhex(seq));
    assert.equal(hex(await keys.kcv(await keys.deriveTdesCbc(card.enc, data, 'CARD-SESSION'))), kcv);
  }
});

test('a key is enciphered under the SCP02 session DEK as published: on the software adapter, for a token would set the parity of the key', async (t) => {
  const keys = await openTestKeys(t);
  const [vector] = vectors.scp02.filter(({ seq }) => seq !== undefined);
  assert.ok(vector?.key !== undefined && vector.seq !== undefined && vector.sdekEncryptOfKey !== undefined);
  const { key, seq } = vector;
  const card = await importStaticKeys(keys, 'SCP02', { enc: key, mac: key, dek: key });
  const dek = await keys.deriveTdesCbc(card.dek, scp02SessionKeyData('0181', unhex(seq)), 'CARD-SESSION');
  // A card key of a known value: derived from the data that its master key enciphers to it.
  const master = unhex('0123456789ABCDEFFEDCBA9876543210');
  const imk = await keys.ensure('imk-ac/1', { algorithm: 'TDES-2KEY', usage: 'IMK-AC', value: master });
  const udk = await keys.deriveTdesEcb(imk, tdesEcbDecrypt(master, unhex(key)), 'UDK', false);
  assert.equal(hex(await keys.wrapForCard(dek, 'TDES-ECB', [udk])), vector.sdekEncryptOfKey);
});

testOverAdapters('an SCP02 session wraps its commands exactly as published', async (t, open) => {
  const { keys } = await open(t);
  const sessions = vectors.scp02.filter(isSession);
  assert.equal(sessions.length, 1);
  for (const vector of sessions) {
    const card = await importStaticKeys(keys, 'SCP02', vector);
    const decision = decideCardResponse(unhex(vector.initUpdateRsp), ['SCP02']);
    assert.ok(decision.ok && decision.response.protocol === 'SCP02');
    const challenge = unhex(vector.initUpdateCmd).slice(5, 13);
    const held = new HeldKeys(keys);
    const { response } = decision;
    await assertSession(
      await openScp02Channel(keys, held, card, response, challenge, levelOf(vector)),
      vector,
    );
  }
});

testOverAdapters(
  'SCP03 sessions of every level wrap their commands exactly as published',
  async (t, open) => {
    const { keys } = await open(t);
    // The key port has no AES-192; chips we take have none either.
    const sessions = vectors.scp03.filter(isSession).filter(({ enc }) => enc.length !== 48);
    assert.deepEqual(sessions.map(({ level, enc }) => `${String(level)}/${enc.length * 4}`).toSorted(), [
      '03/128',
      '03/256',
      '11/128',
      '11/256',
      '33/128',
      '33/256',
    ]);
    for (const vector of sessions) {
      const card = await importStaticKeys(keys, 'SCP03', vector);
      const decision = decideCardResponse(unhex(vector.initUpdateRsp), ['SCP03']);
      assert.ok(decision.ok && decision.response.protocol === 'SCP03');
      const challenge = unhex(vector.initUpdateCmd).slice(5, 13);
      const held = new HeldKeys(keys);
      const { response } = decision;
      await assertSession(
        await openScp03Channel(keys, held, card, response, challenge, levelOf(vector)),
        vector,
      );
    }
  },
);

testOverAdapters('SCP03 session keys match the published check values', async (t, open) => {
  const { keys } = await open(t);
  const [vector] = vectors.scp03.filter(({ context }) => context !== undefined);
  assert.ok(vector?.key !== undefined && vector.context !== undefined);
  const { key, context } = vector;
  const card = await importStaticKeys(keys, 'SCP03', { enc: key, mac: key, dek: key });
  for (const [constant, kcv] of [
    [scp03Constant.enc, vector.kcvEnc],
    [scp03Constant.mac, vector.kcvMac],
    [scp03Constant.rMac, vector.kcvRmac],
  ] as const) {
    const input = scp03KdfInput(constant, 128, unhex(context));
    const session = await keys.deriveAesCmac(card.enc, [input], 'CARD-SESSION');
    const value = await keys.aesEcbEncrypt(session, new Uint8Array(16).fill(1));
    assert.equal(hex(value).slice(0, 6), kcv);
  }
});
