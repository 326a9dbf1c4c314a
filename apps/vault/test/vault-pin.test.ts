/** An order with a PIN block over the vault's own door: the chip learns the PIN, and no message or file shows it. */
import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { after, before, describe, it } from 'node:test';
import { createVirtualCard } from '@cardwright/card';
import {
  encipherPinBlockFormat4,
  encodeCommand,
  hex,
  pinBlockFormat0,
  pinBlockFormat2,
  statusWord,
  tdesEcbEncrypt,
  unhex,
} from '@cardwright/emv';
import { openSoftwareKeys } from '@cardwright/keys';
import {
  type ChipBeginAnswer,
  type PayloadAnswer,
  type PrepareAnswer,
  StationPayload,
  check,
  vaultPaths,
  type VaultScriptAnswer,
} from '@cardwright/protocol';
import { scanForCanaries } from '@cardwright/testkit';
import { compactDecrypt, exportJWK, generateKeyPair } from 'jose';
import {
  cardData,
  encryptCardData,
  makeVaultFolder,
  pan,
  prepareRequest,
  removeVaultFolder,
  type RunningVault,
  runVault,
} from './vault-fixture.ts';

const job = { jobId: 'job-1', epoch: 1, stationId: 'KIOSK-PS-101' };
const publishedKmc = Uint8Array.from({ length: 16 }, (_, i) => 0x40 + i);
const pin = '739152846073';
const digits = Uint8Array.from(pin, Number);
const [aesKey, tdesKey] = [randomBytes(32), randomBytes(16)];
const blocks = {
  'ISO9564-4': { keyIndex: '1', value: hex(encipherPinBlockFormat4(aesKey, digits, pan, randomBytes(8))) },
  'ISO9564-0': { keyIndex: 'T1', value: hex(tdesEcbEncrypt(tdesKey, pinBlockFormat0(digits, pan))) },
} as const;

describe('a PIN block in an order', () => {
  let vault: RunningVault;
  before(async () => {
    const place = await makeVaultFolder({ pinBlockFormats: { ISS0000002: ['ISO9564-4', 'ISO9564-0'] } });
    // As after a key exchange: the issuers' PIN keys are there before the vault starts.
    const masterKey = await readFile(join(place.folder, 'master.key'));
    const keys = await openSoftwareKeys({
      folder: join(place.folder, 'data', 'keys'),
      masterKey,
      environment: 'test',
    });
    for (const issuer of ['ISS0000001', 'ISS0000002']) {
      await keys.ensure(`pin/${issuer}/1`, { algorithm: 'AES-256', usage: 'PIN', value: aesKey });
      await keys.ensure(`pin/${issuer}/T1`, { algorithm: 'TDES-2KEY', usage: 'PIN', value: tdesKey });
    }
    await keys.close();
    vault = await runVault(place);
  });
  after(async () => {
    await vault.stop();
    await removeVaultFolder(vault.place);
  });

  const order = async (pinBlock: object, issuerId = 'ISS0000001'): Promise<PrepareAnswer> => {
    const data = { ...cardData, pinBlock };
    const encryptedData = await encryptCardData(vault, data, issuerId);
    const request = await prepareRequest(vault, data, { encryptedData, issuerId });
    return (await vault.post(vaultPaths.prepare, request)).json as PrepareAnswer;
  };

  const verifyOnNewCard = async (sealedPlan: string): Promise<string> => {
    const card = createVirtualCard({ secureChannel: 'SCP03', kmc: publishedKmc, serial: randomBytes(6) });
    const begin = (await vault.post(vaultPaths.chipBegin, { sealedPlan, ...job })).json as ChipBeginAnswer;
    const select = (aid: string): Uint8Array =>
      card.transmit(encodeCommand({ cla: 0, ins: 0xa4, p1: 4, p2: 0, data: unhex(aid), le: 256 }));
    card.reset();
    select(begin.securityDomainAid);
    const initializeUpdateResponse = hex(card.transmit(unhex(begin.initializeUpdate)).slice(0, -2));
    const chip = { atr: '3BE000FF8131FE4514', cplc: null };
    const { ticket } = begin;
    const request = { sealedPlan, ...job, chip, ticket, initializeUpdateResponse };
    const answer = (await vault.post(vaultPaths.script, request)).json as VaultScriptAnswer;
    assert(answer.result === 'ok');
    assert.ok(!JSON.stringify(answer).includes(pin));
    for (const step of answer.script) {
      const sw = statusWord(card.transmit(unhex(step.apdu)));
      assert(step.expect.includes(sw), `${step.label}: ${sw}`);
    }
    card.reset();
    select('F0434152440001');
    card.transmit(encodeCommand({ cla: 0x80, ins: 0xa8, p1: 0, p2: 0, data: unhex('8300'), le: 256 }));
    const command = { cla: 0, ins: 0x20, p1: 0, p2: 0x80, data: pinBlockFormat2(digits) };
    return statusWord(card.transmit(encodeCommand(command)));
  };

  it('becomes the PIN of the chip, whichever format the issuer may send', async () => {
    for (const [format, issuerId] of [
      ['ISO9564-4', 'ISS0000001'],
      ['ISO9564-4', 'ISS0000002'],
      ['ISO9564-0', 'ISS0000002'],
    ] as const) {
      const answer = await order({ format, ...blocks[format] }, issuerId);
      assert(answer.result === 'prepared', JSON.stringify(answer));
      assert.equal(await verifyOnNewCard(answer.sealedPlan), '9000');
    }
  });

  it('is refused by the name of what is wrong with it', async () => {
    const four = { format: 'ISO9564-4', ...blocks['ISO9564-4'] };
    for (const [pinBlock, field] of [
      [{ format: 'ISO9564-0', ...blocks['ISO9564-0'] }, 'pinBlock.format'],
      [{ ...four, format: 'TR31', value: 'D0144P0AE00E0000' }, 'pinBlock.format'],
      [{ ...four, value: 'F'.repeat(32) }, 'pinBlock.value'],
      [{ ...four, keyIndex: '7' }, 'pinBlock.keyIndex'],
      [{ ...four, keyIndex: 'T1' }, 'pinBlock.keyIndex'],
      [{ ...four, pin }, 'pinBlock.pin'],
    ] as const) {
      const expected = {
        result: 'rejected',
        errorCode: 'DATA_FIELD_INVALID',
        field: `encryptedData.${field}`,
      };
      assert.deepEqual(await order(pinBlock), expected);
    }
  });

  it('leaves no PIN in payload, log or file; the payload carries the stripe', async () => {
    const answer = await order({ format: 'ISO9564-4', ...blocks['ISO9564-4'] });
    assert(answer.result === 'prepared');
    const { publicKey, privateKey } = await generateKeyPair('ECDH-ES', { crv: 'P-256' });
    const stationKey = await exportJWK(publicKey);
    const expiresAt = Date.now() + 60_000;
    const request = { sealedPlan: answer.sealedPlan, ...job, stationKey, expiresAt };
    const { payload } = (await vault.post(vaultPaths.payload, request)).json as PayloadAnswer;
    const text = new TextDecoder().decode((await compactDecrypt(payload, privateKey)).plaintext);
    const checked = check(StationPayload, JSON.parse(text));
    assert(checked.ok);
    assert.match(checked.value.stripe?.track2 ?? '', new RegExp(`^${pan}=2906201\\d{10}$`));
    assert.match(checked.value.stripe?.track1 ?? '', new RegExp(`^B${pan}\\^YAMADA/TARO\\^2906201\\d{15}$`));
    const canaries = [
      { name: 'PIN', value: pin },
      { name: 'reference PIN', value: unhex(`2C${pin}FF`) },
      { name: 'PIN key', value: aesKey },
    ];
    for (const shown of [text, vault.log()]) assert.ok(!shown.includes(pin));
    assert.deepEqual(scanForCanaries([vault.place.folder], canaries).hits, []);
  });
});
