/** The vault over a real TLS socket: who may speak, what is refused how, and the way of one card through it. */
import assert from 'node:assert/strict';
import { after, before, describe, it } from 'node:test';
import { hex, unhex } from '@cardwright/emv';
import {
  check,
  FingerprintAnswer,
  PayloadAnswer,
  PrepareAnswer,
  StationPayload,
  vaultPaths,
  VaultPublicKeys,
} from '@cardwright/protocol';
import { createTestAuthority } from '@cardwright/testkit';
import {
  calculateJwkThumbprint,
  compactDecrypt,
  decodeProtectedHeader,
  exportJWK,
  generateKeyPair,
} from 'jose';
import {
  assertClean,
  cardData,
  connect,
  encryptCardData,
  issuerId,
  makeVaultFolder,
  pan,
  postRaw,
  prepare,
  prepareRequest,
  removeVaultFolder,
  type RunningVault,
  runVault,
} from './vault-fixture.ts';

const job = { jobId: 'job-1', epoch: 1, stationId: 'KIOSK-PS-101' };

let vault: RunningVault;
let sealedPlan: string;
before(async () => {
  vault = await runVault(await makeVaultFolder());
  ({ sealedPlan } = await prepare(vault));
});
after(async () => {
  await vault.stop();
  await removeVaultFolder(vault.place);
});

async function rejection(data: unknown, changes = {}): Promise<unknown> {
  const answer = await vault.post(vaultPaths.prepare, await prepareRequest(vault, data, changes));
  assert.equal(answer.status, 200);
  assert(check(PrepareAnswer, answer.json).ok);
  assertClean(answer);
  return answer.json;
}

describe('who may speak to the vault', () => {
  it('a connection without a certificate, or of another CA, does not come about', async () => {
    const stranger = await (await createTestAuthority('other')).issue('server', 'client');
    for (const certificate of [undefined, stranger]) {
      const client = await connect(vault.place, vault.origin, certificate);
      await assert.rejects(client.request({ method: 'GET', path: vaultPaths.health }));
      await client.close();
    }
  });

  it('a certificate of the right CA that is not on the list is refused on every route', async () => {
    const other = await vault.place.authority.issue('server', 'client');
    const client = await connect(vault.place, vault.origin, other);
    for (const path of Object.values(vaultPaths)) {
      for (const request of [{ method: 'GET', path } as const, { method: 'POST', path, json: {} } as const]) {
        const { status, body } = await client.request(request);
        assert.deepEqual([status, JSON.parse(body)], [401, { code: 'CLIENT_UNKNOWN', field: '' }]);
      }
    }
    await client.close();
  });

  it('the listed client sees health and public keys', async () => {
    const health = await vault.get(vaultPaths.health);
    assert.equal(health.status, 200);
    const keys = await vault.get(vaultPaths.publicKeys);
    const checked = check(VaultPublicKeys, keys.json);
    assert(checked.ok);
    const [recipient, other] = checked.value.recipientKeys;
    assert(recipient && other);
    assert.notEqual(recipient.jwk.x, other.jwk.x);
    assert.equal(recipient.jwk.kid, await calculateJwkThumbprint(recipient.jwk));
    assert.equal(checked.value.capks[0]?.rid, 'F043415244');
    assert.equal(checked.value.capks[0].index, '01');
  });
});

describe('requests that are not well-formed', () => {
  it('are answered 4xx with the field, never 5xx and never with a value', async () => {
    const good = await prepareRequest(vault);
    const cases: [string, unknown, number, object][] = [
      [vaultPaths.prepare, { ...good, operationId: 7 }, 400, { code: 'BAD_MESSAGE', field: 'operationId' }],
      [
        vaultPaths.prepare,
        { ...good, operationId: 'a|b' },
        400,
        { code: 'BAD_MESSAGE', field: 'operationId' },
      ],
      [vaultPaths.prepare, { ...good, more: 1 }, 400, { code: 'BAD_MESSAGE', field: 'more' }],
      [vaultPaths.prepare, [], 400, { code: 'BAD_MESSAGE', field: '' }],
      [vaultPaths.payload, {}, 400, { code: 'BAD_MESSAGE', field: 'sealedPlan' }],
      [vaultPaths.script, { sealedPlan }, 400, { code: 'BAD_MESSAGE', field: 'jobId' }],
      ['/vault/v1/keys', {}, 404, { code: 'NOT_FOUND', field: '' }],
      [vaultPaths.prepare, { more: 'x'.repeat(600_000) }, 413, { code: 'MESSAGE_TOO_LARGE', field: '' }],
    ];
    for (const [path, json, status, answer] of cases) {
      const got = await vault.post(path, json);
      assert.deepEqual([got.status, got.json], [status, answer], path);
    }
  });

  it('another content type, broken JSON and duplicate members are refused', async () => {
    const post = (type: string, text: string) => postRaw(vault, vaultPaths.fingerprint, type, text);
    const good = JSON.stringify({ issuerId, encryptedData: 'x' });
    assert.equal((await post('application/json', good)).status, 200);
    for (const [type, text] of [
      ['text/plain', good],
      ['application/x-www-form-urlencoded', 'issuerId=1'],
      ['application/json', ''],
      ['application/json', good.slice(1)],
      ['application/json', good.replace('{', '{"issuerId":"ISS0000002",')],
      ['application/json', good.replace('{', '{"__proto__":{},')],
      ['application/json', '['.repeat(5000)],
    ] as const) {
      const answer = await post(type, text);
      assert.deepEqual(
        [answer.status, answer.json],
        [400, { code: 'BAD_MESSAGE', field: '' }],
        text.slice(0, 40),
      );
    }
  });
});

describe('preparing an order', () => {
  it('answers masked number, token and fingerprint, and a plan without a trace of the card', async () => {
    const answer = await vault.post(vaultPaths.prepare, await prepareRequest(vault));
    const checked = check(PrepareAnswer, answer.json);
    assert(checked.ok && checked.value.result === 'prepared');
    assert.equal(checked.value.maskedPan, `${pan.slice(0, 6)}******${pan.slice(-4)}`);
    const bytes = Buffer.from(checked.value.sealedPlan, 'base64url');
    for (const trace of [pan, hex(unhex(pan)), cardData.encodedName, 'print']) {
      assert(!bytes.includes(Buffer.from(trace)));
    }
    assert(!bytes.includes(Buffer.from(unhex(pan))));
    assertClean(answer);
  });

  it('gives equal tokens and fingerprints for equal card data, whatever the encryption', async () => {
    const first = await prepare(vault);
    const again = await prepare(vault, Object.fromEntries(Object.entries(cardData).reverse()));
    const changed = await prepare(vault, { ...cardData, exp: '3006' });
    const otherIssuer = await prepare(vault, cardData, 'ISS0000002');
    assert.equal(again.panToken, first.panToken);
    assert.equal(again.fingerprint, first.fingerprint);
    assert.equal(changed.panToken, first.panToken);
    assert.notEqual(changed.fingerprint, first.fingerprint);
    assert.notEqual(otherIssuer.panToken, first.panToken);
    assert.notEqual(otherIssuer.fingerprint, first.fingerprint);
    const encryptedData = await encryptCardData(vault, cardData);
    const alone = await vault.post(vaultPaths.fingerprint, { issuerId, encryptedData });
    assert(check(FingerprintAnswer, alone.json).ok);
    assert.deepEqual(alone.json, { result: 'ok', fingerprint: first.fingerprint });
  });

  it('names the member of the card data in error', async () => {
    for (const [data, field] of [
      [{ ...cardData, exp: '0629' }, 'encryptedData.exp'],
      [{ ...cardData, pin: '1234' }, 'encryptedData.pin'],
      [{ ...cardData, pinBlock: {} }, 'encryptedData.pinBlock.format'],
      [{ ...cardData, encodedName: undefined }, 'encryptedData.encodedName'],
      [{ ...cardData, [pan]: 1 }, 'encryptedData'],
      ['not json', 'encryptedData'],
      [`${'['.repeat(2900)}${']'.repeat(2900)}`, 'encryptedData'],
    ] as const) {
      assert.deepEqual(await rejection(data), { result: 'rejected', errorCode: 'DATA_FIELD_INVALID', field });
    }
  });

  it('takes data sets that the issuer prepared from the issuers that may send them, and from no other', async () => {
    const data = { ...cardData, emvData: { profile: 'ccd-3des', dgis: { '8000': '00'.repeat(48) } } };
    assert.deepEqual(await rejection(data), {
      result: 'rejected',
      errorCode: 'DATA_FIELD_INVALID',
      field: 'encryptedData.emvData',
    });
    const permitted = {
      issuerId: 'ISS0000002',
      encryptedData: await encryptCardData(vault, data, 'ISS0000002'),
    };
    const answer = await vault.post(vaultPaths.prepare, await prepareRequest(vault, data, permitted));
    assert.deepEqual(answer.json, {
      result: 'rejected',
      errorCode: 'DATA_FIELD_INVALID',
      field: 'encryptedData.emvData.dgis.8000',
    });
  });

  it('names the key index, configuration, product or issuer that does not exist', async () => {
    const paymentApplication = { config: 'CCD_3DES_01', odaKeyIndex: '01', derivationKeyIndex: '01' };
    const cases: [object, string, string][] = [
      [
        { paymentApplication: { ...paymentApplication, odaKeyIndex: '02' } },
        'DATA_KEY_NOT_FOUND',
        'paymentApplication.odaKeyIndex',
      ],
      [
        { paymentApplication: { ...paymentApplication, derivationKeyIndex: 9 } },
        'DATA_KEY_NOT_FOUND',
        'paymentApplication.derivationKeyIndex',
      ],
      [
        { paymentApplication: { ...paymentApplication, cvKeyIndex: 'X' } },
        'DATA_KEY_NOT_FOUND',
        'paymentApplication.cvKeyIndex',
      ],
      [
        { paymentApplication: { ...paymentApplication, config: 'OTHER' } },
        'DATA_FIELD_INVALID',
        'paymentApplication.config',
      ],
      [{ productId: 'OTHER' }, 'DATA_FIELD_INVALID', 'cardProductId'],
      [{ issuerId: 'ISS0000009' }, 'DATA_KEY_NOT_FOUND', 'issuerId'],
    ];
    for (const [changes, errorCode, field] of cases) {
      assert.deepEqual(await rejection(cardData, changes), { result: 'rejected', errorCode, field });
    }
  });

  it('refuses every JWE that is not for this issuer and whole, all alike', async () => {
    const jwe = await encryptCardData(vault, cardData);
    const [header = '', , iv = '', ciphertext = '', tag = ''] = jwe.split('.');
    const otherHeader = Buffer.from(header, 'base64url').toString().replace('"enc"', '"zip":"DEF","enc"');
    const broken = [
      await encryptCardData(vault, cardData, 'ISS0000002'),
      [header, '', iv, ciphertext, tag.replace(/^./, (c) => (c === 'A' ? 'B' : 'A'))].join('.'),
      [header, '', iv, ciphertext.slice(4), tag].join('.'),
      [header, '', iv, ciphertext].join('.'),
      [Buffer.from(otherHeader).toString('base64url'), '', iv, ciphertext, tag].join('.'),
      'x',
      '',
    ];
    for (const encryptedData of broken) {
      assert.deepEqual(await rejection(cardData, { encryptedData }), {
        result: 'rejected',
        errorCode: 'DATA_JWE_INVALID',
        field: 'encryptedData',
      });
      const fingerprint = await vault.post(vaultPaths.fingerprint, { issuerId, encryptedData });
      assert.deepEqual(fingerprint.json, { result: 'rejected', field: 'encryptedData' });
    }
  });
});

describe('a sealed plan', () => {
  it('is refused on every route when one byte or its label was changed, all alike', async () => {
    const bytes = Buffer.from(sealedPlan, 'base64url');
    const flipped = (at: number): string => {
      const copy = Buffer.from(bytes);
      copy.writeUInt8(copy.readUInt8(at) ^ 1, at);
      return copy.toString('base64url');
    };
    const tampered = [
      ...[0, 1, 3, 12, 40, bytes.length - 1].map(flipped),
      sealedPlan.slice(0, -4),
      '',
      'AAAA',
      '*',
    ];
    const chip = { atr: '3B', cplc: null };
    const stationKey = await exportJWK((await generateKeyPair('ECDH-ES', { crv: 'P-256' })).publicKey);
    const evidence = { epoch: 1, cdol1Data: '', cid: '80', atc: '0001', arqc: '', iad: '' };
    for (const wrong of tampered) {
      for (const [path, request] of [
        [vaultPaths.payload, { ...job, stationKey, expiresAt: Date.now() + 60_000 }],
        [vaultPaths.chipBegin, job],
        [vaultPaths.script, { ...job, ticket: '', chip, initializeUpdateResponse: '' }],
        [vaultPaths.cryptogram, { evidence }],
      ] as const) {
        const answer = await vault.post(path, { ...request, sealedPlan: wrong });
        assert.deepEqual(
          [answer.status, answer.json],
          [400, { code: 'PLAN_INVALID', field: 'sealedPlan' }],
          path,
        );
      }
    }
  });
});

describe("a station's payload", () => {
  it('opens with the key of that station only and says what it is for', async () => {
    const { publicKey, privateKey } = await generateKeyPair('ECDH-ES', { crv: 'P-256', extractable: true });
    const stationKey = { ...(await exportJWK(publicKey)), kid: 'station-1' };
    const expiresAt = Date.now() + 60_000;
    const answer = await vault.post(vaultPaths.payload, { sealedPlan, ...job, stationKey, expiresAt });
    const checked = check(PayloadAnswer, answer.json);
    assert(checked.ok);
    assertClean(answer);
    assert.deepEqual(decodeProtectedHeader(checked.value.payload).kid, 'station-1');
    const { plaintext } = await compactDecrypt(checked.value.payload, privateKey);
    const payload = check(StationPayload, JSON.parse(new TextDecoder().decode(plaintext)) as unknown);
    assert(payload.ok);
    const { jobId, stationId, epoch, print, design } = payload.value;
    assert.deepEqual({ jobId, stationId, epoch }, job);
    assert.equal(payload.value.expiresAt, expiresAt);
    assert.equal(design, 'aurora');
    assert.equal(print.pan.replaceAll(' ', ''), pan);
    assert.equal(print.name, cardData.name);
    const stranger = (await generateKeyPair('ECDH-ES', { crv: 'P-256' })).privateKey;
    await assert.rejects(compactDecrypt(checked.value.payload, stranger));
  });

  it('is refused for a key off the curve and for a life that is over or too long', async () => {
    const jwk = await exportJWK((await generateKeyPair('ECDH-ES', { crv: 'P-256' })).publicKey);
    const good = { sealedPlan, ...job, stationKey: jwk, expiresAt: Date.now() + 60_000 };
    for (const [change, answer] of [
      [{ stationKey: { ...jwk, y: jwk.x } }, { code: 'STATION_KEY_INVALID', field: 'stationKey' }],
      [{ stationKey: { ...jwk, d: 'AAAA', kty: 'oct' } }, { code: 'BAD_MESSAGE', field: 'stationKey.kty' }],
      [{ expiresAt: Date.now() - 1 }, { code: 'BAD_MESSAGE', field: 'expiresAt' }],
      [{ expiresAt: Date.now() + 86_400_000 }, { code: 'BAD_MESSAGE', field: 'expiresAt' }],
    ] as const) {
      const got = await vault.post(vaultPaths.payload, { ...good, ...change });
      assert.deepEqual([got.status, got.json], [400, answer]);
    }
  });
});

describe('the log', () => {
  it('of everything above holds events and no card data', () => {
    const log = vault.log();
    assert.match(log, /vault\.listening/);
    assert.match(log, /vault\.request-refused/);
    assert(!log.includes('vault.request-failed'), 'no request may have failed with an unexpected fault');
    for (const secret of [pan, cardData.encodedName, cardData.name]) assert(!log.includes(secret));
  });
});
