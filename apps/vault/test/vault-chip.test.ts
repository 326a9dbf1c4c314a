/** The chip's way through the vault: challenge, script, proof; and every answer that gets no script. */
import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { after, before, it } from 'node:test';
import { createVirtualCard } from '@cardwright/card';
import { encodeCommand, findTag, hex, parseTlv, unhex } from '@cardwright/emv';
import { check, type ChipBeginAnswer, vaultPaths, VaultScriptAnswer } from '@cardwright/protocol';
import {
  assertClean,
  describeOverKeyAdapters,
  prepare,
  removeVaultFolder,
  type RunningVault,
  runVault,
} from './vault-fixture.ts';

const publishedKmc = Uint8Array.from({ length: 16 }, (_, i) => 0x40 + i);
const job = { jobId: 'job-1', epoch: 1, stationId: 'KIOSK-PS-101' };

let vault: RunningVault;
let sealedPlan: string;
type Card = ReturnType<typeof createVirtualCard>;

function transmit(card: Card, command: Uint8Array): Uint8Array {
  const response = card.transmit(command);
  assert.equal(hex(response.slice(-2)), '9000');
  return response.slice(0, -2);
}

const selectCommand = (aid: string): Uint8Array =>
  encodeCommand({ cla: 0, ins: 0xa4, p1: 4, p2: 0, data: unhex(aid), le: 256 });

function blank(protocol: 'SCP02' | 'SCP03', kmc = publishedKmc): Card {
  return createVirtualCard({ secureChannel: protocol, kmc, serial: randomBytes(6) });
}

async function beginOn(card: Card): Promise<{ ticket: string; initializeUpdateResponse: string }> {
  const begin = (await vault.post(vaultPaths.chipBegin, { sealedPlan, ...job })).json as ChipBeginAnswer;
  card.reset();
  transmit(card, selectCommand(begin.securityDomainAid));
  const response = transmit(card, unhex(begin.initializeUpdate));
  return { ticket: begin.ticket, initializeUpdateResponse: hex(response) };
}

async function scriptFor(request: object): Promise<VaultScriptAnswer> {
  const chip = { atr: '3BE000FF8131FE4514', cplc: null };
  const answer = await vault.post(vaultPaths.script, { sealedPlan, ...job, chip, ...request });
  assert.equal(answer.status, 200);
  const checked = check(VaultScriptAnswer, answer.json);
  assert(checked.ok);
  assertClean(answer);
  return checked.value;
}

describeOverKeyAdapters('the chip', (makePlace) => {
  before(async () => {
    vault = await runVault(await makePlace());
    ({ sealedPlan } = await prepare(vault));
  });
  after(async () => {
    await vault.stop();
    await removeVaultFolder(vault.place);
  });

  for (const protocol of ['SCP02', 'SCP03'] as const) {
    it(`is personalised over ${protocol} with what the vault returns, and its cryptogram confirmed`, async () => {
      const card = blank(protocol);
      const answer = await scriptFor(await beginOn(card));
      assert(answer.result === 'ok');
      assert.equal(answer.terminate.length, answer.script.length + 1);
      for (const step of answer.script) transmit(card, unhex(step.apdu));
      card.reset();
      transmit(card, selectCommand('F0434152440001'));
      transmit(card, unhex('80A8000002830000'));
      const cdol1Data =
        '000000001000000000000000' + '0392' + '0000000000' + '0392' + '26112300' + hex(randomBytes(4));
      const data = unhex(cdol1Data);
      const ac = parseTlv(
        transmit(card, encodeCommand({ cla: 0x80, ins: 0xae, p1: 0x80, p2: 0, data, le: 256 })),
      );
      const value = (tag: string): string => hex(findTag(ac, tag)?.value ?? new Uint8Array());
      const flat = value('80');
      const evidence =
        flat === ''
          ? { cid: value('9F27'), atc: value('9F36'), arqc: value('9F26'), iad: value('9F10') }
          : { cid: flat.slice(0, 2), atc: flat.slice(2, 6), arqc: flat.slice(6, 22), iad: flat.slice(22) };
      const ask = async (arqc: string): Promise<unknown> =>
        (
          await vault.post(vaultPaths.cryptogram, {
            sealedPlan,
            evidence: { epoch: 1, cdol1Data, ...evidence, arqc },
          })
        ).json;
      assert.deepEqual(await ask(evidence.arqc), { confirmed: true });
      assert.deepEqual(await ask('0000000000000000'), { confirmed: false, reason: 'CRYPTOGRAM_MISMATCH' });
    });
  }

  it('is killed by the terminate command at any point of the script', async () => {
    const card = blank('SCP03');
    const answer = await scriptFor(await beginOn(card));
    assert(answer.result === 'ok');
    assert.equal(answer.terminate[0], null);
    for (const step of answer.script.slice(0, 3)) transmit(card, unhex(step.apdu));
    transmit(card, unhex(answer.terminate[3]?.apdu ?? ''));
    assert.equal(card.inspect().lifeCycle, 'TERMINATED');
  });

  it('that does not hold the expected keys is refused before any command exists', async () => {
    const begun = await beginOn(blank('SCP03', new Uint8Array(randomBytes(16))));
    assert.deepEqual(await scriptFor(begun), { result: 'refused', reason: 'CARD_CRYPTOGRAM_INVALID' });
  });

  it('that answers nonsense is refused', async () => {
    const { ticket } = await beginOn(blank('SCP03'));
    assert.deepEqual(await scriptFor({ ticket, initializeUpdateResponse: 'AABB' }), {
      result: 'refused',
      reason: 'RESPONSE_MALFORMED',
    });
  });

  it('gets the same script again for the same answer, and none for another answer to one challenge', async () => {
    const card = blank('SCP03');
    const begun = await beginOn(card);
    const first = await scriptFor(begun);
    assert(first.result === 'ok');
    assert.deepEqual(await scriptFor(begun), first);
    const other = await beginOn(blank('SCP03'));
    assert.deepEqual(await scriptFor({ ...other, ticket: begun.ticket }), {
      result: 'refused',
      reason: 'TICKET_INVALID',
    });
  });

  it('ticket of another job, epoch, station or plan, or a changed one, is refused', async () => {
    const begun = await beginOn(blank('SCP03'));
    const otherPlan = await prepare(vault);
    for (const change of [
      { jobId: 'job-2' },
      { epoch: 2 },
      { stationId: 'KIOSK-PS-102' },
      { sealedPlan: otherPlan.sealedPlan },
      { ticket: `${begun.ticket.slice(0, -3)}AAA` },
      { ticket: '' },
      { ticket: '{}' },
    ]) {
      const answer = await scriptFor({ ...begun, ...change });
      assert.deepEqual(answer, { result: 'refused', reason: 'TICKET_INVALID' });
    }
    assert.equal((await scriptFor(begun)).result, 'ok');
  });
});
