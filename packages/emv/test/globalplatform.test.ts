import assert from 'node:assert/strict';
import { test } from 'node:test';
import {
  EmvError,
  aesCmac,
  aesGpKcv,
  concatBytes,
  cpsCardKeyData,
  hex,
  kdf3Input,
  parseInitializeUpdateResponse,
  tdesEcbEncrypt,
  tdesKcv,
  unhex,
  visa2CardKeyData,
  type CardKeyConstant,
} from '../src/index.ts';
import { readVectors, vectorName } from './emv-vectors.ts';

interface CardKeyVector {
  readonly src: string;
  readonly name?: string;
  readonly kmc: string;
  readonly keydata: string;
  readonly kcvEnc?: string;
  readonly kcvMac?: string;
  readonly kcvDek?: string;
  readonly enc?: string;
}

test('card keys diversified with 3DES match both published vectors, one for each template', () => {
  const vectors = readVectors('card-keys', 'cpsKdf') as readonly CardKeyVector[];
  assert.equal(vectors.length, 2);
  const templates = new Set<string>();
  for (const [index, vector] of vectors.entries()) {
    const template = vector.name?.startsWith('VISA2') === true ? visa2CardKeyData : cpsCardKeyData;
    templates.add(template.name);
    const kcv = (constant: CardKeyConstant): string =>
      hex(tdesKcv(tdesEcbEncrypt(unhex(vector.kmc), template(unhex(vector.keydata), constant))));
    assert.deepEqual(
      [kcv(1), kcv(2), kcv(3)],
      [vector.kcvEnc, vector.kcvMac, vector.kcvDek],
      vectorName(vector, index),
    );
  }
  assert.equal(templates.size, 2);
});

test('card keys diversified with kdf3 match all 4 published vectors of three key lengths', () => {
  const vectors = readVectors('card-keys', 'kdf3') as readonly CardKeyVector[];
  assert.equal(vectors.length, 4);
  for (const [index, vector] of vectors.entries()) {
    const kmc = unhex(vector.kmc);
    const cardKey = (constant: CardKeyConstant): Uint8Array =>
      concatBytes(
        aesCmac(kmc, kdf3Input(constant, unhex(vector.keydata))),
        aesCmac(kmc, kdf3Input(constant, unhex(vector.keydata), 2)),
      ).slice(0, kmc.length);
    if (vector.enc !== undefined) {
      assert.equal(hex(cardKey(1)), vector.enc, vectorName(vector, index));
      continue;
    }
    const kcvs = ([1, 2, 3] as const).map((constant) => hex(aesGpKcv(cardKey(constant))));
    assert.deepEqual(kcvs, [vector.kcvEnc, vector.kcvMac, vector.kcvDek], vectorName(vector, index));
  }
});

test('key diversification data that is not ten bytes is refused', () => {
  for (const build of [cpsCardKeyData, visa2CardKeyData]) {
    assert.throws(
      () => build(new Uint8Array(9), 1),
      (error) => error instanceof EmvError && error.code === 'LENGTH_INVALID',
    );
  }
  assert.throws(() => kdf3Input(1, new Uint8Array(11)), EmvError);
});

test('an INITIALIZE UPDATE response is taken apart by its protocol and length', () => {
  const keyData = '999900FFFFFF01020304';
  const scp02 = parseInitializeUpdateResponse(unhex(`${keyData}0102001AA1A2A3A4A5A6C1C2C3C4C5C6C7C8`));
  assert.ok(scp02.protocol === 'SCP02');
  assert.equal(hex(scp02.sequence), '001A');
  assert.equal(hex(scp02.keyData), keyData);
  const scp03 = parseInitializeUpdateResponse(
    unhex(`${keyData}010310A1A2A3A4A5A6A7A8C1C2C3C4C5C6C7C800002A`),
  );
  assert.ok(scp03.protocol === 'SCP03' && scp03.sequence !== undefined);
  assert.equal(hex(scp03.sequence), '00002A');
  assert.equal(hex(scp03.cardCryptogram), 'C1C2C3C4C5C6C7C8');
  const random = parseInitializeUpdateResponse(unhex(`${keyData}010300A1A2A3A4A5A6A7A8C1C2C3C4C5C6C7C8`));
  assert.equal(random.protocol === 'SCP03' && random.sequence, undefined);
});

test('an INITIALIZE UPDATE response of another protocol, mode or length is refused', () => {
  const keyData = '999900FFFFFF01020304';
  const refusedResponses = [
    '',
    keyData,
    `${keyData}0101${'00'.repeat(16)}`,
    `${keyData}0102${'00'.repeat(15)}`,
    `${keyData}010300${'00'.repeat(15)}`,
    `${keyData}010310${'00'.repeat(16)}`,
    `${keyData}010301${'00'.repeat(32)}`,
  ];
  for (const response of refusedResponses) {
    assert.throws(() => parseInitializeUpdateResponse(unhex(response)), EmvError, response);
  }
});
