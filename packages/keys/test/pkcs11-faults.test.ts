/** A token that lies or lacks a mechanism is found out at the start, and what it cannot do is refused by name. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { withFaultyModule } from '../../../tools/faulty-pkcs11/faulty-pkcs11-module.ts';
import { createToken, tokenKinds } from '../../../tools/pkcs11-tokens.ts';
import { type KeyAdapterStatus, openPkcs11Keys } from '../src/index.ts';
import { CKM } from '../src/pkcs11/cryptoki-constants.ts';
import { tokenOptions } from './key-adapters.ts';
import { temporaryFolder } from './key-fixture.ts';

const refusedOf = ({ operations }: KeyAdapterStatus): string[] =>
  operations.filter(({ result }) => result === 'refused').map(({ operation }) => operation);

for (const kind of tokenKinds) {
  test(`a token that answers one bit wrong is refused for the operations that showed it (${kind})`, async (t) => {
    const folder = await temporaryFolder(t);
    const { token } = withFaultyModule(createToken(kind, folder), folder, { forges: 'C_Sign' });
    const keys = await openPkcs11Keys(tokenOptions(token));
    t.after(() => keys.close());
    const status = await keys.status();
    assert.deepEqual(refusedOf(status), [
      'aesCmac',
      'hmac',
      'deriveAesCmac',
      'generateRsa/3',
      'generateRsa/65537',
      'rsaPublic',
      'rsaRawSign',
    ]);
    const notes = status.operations.filter(({ result }) => result === 'refused').map(({ note }) => note);
    assert(notes.every((note) => note === 'the known-answer test gave another answer'));
    const token1 = await keys.ensure('token/1', { algorithm: 'HMAC-SHA256', usage: 'TOKEN' });
    await assert.rejects(keys.hmac(token1, new Uint8Array(8)), {
      code: 'KEY_OPERATION_REFUSED',
      message: 'hmac is refused: the known-answer test gave another answer',
    });
    const cvk = await keys.ensure('cvk/1', { algorithm: 'TDES-2KEY', usage: 'CVK' });
    assert.match(await keys.cvv(cvk, '4123456789012345', '8701', '101'), /^\d{3}$/);
  });

  test(`a mechanism that is listed and refused is found by doing it (${kind})`, async (t) => {
    const folder = await temporaryFolder(t);
    const { token } = withFaultyModule(createToken(kind, folder), folder, { lacks: CKM.aesGcm });
    const keys = await openPkcs11Keys(tokenOptions(token));
    t.after(() => keys.close());
    const status = await keys.status();
    const seals = ['seal', 'unseal', 'sealRsa', 'unsealRsa'];
    // Where the content key is derived inside, its decryption is the token's too.
    assert.deepEqual(refusedOf(status), kind === 'nss' ? [...seals, 'openJwe'] : seals);
    const note = status.operations.find(({ operation }) => operation === 'seal')?.note;
    assert.equal(note, 'C_EncryptInit answered CKR_MECHANISM_INVALID');
    const seal = await keys.ensure('seal/1', { algorithm: 'AES-256', usage: 'SEAL' });
    await assert.rejects(keys.seal(seal, new Uint8Array(8), 'c'), {
      code: 'KEY_OPERATION_REFUSED',
      message: /^seal is refused: /,
    });
  });
}
