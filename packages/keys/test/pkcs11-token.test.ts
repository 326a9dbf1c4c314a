/** What only a token has: keys that cannot be read, refusals by name, sessions, remains of an interrupted start. */
import assert from 'node:assert/strict';
import {
  createPublicKey,
  diffieHellman,
  generateKeyPairSync,
  type KeyObject,
  randomBytes,
} from 'node:crypto';
import { test, type TestContext } from 'node:test';
import { hex, tdesKcv, udkData } from '@cardwright/emv';
import { CompactEncrypt } from 'jose';
import { createToken, type TestToken, tokenKinds } from '../../../tools/pkcs11-tokens.ts';
import {
  type KeyInfo,
  keyOperationNames,
  openPkcs11Keys,
  type Pkcs11Keys,
  type Pkcs11KeysOptions,
} from '../src/index.ts';
import { type Attribute } from '../src/pkcs11/attribute-template.ts';
import { startCallWatch } from '../src/pkcs11/call-watchdog.ts';
import { CKA, CKK, CKM, CKO } from '../src/pkcs11/cryptoki-constants.ts';
import { cryptokiFunctionNames, CryptokiModule } from '../src/pkcs11/cryptoki-module.ts';
import { plainMechanism } from '../src/pkcs11/mechanism.ts';
import { Pkcs11Error } from '../src/pkcs11/pkcs11-error.ts';
import { labelText } from '../src/pkcs11/token-key-template.ts';
import { TokenSession } from '../src/pkcs11/token-session.ts';
import { tokenOptions } from './key-adapters.ts';
import { temporaryFolder } from './key-fixture.ts';

/** No token judges a PIN block: the vault sees the PIN, never the key. */
const pinOperations = ['checkPinBlock', 'pvv', 'wrapPinForCard'];
/** No token combines components or opens key blocks. */
const entryOperations = ['holdCeremony', 'importKeyBlock'];
const imkSpec = { algorithm: 'TDES-2KEY', usage: 'IMK-AC' } as const;

async function openKeys(
  t: TestContext,
  token: TestToken,
  changes: Partial<Pkcs11KeysOptions> = {},
): Promise<Pkcs11Keys> {
  const keys = await openPkcs11Keys(tokenOptions(token, changes));
  t.after(() => keys.close());
  return keys;
}

/** A session with the token beside the adapter, as somebody else with the PIN would have it. */
async function withSession<T>(token: TestToken, work: (session: TokenSession) => Promise<T>): Promise<T> {
  const { module, libraryParameters, token: wanted } = tokenOptions(token);
  const watch = startCallWatch({ deadlineMs: 30_000, exitCode: 75, lastWords: '' }, cryptokiFunctionNames);
  const opened = CryptokiModule.open(module, libraryParameters, watch);
  try {
    const slot = opened.tokens().find((found) => 'label' in wanted && found.label === wanted.label)?.slot;
    assert(slot !== undefined);
    const session = await TokenSession.open({ module: opened, slot, isRemote: false });
    await session.login(new TextEncoder().encode(token.pin));
    return await work(session);
  } finally {
    opened.finalize();
    await watch.close();
  }
}

const isFlag = (value: Uint8Array | undefined, flag: 0 | 1): boolean =>
  value?.length === 1 && value[0] === flag;

for (const kind of tokenKinds) {
  test(`no long-lived key can be read or leaves the token (${kind}, K1)`, async (t) => {
    const token = createToken(kind, await temporaryFolder(t));
    const keys = await openKeys(t, token);
    for (const usage of ['IMK-AC', 'CVK', 'KMC'] as const) {
      await keys.ensure(`${usage}/1`, { algorithm: 'TDES-2KEY', usage });
    }
    await keys.ensure('kmc-aes/1', { algorithm: 'AES-128', usage: 'KMC' });
    await keys.ensure('seal/1', { algorithm: 'AES-256', usage: 'SEAL' });
    await keys.ensure('token/1', { algorithm: 'HMAC-SHA256', usage: 'TOKEN' });
    await keys.ensure('ca/1', { algorithm: 'RSA', usage: 'CA', bits: 1024, exponent: 65537 });
    await keys.ensure('jwe/1', { algorithm: 'EC-P256', usage: 'JWE-RECIPIENT' });
    await keys.close();
    await withSession(token, async (session) => {
      let secrets = 0;
      for (const keyClass of [CKO.secretKey, CKO.privateKey]) {
        const template: Attribute[] = [
          [CKA.class, keyClass],
          [CKA.token, true],
        ];
        for (const object of await session.findObjects(template)) {
          secrets += 1;
          const [value, exponent, prime] = await session.attributes(object, [
            CKA.value,
            CKA.privateExponent,
            CKA.prime1,
          ]);
          assert.deepEqual([value, exponent, prime], [undefined, undefined, undefined]);
          const flags = await session.attributes(object, [CKA.sensitive, CKA.extractable]);
          assert(isFlag(flags[0], 1) && isFlag(flags[1], 0));
        }
      }
      // Eight keys, the first half of the CVK, the wrapping key of the sealing key, the register's key.
      assert.equal(secrets, 11);
    });
  });

  test(`without permission for key bytes the operations that need them are refused by name (${kind})`, async (t) => {
    const token = createToken(kind, await temporaryFolder(t));
    const keys = await openKeys(t, token, { allowHostKeyBytes: false });
    const { operations } = await keys.status();
    assert.deepEqual(
      operations.map(({ operation }) => operation),
      [...keyOperationNames],
    );
    const expected = {
      softhsm: ['wrapForCard/TDES-ECB', 'wrapRsaForCard', ...pinOperations, 'openJwe', ...entryOperations],
      nss: ['wrapRsaForCard', 'generateRsa/3', ...pinOperations, ...entryOperations],
    }[kind];
    const refused = operations.filter(({ result }) => result === 'refused');
    assert.deepEqual(
      refused.map(({ operation }) => operation),
      expected,
    );
    assert(refused.every(({ keyBytes, note }) => keyBytes === 'host' && note?.includes('forbidden')));
    assert(operations.every(({ result, keyBytes }) => result === 'refused' || keyBytes === 'inside'));
    const kmc = await keys.ensure('card/1', { algorithm: 'AES-128', usage: 'CARD-STATIC' });
    await assert.rejects(keys.wrapRsaForCard(kmc, 'AES-CBC', kmc), {
      code: 'KEY_OPERATION_REFUSED',
      message: /^wrapRsaForCard is refused/,
    });
    if (kind === 'nss') {
      const spec = { algorithm: 'RSA', usage: 'CA', bits: 1024, exponent: 3 } as const;
      await assert.rejects(keys.ensure('ca/1', spec), { code: 'KEY_OPERATION_REFUSED' });
    }
  });

  test(`keys are found again with their companions after the module was closed (${kind})`, async (t) => {
    const token = createToken(kind, await temporaryFolder(t));
    const first = await openKeys(t, token);
    const value = randomBytes(16);
    await first.ensure('imk-ac/1', { ...imkSpec, value });
    const cvk = await first.ensure('cvk/1', { algorithm: 'TDES-2KEY', usage: 'CVK' });
    const seal = await first.ensure('seal/1', { algorithm: 'AES-256', usage: 'SEAL' });
    const jwe = await first.ensure('jwe/1', { algorithm: 'EC-P256', usage: 'JWE-RECIPIENT' });
    const icc = await first.generateRsa(1024, 3, 'ICC');
    const before = {
      cvv: await first.cvv(cvk, '4123456789012345', '8701', '101'),
      sealed: await first.sealRsa(seal, icc, 'pool/1'),
      modulus: hex((await first.rsaPublic(icc)).modulus),
      jwk: await first.ecPublicJwk(jwe),
      list: await first.list(),
    };
    await first.close();
    const again = await openKeys(t, token);
    const byName = (list: readonly KeyInfo[]): KeyInfo[] =>
      list.toSorted((a, b) => a.handle.id.localeCompare(b.handle.id));
    assert.deepEqual(byName(await again.list()), byName(before.list));
    assert.equal(hex(await again.kcv(await again.find('imk-ac/1'))), hex(tdesKcv(value)));
    assert.equal(await again.cvv(await again.find('cvk/1'), '4123456789012345', '8701', '101'), before.cvv);
    assert.deepEqual(await again.ecPublicJwk(await again.find('jwe/1')), before.jwk);
    const opened = await again.unsealRsa(await again.find('seal/1'), before.sealed, 'pool/1');
    assert.equal(hex((await again.rsaPublic(opened)).modulus), before.modulus);
    await again.ensure('imk-ac/1', { ...imkSpec, value });
    await assert.rejects(again.ensure('imk-ac/1', { ...imkSpec, value: randomBytes(16) }), {
      code: 'KEY_STORE',
    });
  });

  test(`more operations at once than sessions all get their own answer (${kind})`, async (t) => {
    const keys = await openKeys(t, createToken(kind, await temporaryFolder(t)), {
      sessions: 3,
      isRemote: true,
    });
    const value = randomBytes(16);
    const imk = await keys.ensure('imk-ac/1', { ...imkSpec, value });
    const ca = await keys.ensure('ca/1', { algorithm: 'RSA', usage: 'CA', bits: 1024, exponent: 65537 });
    const block = new Uint8Array(128).fill(0x5a);
    const signature = hex(await keys.rsaRawSign(ca, block));
    await Promise.all(
      Array.from({ length: 40 }, async (_, index) => {
        if (index % 4 === 0) {
          assert.equal(hex(await keys.rsaRawSign(ca, block)), signature);
          return;
        }
        const data = udkData('A', `41234567890123${String(index).padStart(2, '0')}`, '01');
        const [one, two] = await Promise.all([
          keys.deriveTdesEcb(imk, data, 'UDK', true),
          keys.deriveTdesEcb(imk, data, 'UDK', true),
        ]);
        assert.equal(hex(await keys.kcv(one)), hex(await keys.kcv(two)));
        await Promise.all([keys.release(one), keys.release(two)]);
      }),
    );
  });

  test(`a JWE whose agreed secret begins with a zero byte opens (${kind})`, async (t) => {
    const keys = await openKeys(t, createToken(kind, await temporaryFolder(t)));
    const { privateKey, publicKey } = generateKeyPairSync('ec', { namedCurve: 'P-256' });
    const value = privateKey.export({ format: 'der', type: 'pkcs8' });
    const key = await keys.ensure('jwe/1', { algorithm: 'EC-P256', usage: 'JWE-RECIPIENT', value });
    const { kid } = await keys.ecPublicJwk(key);
    let ephemeral: KeyObject;
    do ephemeral = generateKeyPairSync('ec', { namedCurve: 'P-256' }).privateKey;
    while (diffieHellman({ privateKey: ephemeral, publicKey })[0] !== 0);
    // The one use that the parameter is kept for: a message whose agreed secret the test chooses.
    const jwe = await new CompactEncrypt(new TextEncoder().encode('{}'))
      .setProtectedHeader({ alg: 'ECDH-ES', enc: 'A256GCM', kid })
      // eslint-disable-next-line @typescript-eslint/no-deprecated
      .setKeyManagementParameters({ epk: ephemeral })
      .encrypt(createPublicKey(privateKey));
    assert.equal(new TextDecoder().decode(await keys.openJwe(key, jwe)), '{}');
  });

  test(`a key that can be read, or belongs to another environment, stops the start (${kind})`, async (t) => {
    const label = { usage: 'IMK-AC', algorithm: 'TDES-2KEY', role: 'key', name: 'imk-ac/1' } as const;
    const plant = (environment: 'test' | 'production', isSensitive: boolean): Attribute[] => [
      [CKA.class, CKO.secretKey],
      [CKA.keyType, CKK.des2],
      [CKA.token, true],
      [CKA.private, true],
      [CKA.label, labelText({ ...label, environment })],
      [CKA.sensitive, isSensitive],
      [CKA.extractable, !isSensitive],
      [CKA.value, randomBytes(16)],
    ];
    const readable = createToken(kind, await temporaryFolder(t));
    await withSession(readable, (session) => session.createObject(plant('test', false)));
    await assert.rejects(openPkcs11Keys(tokenOptions(readable)), {
      code: 'KEY_STORE',
      message: 'key imk-ac/1 can be read out of the token',
    });
    const foreign = createToken(kind, await temporaryFolder(t));
    await withSession(foreign, (session) => session.createObject(plant('production', true)));
    await assert.rejects(openPkcs11Keys(tokenOptions(foreign)), {
      code: 'KEY_STORE',
      message: 'key imk-ac/1 belongs to the production environment',
    });
  });

  test(`the remains of a key that was never finished are destroyed, and the key is made (${kind})`, async (t) => {
    const token = createToken(kind, await temporaryFolder(t));
    const label = labelText({
      environment: 'test',
      usage: 'SEAL',
      algorithm: 'AES-256',
      role: 'wrapper',
      name: 'seal/1',
    });
    await withSession(token, (session) =>
      session.generateKey(plainMechanism(CKM.aesKeyGen), [
        [CKA.token, true],
        [CKA.private, true],
        [CKA.label, label],
        [CKA.valueLength, 32],
      ]),
    );
    const keys = await openKeys(t, token);
    assert.deepEqual(await keys.list(), []);
    const seal = await keys.ensure('seal/1', { algorithm: 'AES-256', usage: 'SEAL' });
    const icc = await keys.generateRsa(1024, 3, 'ICC');
    await keys.release(await keys.unsealRsa(seal, await keys.sealRsa(seal, icc, 'c'), 'c'));
    await keys.close();
    const found = await withSession(token, (session) => session.findObjects([[CKA.label, label]]));
    assert.equal(found.length, 1);
  });

  test(`a wrong PIN and a token that is not there are refused, and the PIN is wiped (${kind})`, async (t) => {
    const token = createToken(kind, await temporaryFolder(t));
    const pin = new TextEncoder().encode('0000000000');
    await assert.rejects(
      openPkcs11Keys(tokenOptions(token, { pin })),
      (error) => error instanceof Pkcs11Error && error.message === 'C_Login answered CKR_PIN_INCORRECT',
    );
    assert(pin.every((byte) => byte === 0));
    await assert.rejects(openPkcs11Keys(tokenOptions(token, { token: { label: 'another' } })), {
      code: 'KEY_STORE',
      message: 'the module has no token labelled another',
    });
    await openKeys(t, token);
  });

  test(`production takes no well-known key into a token (${kind})`, async (t) => {
    const token = createToken(kind, await temporaryFolder(t));
    const keys = await openKeys(t, token, { environment: 'production' });
    const value = Uint8Array.from({ length: 16 }, (_, index) => 0x40 + index);
    const spec = { algorithm: 'TDES-2KEY', usage: 'KMC', value } as const;
    await assert.rejects(keys.ensure('kmc/1', spec), { code: 'KEY_STORE' });
    await assert.rejects(keys.ensure('card/1', { ...spec, usage: 'CARD-STATIC' }), { code: 'KEY_USAGE' });
  });
}
