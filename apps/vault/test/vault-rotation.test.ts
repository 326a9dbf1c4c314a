/** The keys that the vault names itself are rotated while orders, plans and tickets are on their way. */
import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { it } from 'node:test';
import { createVirtualCard } from '@cardwright/card';
import { productProfiles } from '@cardwright/dataprep';
import { encodeCommand, hex, issuerSecurityDomainAid, unhex } from '@cardwright/emv';
import { type KeyManagement } from '@cardwright/keys';
import {
  type ChipBeginAnswer,
  type FingerprintAnswer,
  type PrepareAnswer,
  vaultPaths,
  type VaultPublicKeys,
  type VaultScriptAnswer,
} from '@cardwright/protocol';
import { createLogger } from '@cardwright/runtime';
import { readVaultConfig } from '../src/config.ts';
import { openVaultKeys } from '../src/vault-keys.ts';
import {
  describeOverKeyAdapters,
  issuerId,
  prepareRequest,
  removeVaultFolder,
  type RunningVault,
  runVault,
  type VaultFolder,
} from './vault-fixture.ts';

const job = { jobId: 'job-1', epoch: 1, stationId: 'KIOSK-PS-101' };
const chip = { atr: '3BE000FF8131FE4514', cplc: null };
const families = ['seal', 'token', `jwe/${issuerId}`];

/** Over the keys of a vault that stands, as the offline commands. */
async function offline(
  { configFile }: VaultFolder,
  work: (management: KeyManagement) => Promise<void>,
): Promise<void> {
  const config = readVaultConfig(configFile);
  const logger = createLogger('vault', { level: 'silent' });
  const keys = await openVaultKeys({ config, configFile, products: productProfiles, logger });
  await work(keys.management).finally(() => keys.close());
}

async function prepared(
  vault: RunningVault,
  order: object,
): Promise<Extract<PrepareAnswer, { result: 'prepared' }>> {
  const answer = (await vault.post(vaultPaths.prepare, order)).json as PrepareAnswer;
  assert(answer.result === 'prepared', JSON.stringify(answer));
  return answer;
}

async function kidOf(vault: RunningVault): Promise<string | undefined> {
  const { recipientKeys } = (await vault.get(vaultPaths.publicKeys)).json as VaultPublicKeys;
  const ours = recipientKeys.filter((key) => key.issuerId === issuerId);
  assert.equal(ours.length, 1);
  return ours[0]?.jwk.kid;
}

describeOverKeyAdapters('rotation', (makePlace) => {
  it('leaves plans, tickets and orders usable that were made before it, and protects new ones anew', async (t) => {
    const place = await makePlace();
    t.after(() => removeVaultFolder(place));
    const before = await runVault(place);
    const oldOrder = await prepareRequest(before);
    const old = await prepared(before, oldOrder);
    const oldKid = await kidOf(before);
    const begun = (await before.post(vaultPaths.chipBegin, { sealedPlan: old.sealedPlan, ...job }))
      .json as ChipBeginAnswer;
    await before.stop();
    await offline(place, async (management) => {
      for (const family of families) await management.rotate(family, 0);
    });

    const after = await runVault(place);
    const card = createVirtualCard({
      secureChannel: 'SCP03',
      kmc: Uint8Array.from({ length: 16 }, (_, i) => 0x40 + i),
      serial: Uint8Array.from(randomBytes(6)),
    });
    const aid = unhex(issuerSecurityDomainAid);
    card.transmit(encodeCommand({ cla: 0, ins: 0xa4, p1: 4, p2: 0, data: aid, le: 256 }));
    const initializeUpdateResponse = hex(card.transmit(unhex(begun.initializeUpdate)).slice(0, -2));
    const script = (
      await after.post(vaultPaths.script, {
        sealedPlan: old.sealedPlan,
        ...job,
        chip,
        ticket: begun.ticket,
        initializeUpdateResponse,
      })
    ).json as VaultScriptAnswer;
    assert(script.result === 'ok', JSON.stringify(script));
    for (const step of script.script) assert.equal(hex(card.transmit(unhex(step.apdu)).slice(-2)), '9000');

    // An order that was encrypted before is still opened; its hashes are made anew, and say so.
    const again = await prepared(after, oldOrder);
    assert.notEqual(await kidOf(after), oldKid);
    const fresh = await prepared(after, await prepareRequest(after));
    assert.match(fresh.panToken, /^2\./);
    assert.equal(fresh.panToken, again.panToken);
    assert.notEqual(fresh.panToken, old.panToken);
    const { encryptedData } = oldOrder;
    const compare = async (comparedWith: string): Promise<string> => {
      const body = { issuerId, encryptedData, comparedWith };
      const answer = (await after.post(vaultPaths.fingerprint, body)).json as FingerprintAnswer;
      return answer.result === 'ok' ? answer.fingerprint : answer.field;
    };
    assert.equal(await compare(old.fingerprint), old.fingerprint);
    assert.equal(await compare(fresh.fingerprint), fresh.fingerprint);
    assert(!after.log().includes('icc-key-pool-fault'));
    await after.stop();

    await offline(place, async (management) => {
      await management.destroy('seal/1', ['Aiko', 'Ben'], 'end of life');
    });
    const last = await runVault(place);
    t.after(() => last.stop());
    const gone = await last.post(vaultPaths.chipBegin, { sealedPlan: old.sealedPlan, ...job });
    assert.deepEqual([gone.status, (gone.json as { code: string }).code], [400, 'PLAN_INVALID']);
    assert.equal(
      (await last.post(vaultPaths.chipBegin, { sealedPlan: fresh.sealedPlan, ...job })).status,
      200,
    );
  });
});
